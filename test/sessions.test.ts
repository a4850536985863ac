// Saved conversations through whole models: what is restored goes on with the bits of what was never interrupted.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import type { Backend, KvTier } from "../src/backend/backend.ts"
import { loadCpuBackend } from "../src/backend/cpu/cpu.ts"
import { ReferenceBackend } from "../src/backend/reference/reference.ts"
import { Engine } from "../src/engine/engine.ts"
import type { EngineOptions } from "../src/engine/engine.ts"
import type { Session } from "../src/engine/sessions.ts"
import { Qwen3Moe } from "../src/model/qwen3moe.ts"
import { raw, tinyPacked } from "./tiny-packed.ts"
import { allOf, greedy, promptOf } from "./scripted-model.ts"

const folder = mkdtempSync(join(tmpdir(), "a3b-sessions-"))
afterAll(() => rmSync(folder, { recursive: true }))
const packed = tinyPacked(folder)
const ids = promptOf(700).map((id) => id % raw.vocab_size)
const window = 128

function engineOf(backend: Backend, tier: KvTier, more: Partial<EngineOptions> = {}): Engine {
  return new Engine(Qwen3Moe.load(backend, packed, "balanced"), {
    maxContext: 1024,
    kvPages: 8,
    chunkTokens: 200,
    kv: { tier, floor: 3, budgetBytes: Infinity, window },
    fingerprint: "tiny",
    tokenizerSize: raw.vocab_size,
    ...more,
  })
}

const stopIds = new Set<number>()
const short = { sampling: { ...greedy, maxTokens: 5 }, stopIds }

/** The reply and the logarithms of its ids' probabilities, for the bits; and how many tokens were not computed anew. */
async function replyOf(engine: Engine, prompt: Int32Array) {
  const generation = engine.generate(prompt, { ...short, logprobs: 8 })
  const reply: unknown[] = []
  for await (const id of generation) reply.push([id, generation.takeLogprobs()])
  return { reply, cached: generation.usage.cachedTokens }
}

/** A conversation whose second turn leaves 4 pages behind its window, and what goes on from it. */
async function conversation(engine: Engine) {
  const prompt = Int32Array.from(ids.slice(0, 650))
  const reply = await allOf(engine.generate(prompt, short))
  return {
    prompt,
    next: Int32Array.from([...prompt, ...reply, 3, 1, 4, 1, 5]),
    branch: Int32Array.from([...prompt.subarray(0, 645), 2, 7, 1]),
  }
}

const backends: [Backend["name"], () => Backend][] = [
  ["reference", () => new ReferenceBackend()],
  ["cpu", () => loadCpuBackend({ threads: 2 })],
]

describe.each(backends)("a conversation saved from the %s backend", (_, create) => {
  test.each<KvTier>([0, 1, 2, 3])("goes on at T%i as if it had not been interrupted", async (tier) => {
    const engine = engineOf(create(), tier)
    const { prompt, next, branch } = await conversation(engine)
    const session = structuredClone(engine.save(prompt))
    const numCoded = session.pages.filter(({ codes }) => codes).length
    expect([session.tokens.length, session.pages.length, numCoded]).toEqual([654, 6, tier === 0 ? 0 : 3])
    for (const turn of [next, branch]) {
      const fresh = engineOf(create(), tier)
      fresh.restore(session)
      const got = await replyOf(fresh, turn)
      expect(got).toEqual(await replyOf(engine, turn))
      expect(got.cached).toBe(turn === next ? 654 : 645)
      await fresh.free()
      // The uninterrupted engine went on; for the branch it must be where the first turn ended.
      engine.restore(session)
    }
    await engine.free()
  })

  test("takes demoted pages along as they are", async () => {
    // A page takes 64 KiB in 16 bits. Four must be; the other two fit in what is left at the lowest tier.
    const kv = { tier: 1, floor: 3, budgetBytes: 300 * 1024, window } as const
    const engine = engineOf(create(), 1, { kv, chunkTokens: 64 })
    const { prompt, next } = await conversation(engine)
    const session = engine.save(prompt)
    expect(session.pages.map(({ codes }) => codes?.tier)).toContain(3)
    const fresh = engineOf(create(), 1, { kv, chunkTokens: 64 })
    fresh.restore(session)
    expect(await replyOf(fresh, next)).toEqual(await replyOf(engine, next))
    await Promise.all([engine.free(), fresh.free()])
  })

  test("shows nothing of what its last page held before", async () => {
    const one = { ...short, sampling: { ...greedy, maxTokens: 1 } }
    const engine = engineOf(create(), 0, { maxContext: 640, kvPages: 5 })
    await allOf(engine.generate(Int32Array.from(ids.slice(0, 127)), short))
    // Five pages: the last one is that of the prompt before.
    const prompt = Int32Array.from([5, ...ids.slice(0, 600)])
    await allOf(engine.generate(prompt, one))
    const clean = engineOf(create(), 0)
    await allOf(clean.generate(prompt, one))
    const [got, expected] = [engine, clean].map((each) => each.save(prompt).pages[4].exact!)
    expect(Buffer.compare(got, expected)).toBe(0)
    await Promise.all([engine.free(), clean.free()])
  })
})

