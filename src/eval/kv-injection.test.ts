import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { singleNeedles, haystack } from "../../scripts/haystack.ts"
import { writeRetriever } from "../../scripts/retriever.ts"
import type { RetrieverOptions } from "../../scripts/retriever.ts"
import { gaussian, q4Groups, rotated } from "../../test/kv-synthetic.ts"
import { seeded } from "../../test/random.ts"
import { loadCpuBackend } from "../backend/cpu/cpu.ts"
import { Qwen3Moe } from "../model/qwen3moe.ts"
import type { QkNorms } from "../model/weights.ts"
import { packCheckpoint } from "../prepare.ts"
import { compare, kvFidelity } from "./kv-fidelity.ts"
import type { TierOutcome } from "./kv-fidelity.ts"
import { kvInjection } from "./kv-injection.ts"
import type { InjectionOptions } from "./kv-injection.ts"
import { KvInjector } from "./kv-injector.ts"
import { KvProbe } from "./kv-probe.ts"
import type { KvPrompt } from "./kv-prompts.ts"
import { fidelityHtml, fidelityText, summaryOf } from "./kv-report.ts"
import { groupsOfFourBits, rotatedGroupsOfFourBits } from "./peer-codes.ts"

const folder = mkdtempSync(join(tmpdir(), "a3b-injection-"))
afterAll(() => rmSync(folder, { recursive: true }))
/** As many as a haystack has tokens: the more there are, the likelier one is taken for a needle's key. */
const words = 4000
const options: InjectionOptions = {
  tiers: [1, 2, 3],
  window: 128,
  stretchTokens: 384,
  replyTokens: 1,
  stopIds: new Set(),
}

let numWritten = 0
/** What makes models of a retriever that is written for it, each on a backend of its own. */
async function retriever(more: RetrieverOptions): Promise<(norms: QkNorms) => Qwen3Moe> {
  const path = join(folder, String(numWritten++))
  writeRetriever(path, { words, ...more })
  const packed = await packCheckpoint(path, { out: `${path}.a3b`, quant: "keep" })
  return (norms) => Qwen3Moe.load(loadCpuBackend({ threads: 1 }), packed, norms)
}

function manyNeedles(length: number, needles: number): KvPrompt {
  const { ids, values } = haystack(length, needles, words)
  const questions = values.map((value, key) => ({
    ids: Int32Array.of(key),
    depth: (key + 0.5) / needles,
    isRight: (reply: readonly number[]) => reply[0] === value,
  }))
  return { kind: `${needles} needles`, ids, questions }
}

function oneNeedle(length: number, depths: number): KvPrompt {
  const { ids, needles } = singleNeedles(length, depths, words)
  const questions = needles.map(({ key, value, depth, at }) => ({
    ids: Int32Array.of(key),
    depth,
    put: { at, ids: Int32Array.of(key, value) },
    isRight: (reply: readonly number[]) => reply[0] === value,
  }))
  return { kind: "single needle", ids, questions }
}

describe("a text that is injected", () => {
  test.each([0, 3] as const)("says at T%i what it says after an ordinary prefill", async (tier) => {
    const load = await retriever({ outliers: 16 })
    const prompt = manyNeedles(1500, 8)
    const injector = new KvInjector(load("balanced"), [prompt], options)
    const way = { name: "", tier }
    await injector.load(prompt)
    injector.keep(way)
    const probe = new KvProbe(load("balanced"), {
      contextTokens: 1502,
      window: options.window,
      chunkTokens: 512,
    })
    await probe.run(prompt.ids, 0, tier, [], () => {})
    for (const [number, question] of prompt.questions.entries()) {
      const { reply, logits } = await injector.reply(way, number, question)
      expect(question.isRight(reply)).toBe(true)
      let difference = { kl: NaN, top: "other" }
      await probe.run(question.ids, prompt.ids.length, tier, [prompt.ids.length], (ordinary) => {
        difference = compare(ordinary, logits)
      })
      // Of what the first layer looks at, less than a thousandth lies further back than a page.
      expect(difference.top).toBe("same")
      expect(difference.kl).toBeLessThan(1e-3)
    }
  })

  test("has a needle only for the question that puts it there", async () => {
    const load = await retriever({})
    const prompt = oneNeedle(700, 4)
    const wanted = prompt.questions.map(({ put }) => put?.ids[1])
    // Every question asks for the next one's needle, too.
    const others = prompt.questions.map((question, i) => ({
      ...question,
      ids: prompt.questions[(i + 1) % 4].ids,
      isRight: (reply: readonly number[]) => reply[0] === wanted[(i + 1) % 4],
    }))
    const asked = [prompt, { ...prompt, questions: others }]
    const { tiers } = await kvInjection(load, asked, options)
    for (const outcome of tiers)
      expect(outcome.answers.map((answer) => answer.outcome)).toEqual([
        ...new Array<string>(4).fill("right"),
        ...new Array<string>(4).fill("wrong"),
      ])
  })

  test("may reach the length that YaRN stretches to, and is refused beyond it", async () => {
    const load = await retriever({ outliers: 16, yarn: { factor: 4, original: 512 } })
    const { tiers } = await kvInjection(load, [manyNeedles(2046, 8)], { ...options, tiers: [3] })
    expect(tiers.slice(0, 2).map((outcome) => summaryOf(outcome).right)).toEqual([8, 8])
    const refused = kvInjection(load, [manyNeedles(2047, 8)], options)
    await expect(refused).rejects.toMatchObject({
      code: "context-exceeded",
      message: expect.stringMatching(/has 2049 tokens, the model positions for 2048/) as string,
    })
  })

  test.each([
    [{ stretchTokens: 200 }, [manyNeedles(700, 2)], /wanted a multiple of 128/],
    [{}, [{ ...manyNeedles(700, 2), questions: [] }], /no prompt has a question/],
  ])("is refused where it cannot be judged: %j", async (more, prompts, message) => {
    const none = () => {
      throw new Error("no model is needed")
    }
    await expect(kvInjection(none, prompts, { ...options, ...more })).rejects.toThrow(message)
  })

  test("cannot be changed by questions where it is prefilled", async () => {
    const load = await retriever({})
    const asked = kvFidelity(load("balanced"), [oneNeedle(700, 2)], { ...options, positions: 4 })
    await expect(asked).rejects.toThrow(/add --inject/)
  })
})

