// Recall over compressed pages, through the public path, by a checkpoint that recalls by construction.

import { join } from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import { haystack } from "../scripts/haystack.ts"
import { writeRetriever } from "../scripts/retriever.ts"
import { kvWindow, pageTokens } from "../src/backend/backend.ts"
import { loadCpuBackend } from "../src/backend/cpu/cpu.ts"
import { Engine } from "../src/engine/engine.ts"
import type { KvPolicy } from "../src/engine/tiers.ts"
import { load } from "../src/index.ts"
import type { LoadOptions } from "../src/index.ts"
import { Qwen3Moe } from "../src/model/qwen3moe.ts"
import { prepare } from "../src/prepare.ts"
import { ownHome } from "./own-home.ts"
import { allOf, greedy } from "./scripted-model.ts"

const words = 1500
const needles = 32
const length = 4000
const folder = ownHome("recall")

/** A checkpoint with outliers of its own, written once. */
const written = new Map<number, string>()
function retriever(outliers: number): string {
  const path = written.get(outliers) ?? join(folder, `x${outliers}`)
  if (!written.has(outliers)) writeRetriever(path, { words, outliers })
  written.set(outliers, path)
  return path
}

const one = { ...greedy, maxTokens: 1 }
const none = new Set<number>()

/** Part of the needles that are found: each is asked for after the same haystack, whose pages are kept. */
async function recall(ask: (ids: Int32Array) => AsyncIterable<number>): Promise<number> {
  const { ids, values } = haystack(length, needles, words)
  let found = 0
  for (const [key, value] of values.entries())
    for await (const id of ask(Int32Array.from([...ids, key]))) if (id === value) found++
  return found / needles
}

async function recallOf(outliers: number, options: LoadOptions) {
  const llm = await load(retriever(outliers), { quant: "keep", backend: "cpu", context: 4096, ...options })
  onTestFinished(() => llm.free())
  let cachedTokens = 0
  const found = await recall((ids) => {
    const generation = llm.generate(ids, { sampling: one, stopIds: none })
    return (async function* () {
      yield* generation
      cachedTokens = generation.usage.cachedTokens
      expect(generation.usage.kv?.tiers.T0 ?? 32).toBeGreaterThan(8)
    })()
  })
  return { found, cachedTokens }
}

describe("needles in 4,000 tokens", () => {
  test.each(["f16", "T1", "T2", "T3"] as const)("are all found with %s", async (kv) => {
    expect(await recallOf(1, { kv })).toEqual({ found: 1, cachedTokens: length })
  })

  test.each([16, 64])("are all found at T3 with outliers times %i", async (outliers) => {
    expect((await recallOf(outliers, { kv: "T3" })).found).toBe(1)
  })

  /** What is found at x64 by an engine of its own. */
  async function foundBy(
    norms: "as stored" | "balanced",
    kv: Pick<KvPolicy, "tier" | "floor" | "budgetBytes">,
  ) {
    const backend = loadCpuBackend()
    const model = Qwen3Moe.load(backend, await prepare(retriever(64), { quant: "keep" }), norms)
    const engine = new Engine(model, {
      maxContext: 4096,
      kvPages: 4096 / pageTokens,
      chunkTokens: 512,
      kv: { ...kv, window: kvWindow },
      tokenizerSize: model.config.vocab,
    })
    let lowest = 0
    const found = await recall((ids) => {
      const generation = engine.generate(ids, { sampling: one, stopIds: none })
      return (async function* () {
        yield* generation
        lowest = generation.usage.kv?.tiers.T3 ?? 0
      })()
    })
    await engine.free()
    backend.free()
    return { found, lowest }
  }

  test("are found when pages are demoted for a budget", async () => {
    // A page of this model takes 192 KiB in 16 bits; 13 of them and 19 at T1 are 4.4 MiB.
    const { found, lowest } = await foundBy("balanced", { tier: 1, floor: 3, budgetBytes: 3.6 * 2 ** 20 })
    expect(found).toBe(1)
    expect(lowest).toBeGreaterThan(5)
  })

  test("are lost among outliers where the norms are not balanced: the outliers have teeth", async () => {
    const { found } = await foundBy("as stored", { tier: 3, floor: 3, budgetBytes: Infinity })
    expect(found).toBeLessThan(0.7)
  })

  test("are told with how they were kept", async () => {
    const llm = await load(retriever(1), { quant: "keep", backend: "cpu", context: 4096, kv: "T2" })
    onTestFinished(() => llm.free())
    const { ids } = haystack(length, needles, words)
    const generation = llm.generate(ids, { sampling: one, stopIds: none })
    await allOf(generation)
    const { tiers, bytes, savedBytes } = generation.usage.kv!
    // The last chunk begins at 3,584: 20 pages lie behind its window, of which the first is a sink.
    expect(tiers).toEqual({ T0: 13, T1: 0, T2: 19, T3: 0 })
    expect(bytes + savedBytes).toBe(32 * 3 * 128 * 512)
  })
})
