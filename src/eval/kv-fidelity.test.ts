import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { haystack } from "../../scripts/haystack.ts"
import { writeRetriever } from "../../scripts/retriever.ts"
import { loadCpuBackend } from "../backend/cpu/cpu.ts"
import { Qwen3Moe } from "../model/qwen3moe.ts"
import { packCheckpoint } from "../prepare.ts"
import type { PackedModel } from "../weights/packed.ts"
import { compare, kvFidelity } from "./kv-fidelity.ts"
import type { Fidelity, FidelityOptions } from "./kv-fidelity.ts"
import type { KvPrompt } from "./kv-prompts.ts"
import { fidelityHtml, fidelityText, summaryOf } from "./kv-report.ts"

const options: FidelityOptions = {
  tiers: [1, 3],
  window: 128,
  positions: 16,
  replyTokens: 1,
  stopIds: new Set(),
}

describe("the divergence of two rows of logits", () => {
  test("is that of the distributions, whatever is added to all logits", () => {
    // p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KL = ln(2)/2 - ln(2)/4
    const [p, q] = [
      [2, 1, 1],
      [1, 2, 1],
    ].map((weights) => Float32Array.from(weights, (weight) => Math.log(weight) + 3))
    expect(compare(p, q).kl).toBeCloseTo(Math.LN2 / 4, 6)
    expect(compare(p, q).top).toBe("other")
    expect(
      compare(
        p,
        p.map((logit) => logit + 5),
      ).kl,
    ).toBeCloseTo(0, 6)
    expect(compare(p, p).top).toBe("same")
  })
})

describe("a checkpoint that recalls by construction", () => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-eval-"))
  const [words, needles, length] = [400, 8, 900]
  let packed: PackedModel
  let fidelity: Fidelity
  beforeAll(async () => {
    writeRetriever(join(folder, "model"), { words, outliers: 16 })
    packed = await packCheckpoint(join(folder, "model"), { out: join(folder, "model.a3b"), quant: "keep" })
    fidelity = await kvFidelity(
      Qwen3Moe.load(loadCpuBackend({ threads: 2 }), packed, "balanced"),
      [prompt()],
      options,
    )
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  /** A haystack with a question for each of its needles; the last one's answer is given wrong. */
  function prompt(): KvPrompt {
    const { ids, values } = haystack(length, needles, words)
    const questions = values.map((value, key) => ({
      ids: Int32Array.of(key),
      depth: (key + 0.5) / needles,
      isRight: (reply: readonly number[]) => reply[0] === (key === needles - 1 ? value + 1 : value),
    }))
    return { kind: "file", ids, questions }
  }

  test("answers at every tier as in 16 bits, and what is wrong is told", () => {
    for (const outcome of fidelity.tiers) {
      const { right, answers, sameReplies } = summaryOf(outcome)
      expect([right, answers, sameReplies]).toEqual([needles - 1, needles, needles])
      expect(outcome.answers.at(-1)).toMatchObject({ outcome: "wrong", depth: (needles - 0.5) / needles })
    }
  })

  test("has logits that differ, more at the coarser tier, at positions that read codes", () => {
    const [exact, fine, coarse] = fidelity.tiers
    expect(exact.divergences).toEqual([])
    expect(fine.divergences).toHaveLength(options.positions)
    expect(Math.min(...fine.divergences.map(({ position }) => position))).toBeGreaterThanOrEqual(128 + 255)
    expect(summaryOf(fine).kl999).toBeGreaterThan(0)
    expect(summaryOf(coarse).kl999).toBeGreaterThan(summaryOf(fine).kl999)
  })

  test("is reported as text and as a page with a cell for every needle", () => {
    expect(fidelityText(fidelity)).toContain(`${needles - 1} of ${needles}`)
    const html = fidelityHtml("retriever", fidelity)
    expect(html.match(/<rect /g)).toHaveLength(3 * needles)
    expect(html).not.toMatch(/\b(src|href)=|https?:|@import|url\(/)
  })

  test("lets tokens of replies choose, never those of a text or question", async () => {
    const model = Qwen3Moe.load(loadCpuBackend({ threads: 2 }), packed, "balanced")
    const lasts: { position: number; from: number }[] = []
    const forward = model.forward.bind(model)
    model.forward = (batch) => {
      const [{ contextTokens, selectiveFrom = Infinity }] = batch.sequences
      lasts.push({ position: contextTokens - 1, from: selectiveFrom })
      return forward(batch)
    }
    await kvFidelity(model, [prompt()], { ...options, tiers: [3], replyTokens: 3, selectiveFrom: 0 })
    for (const { position, from } of lasts) expect(position >= from).toBe(position > length)
    expect(lasts.filter(({ position }) => position > length)).toHaveLength(2 * needles * 2)
  })

  test("tells what came of choices", () => {
    const told = (selections: Fidelity["selections"]) => fidelityText({ ...fidelity, selections })
    expect(told({ scanned: 0, fellBack: 0, kept: 0, tokens: 0 })).not.toContain("choices")
    expect(told({ scanned: 4, fellBack: 2, kept: 1.97, tokens: 6000 })).toMatch(
      /Of 4 choices .* 2 would .* The others kept 98.* in 3000 tokens\./,
    )
    expect(told({ scanned: 4, fellBack: 4, kept: 0, tokens: 0 })).toMatch(/everything was read\.$/)
  })

  test("refuses a text that no window leaves anything of, with the lengths", async () => {
    const short = { ...prompt(), ids: prompt().ids.subarray(0, 300) }
    const model = () => Qwen3Moe.load(loadCpuBackend({ threads: 2 }), packed, "balanced")
    await expect(kvFidelity(model(), [short], options)).rejects.toThrow(/has 300 tokens .*wanted 384 or more/)
  })
})