describe("needles among outliers", () => {
  const length = 4000
  const asked = [oneNeedle(length, 16), manyNeedles(length, 16)]
  const found = ({ answers }: TierOutcome) =>
    answers.filter(({ outcome }) => outcome === "right").length / answers.length

  test("of 16 times are found at every tier, and lost by plain groups of four bits", async () => {
    const fidelity = await kvInjection(await retriever({ outliers: 16 }), asked, options)
    const shares = Object.fromEntries(fidelity.tiers.map((outcome) => [outcome.tier, found(outcome)]))
    expect(shares).toMatchObject({ T0: 1, T1: 1, T2: 1, T3: 1 })
    expect(shares["4-bit groups"]).toBeLessThanOrEqual(0.7)
    const text = fidelityText(fidelity)
    expect(text).toMatch(/^In all cells keys and values were injected/)
    expect(text).toMatch(/T3 +16 of 16 +16 of 16/)
    const html = fidelityHtml("retriever", fidelity)
    expect(html.match(/<rect /g)).toHaveLength(6 * 32)
    expect(html).toContain("single needle found at 4-bit groups, rotated")
  })

  test("are found by queries that choose what they read", async () => {
    const long = 9600
    const chosen = { ...options, tiers: [1, 3] as const, selectiveFrom: long }
    const prompts = [oneNeedle(long, 8)]
    const { tiers, selections } = await kvInjection(await retriever({ outliers: 64 }), prompts, chosen)
    const shares = Object.fromEntries(tiers.map((outcome) => [outcome.tier, found(outcome)]))
    expect(shares).toMatchObject({ T1: 1, "T1, selective": 1, T3: 1, "T3, selective": 1 })
    // Each of 8 questions once at each tier, in the one layer whose queries may choose.
    expect(selections).toMatchObject({ scanned: 16, fellBack: 0 })
    expect(selections!.tokens / 16).toBeLessThan(long / 2)
  })

  test("of 64 times are found at every tier, and lost by rotated groups of four bits", async () => {
    const { tiers } = await kvInjection(await retriever({ outliers: 64 }), asked, options)
    const shares = Object.fromEntries(tiers.map((outcome) => [outcome.tier, found(outcome)]))
    expect(shares).toMatchObject({ T0: 1, T1: 1, T2: 1, T3: 1 })
    expect(shares["4-bit groups"]).toBeLessThanOrEqual(0.5)
    expect(shares["4-bit groups, rotated"]).toBeLessThanOrEqual(0.5)
  })
})

describe("the codes of others", () => {
  const random = seeded(5)
  const row = Float64Array.from({ length: 128 }, (_, i) => gaussian(random) * (i === 40 ? 20 : 1))
  const largest = (values: Iterable<number>) => Math.max(...Array.from(values, Math.abs))

  // The scale is a half here, with 11 bits: seven steps of it are off by at most 8 / 2048 of a step; a value in the middle
  // between two levels may fall to the other.
  test.each([
    ["plain", groupsOfFourBits, (x: Float64Array) => q4Groups([x])[0]],
    ["rotated", rotatedGroupsOfFourBits, (x: Float64Array) => rotated(q4Groups(rotated([x])))[0]],
  ])("are those of the definition, %s", (_, code, define) => {
    const got = Float32Array.from(row)
    code(got)
    const expected = define(row)
    const step = largest(row) / 8
    expect(largest(expected.map((x, i) => x - got[i]))).toBeLessThan(step / 64)
    expect(largest(row.map((x, i) => x - got[i]))).toBeGreaterThan(step / 8)
  })

  test("leave nothing of nothing, and a row of levels as it is", () => {
    const zeros = new Float32Array(64)
    groupsOfFourBits(zeros)
    expect(zeros.every((x) => x === 0)).toBe(true)
    const levels = Float32Array.from({ length: 64 }, (_, i) => ((i % 16) - 8) / 4)
    const got = levels.slice()
    groupsOfFourBits(got)
    expect(got).toEqual(levels)
  })
})