describe("a saved conversation", () => {
  const saved = async (tier: KvTier = 2) => {
    const engine = engineOf(loadCpuBackend({ threads: 1 }), tier)
    const { prompt } = await conversation(engine)
    const session = engine.save(prompt)
    return { engine, prompt, session }
  }

  test("is found by the ids that it begins with, and by no others", async () => {
    const { engine, prompt, session } = await saved()
    expect(engine.save(prompt.subarray(0, 30)).tokens).toEqual(session.tokens)
    const longer = Int32Array.from([...session.tokens, 9])
    expect(engine.save(longer).tokens).toEqual(session.tokens)
    for (const other of [[...longer, 9], [...prompt.subarray(0, 30), 9, 9], [9]])
      expect(() => engine.save(Int32Array.from(other))).toThrow(/no ended sequence that begins with these/)
    await engine.free()
    expect(() => engine.save(prompt)).toThrow(/was freed/)
    expect(() => engine.restore(session)).toThrow(/was freed/)
  })

  test("is refused where it cannot be of use, in words", async () => {
    const { engine, session } = await saved()
    const refusal = (change: Partial<Session>) => {
      try {
        engine.restore({ ...session, ...change })
      } catch (error) {
        return error
      }
    }
    const { pages, tokens } = session
    expect(refusal({ model: "other" })).toMatchObject({
      code: "bad-argument",
      message: /of model other; this is tiny/,
    })
    expect(refusal({ cache: session.cache.replace(/form \d/, "form 1") })).toMatchObject({
      code: "bad-argument",
      message: /kept as ".* \(form 1\) behind/,
    })
    const t3 = engineOf(loadCpuBackend({ threads: 1 }), 3)
    expect(() => t3.restore(session)).toThrow(
      /kept as "cpu, .* T2 \(form \d\) behind .* here it is "cpu, .* T3 \(form \d\) behind/,
    )
    const reference = engineOf(new ReferenceBackend(), 2)
    expect(() => reference.restore(session)).toThrow(/load the model with the same backend/)
    const small = engineOf(loadCpuBackend({ threads: 1 }), 2, { maxContext: 512, kvPages: 4 })
    expect(() => small.restore(session)).toThrow(/context is 512 tokens; the saved conversation has 654/)
    const damaged = { code: "bad-file" }
    expect(refusal({ pages: pages.slice(1) })).toMatchObject(damaged)
    expect(refusal({ tokens: tokens.map(() => -1) })).toMatchObject(damaged)
    expect(refusal({ numPinned: 0 })).toMatchObject(damaged)
    expect(refusal({ pages: pages.with(1, { exact: pages[0].exact }) })).toMatchObject(damaged)
    const { tier, bytes } = pages[1].codes!
    expect(refusal({ pages: pages.with(1, { codes: { tier, bytes: bytes.subarray(64) } }) })).toMatchObject(
      damaged,
    )
    // What was refused half-way gave its pages back.
    engine.restore(session)
    await Promise.all([engine.free(), t3.free(), reference.free(), small.free()])
  })

  test("takes the place of older ones, but not of what runs", async () => {
    const { engine, prompt, session } = await saved()
    // Six of the eight pages are the first conversation's: a copy has room only in its place.
    engine.restore(session)
    expect((await replyOf(engine, prompt)).cached).toBe(649)
    const running = engine.generate(
      Int32Array.from(ids.slice(0, 400), (id) => (id + 1) % raw.vocab_size),
      {
        ...short,
        sampling: { ...greedy, maxTokens: 60 },
      },
    )
    await running.next()
    expect(() => engine.restore(session)).toThrow(
      /needs 6 pages of 128 tokens, more than running sequences leave/,
    )
    await running.return()
    engine.restore(session)
    await engine.free()
  })
})
