// Compressed pages through a whole model: how a prompt is cut into steps, what it shares and what is trimmed must not
// show in a single bit of the logits.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { pageTokens } from "../src/backend/backend.ts"
import type { Backend, KvTier } from "../src/backend/backend.ts"
import { loadCpuBackend } from "../src/backend/cpu/cpu.ts"
import { ReferenceBackend } from "../src/backend/reference/reference.ts"
import { Engine } from "../src/engine/engine.ts"
import { Qwen3Moe } from "../src/model/qwen3moe.ts"
import { allOf, greedy, promptOf } from "./scripted-model.ts"
import { raw, tinyPacked } from "./tiny-packed.ts"

const folder = mkdtempSync(join(tmpdir(), "a3b-kv-"))
afterAll(() => rmSync(folder, { recursive: true }))

const window = 128

const packed = tinyPacked(folder)
const ids = promptOf(600).map((id) => id % raw.vocab_size)

/** Logits of every position, from steps of `chunk` tokens. */
async function logitsOf(backend: Backend, chunk: number, tier: KvTier): Promise<Float32Array> {
  const model = Qwen3Moe.load(backend, packed, "balanced")
  const numPages = Math.ceil(ids.length / pageTokens)
  model.kvCache(numPages, window)
  const out = new Float32Array(ids.length * raw.vocab_size)
  for (let first = 0; first < ids.length; first += chunk) {
    const numTokens = Math.min(chunk, ids.length - first)
    const contextTokens = first + numTokens
    const pages = Int32Array.from(
      { length: Math.ceil(contextTokens / pageTokens) },
      (_, i) => numPages - 1 - i,
    )
    const tiers = Uint8Array.from(pages, (_, i) => (i === 0 ? 0 : tier))
    const positions = Int32Array.from({ length: numTokens }, (_, i) => first + i)
    const logits = model.forward({
      ids: Int32Array.from(ids.slice(first, contextTokens)),
      positions,
      slots: positions.map((position) => pages[position >> 7] * pageTokens + (position & 127)),
      sequences: [{ firstRow: 0, numTokens, contextTokens, pages, tiers }],
      logitRows: Int32Array.from(positions.keys()),
    })
    await backend.submit()
    out.set(backend.read(logits), first * raw.vocab_size)
  }
  return out
}

/** Where two lists differ in any bit; -1 if nowhere. */
const firstDifference = (a: Float32Array, b: Float32Array) => a.findIndex((x, i) => !Object.is(x, b[i]))

function engineOf(backend: Backend, tier: KvTier, chunkTokens: number): Engine {
  return new Engine(Qwen3Moe.load(backend, packed, "balanced"), {
    maxContext: 1024,
    kvPages: 8,
    chunkTokens,
    kv: { tier, floor: tier, budgetBytes: Infinity, window },
    tokenizerSize: raw.vocab_size,
  })
}

const backends: [string, () => Backend][] = [
  ["reference", () => new ReferenceBackend()],
  ["cpu", () => loadCpuBackend({ threads: 2 })],
]

describe.each(backends)("a model over compressed pages of the %s backend", (_, create) => {
  test.each<KvTier>([1, 3])("has the same logits at T%i, whatever the chunks", async (tier) => {
    const [one, most, all] = [1, 127, 512].map((chunk) => logitsOf(create(), chunk, tier))
    expect(firstDifference(await most, await all)).toBe(-1)
    expect(firstDifference(await one, await all)).toBe(-1)
  })

  test("has other logits than in 16 bits only behind the window, and closer ones by finer tiers", async () => {
    const exact = await logitsOf(create(), 200, 0)
    const errors: number[] = []
    for (const tier of [1, 2, 3] as const) {
      const got = await logitsOf(create(), 200, tier)
      const row = Math.floor(firstDifference(got, exact) / raw.vocab_size)
      // Page 1 ends at position 255: the first query that has it behind a window of 128.
      expect(row).toBe(255 + window)
      errors.push(got.reduce((sum, x, i) => sum + (x - exact[i]) ** 2, 0))
    }
    expect(errors[0]).toBeLessThan(errors[1] / 4)
    expect(errors[1]).toBeLessThan(errors[2])
  })

  test("gives the same when the engine trims and shares pages", async () => {
    const expected = await logitsOf(create(), 512, 2)
    const engine = engineOf(create(), 2, 32)
    const rows = await engine.logits(Int32Array.from(ids))
    const got = Float32Array.from(rows.flatMap((row) => [...row]))
    expect(firstDifference(got, expected)).toBe(-1)
    await engine.free()
  })

  test("goes on from no page that is there as codes only", async () => {
    const options = { sampling: { ...greedy, maxTokens: 400 }, stopIds: new Set<number>() }
    const engine = engineOf(create(), 2, 512)
    const first = Int32Array.from(ids.slice(0, 10))
    const reply = await allOf(engine.generate(first, options))
    // The window of this prompt's end has page 1, of which the long reply before left codes only.
    const next = Int32Array.from([...first, ...reply, 1, 2])
    const short = { ...options, sampling: { ...greedy, maxTokens: 2 } }
    await allOf(engine.generate(next, short))
    const other = Int32Array.from([...next.subarray(0, 300), 3, 4])
    const fresh = engineOf(create(), 2, 512)
    const replyOf = async (from: Engine) => {
      const generation = from.generate(other, { ...short, logprobs: 8 })
      const reply: unknown[] = []
      for await (const id of generation) reply.push([id, generation.takeLogprobs()])
      return reply
    }
    expect(await replyOf(engine)).toEqual(await replyOf(fresh))
    await Promise.all([engine.free(), fresh.free()])
  })

  test("replies alike to a prompt whose beginning it has kept", async () => {
    const options = { sampling: { ...greedy, maxTokens: 6 }, stopIds: new Set<number>() }
    const engine = engineOf(create(), 3, 100)
    const prompt = Int32Array.from(ids.slice(0, 590))
    const reply = await allOf(engine.generate(prompt, options))
    const longer = Int32Array.from([...prompt, ...reply, 1, 2, 3])
    const shared = engine.generate(longer, options)
    const fresh = engineOf(create(), 3, 512)
    expect(await allOf(shared)).toEqual(await allOf(fresh.generate(longer, options)))
    expect(shared.usage.cachedTokens).toBe(595)
    expect(shared.usage.kv?.tiers.T3).toBe(1)
    await Promise.all([engine.free(), fresh.free()])
  })
})
