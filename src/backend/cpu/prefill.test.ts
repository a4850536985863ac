import { describe, expect, test } from "vitest"
import { gaussian } from "../../../test/kv-synthetic.ts"
import { integer, seeded } from "../../../test/random.ts"
import type { Backend, KvCache, KvTier, PrefillMode } from "../backend.ts"
import { pageTokens } from "../backend.ts"
import { ReferenceBackend } from "../reference/reference.ts"
import { instructionSets, loadCpuBackend } from "./cpu.ts"

const window = 128

interface Shape {
  headDim: number
  kvHeads: number
  heads: number
}

/** A sequence: its pages, their tiers, and what its tokens bring, row by row. */
interface Story extends Shape {
  pages: number[]
  tiers: KvTier[]
  q: Float32Array[]
  k: Float32Array[]
  v: Float32Array[]
}

type Values = "short" | "gaussian"

/** Short values have eight significant bits: neither 16-bit pages nor products of bfloat16 lose anything of them. */
function storyOf(
  tokens: number,
  shape: Shape,
  tierOf: (page: number) => KvTier,
  { values = "short", firstPage = 0 }: { values?: Values; firstPage?: number } = {},
): Story {
  const random = seeded(tokens + shape.headDim)
  const value = () => (values === "short" ? integer(random, -128, 127) / 64 : gaussian(random))
  const rows = (heads: number) =>
    Array.from({ length: tokens }, () => Float32Array.from({ length: heads * shape.headDim }, value))
  const count = Math.ceil(tokens / pageTokens)
  return {
    ...shape,
    // Neighbours in a sequence are not neighbours in the cache.
    pages: Array.from({ length: count }, (_, i) => firstPage + count - 1 - i),
    tiers: Array.from({ length: count }, (_, i) => tierOf(i)),
    q: rows(shape.heads),
    k: rows(shape.kvHeads),
    v: rows(shape.kvHeads),
  }
}

/** Positions `from` up to `to` of a story. */
interface Part {
  story: Story
  from: number
  to: number
}

const cacheOf = (ops: Backend, pages: number, { kvHeads, headDim }: Shape): KvCache =>
  ops.kvCache({ layers: 1, pages, kvHeads, headDim, window })

/** One step: what attention gives for all rows of these parts, or nothing where they are only to be stored. */
async function step(ops: Backend, kv: KvCache, parts: Part[], wanted: "attend" | "store" = "attend") {
  let firstRow = 0
  const sequences = parts.map(({ story, from, to }) => {
    const sequence = {
      firstRow,
      numTokens: to - from,
      contextTokens: to,
      pages: Int32Array.from(story.pages.slice(0, Math.ceil(to / pageTokens))),
      tiers: Uint8Array.from(story.tiers.slice(0, Math.ceil(to / pageTokens))),
    }
    firstRow += to - from
    return sequence
  })
  const places = parts.flatMap(({ story, from, to }) =>
    Array.from({ length: to - from }, (_, i) => ({
      position: from + i,
      slot: story.pages[(from + i) >> 7] * pageTokens + ((from + i) & 127),
    })),
  )
  ops.begin({
    ids: new Int32Array(firstRow),
    positions: Int32Array.from(places, ({ position }) => position),
    slots: Int32Array.from(places, ({ slot }) => slot),
    sequences,
    logitRows: new Int32Array(0),
  })
  const tensor = (key: "q" | "k" | "v") => {
    const rows = parts.flatMap(({ story, from, to }) => story[key].slice(from, to))
    return ops.tensor(joined(rows), rows.length, rows[0].length)
  }
  ops.storeKv(kv, 0, tensor("k"), tensor("v"))
  const out = wanted === "attend" ? ops.attend(tensor("q"), kv, 0) : undefined
  await ops.submit()
  return out ? ops.read(out) : new Float32Array(0)
}

function joined(rows: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0))
  let at = 0
  for (const row of rows) {
    out.set(row, at)
    at += row.length
  }
  return out
}

/** Attention of the story's tokens from `first` on, cut at these positions; those before it are only stored. */
async function attended(ops: Backend, story: Story, first: number, cuts: number[]): Promise<Float32Array> {
  const kv = cacheOf(ops, story.pages.length, story)
  if (first > 0) await step(ops, kv, [{ story, from: 0, to: first }], "store")
  const out: Float32Array[] = []
  const bounds = [first, ...cuts, story.q.length]
  for (let i = 1; i < bounds.length; i++)
    out.push(await step(ops, kv, [{ story, from: bounds[i - 1], to: bounds[i] }]))
  return joined(out)
}

const cutsOf = (first: number, tokens: number, chunk: number) =>
  Array.from({ length: Math.ceil((tokens - first) / chunk) - 1 }, (_, i) => first + (i + 1) * chunk)

async function onCpu<T>(
  options: { isa?: string; threads?: number; prefillMode?: PrefillMode },
  work: (ops: Backend) => Promise<T>,
): Promise<T> {
  const ops = loadCpuBackend({ threads: 2, ...options })
  try {
    return await work(ops)
  } finally {
    ops.free()
  }
}

const firstDifference = (a: Float32Array, b: Float32Array) =>
  a.length === b.length ? a.findIndex((x, i) => !Object.is(x, b[i])) : Math.min(a.length, b.length)

const rms = (x: Float32Array) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length)
const differences = (a: Float32Array, b: Float32Array) => a.map((x, i) => x - b[i])
const relativeDistance = (got: Float32Array, from: Float32Array) => rms(differences(got, from)) / rms(from)

const mixed = (page: number): KvTier => (page % 4) as KvTier
const everyTier: [string, (page: number) => KvTier][] = [
  ["T0", () => 0],
  ["T1", () => 1],
  ["T2", () => 2],
  ["T3", () => 3],
  ["all tiers in turn", mixed],
]

describe.each(instructionSets())("many rows on %s", (isa) => {
  // The window ends within pages: of neighbouring rows one reads 16 bits where the next reads codes.
  test.each(everyTier)("have the bits of rows one at a time, 512 in a step, %s", async (_, tierOf) => {
    const story = storyOf(700, { headDim: 32, kvHeads: 1, heads: 8 }, tierOf)
    const first = 700 - 512
    const alone = await onCpu({ isa }, (ops) => attended(ops, story, first, cutsOf(first, 700, 1)))
    const together = await onCpu({ isa }, (ops) => attended(ops, story, first, []))
    expect(firstDifference(together, alone)).toBe(-1)
  })

  test.each([
    { headDim: 32, kvHeads: 2, heads: 10 },
    { headDim: 64, kvHeads: 1, heads: 9 },
    { headDim: 128, kvHeads: 2, heads: 16 },
    { headDim: 128, kvHeads: 1, heads: 3 },
  ])("have them with heads of $headDim, $heads over $kvHeads", async (shape) => {
    const story = storyOf(420, shape, mixed)
    const alone = await onCpu({ isa }, (ops) => attended(ops, story, 350, cutsOf(350, 420, 1)))
    for (const threads of [1, 3])
      for (const cuts of [[], [387], [354, 359, 416]]) {
        const got = await onCpu({ isa, threads }, (ops) => attended(ops, story, 350, cuts))
        expect({ threads, cuts, different: firstDifference(got, alone) }).toEqual({
          threads,
          cuts,
          different: -1,
        })
      }
  })

  test.each<PrefillMode>(["exact", "fast"])(
    "of several sequences in one step say what the reference's say, %s",
    async (prefillMode) => {
      const shape = { headDim: 64, kvHeads: 2, heads: 16 }
      // From nothing to within a page; across pages and window; one that decodes; all of a page; two rows.
      const lengths = [200, 500, 290, 128, 131]
      const counts = [200, 75, 1, 128, 2]
      const stories = lengths.map((tokens, i) => storyOf(tokens, shape, mixed, { firstPage: 4 * i }))
      const run = async (ops: Backend) => {
        const kv = cacheOf(ops, 4 * stories.length, shape)
        const parts = stories.map((story, i) => ({ story, from: lengths[i] - counts[i], to: lengths[i] }))
        for (const { story, from } of parts)
          if (from > 0) await step(ops, kv, [{ story, from: 0, to: from }], "store")
        return step(ops, kv, parts)
      }
      const expected = await run(new ReferenceBackend())
      const got = await onCpu({ isa, prefillMode }, run)
      const worst = differences(got, expected).reduce((most, x) => Math.max(most, Math.abs(x)), 0)
      // Exact: float32 sums, and weights rounded to either of two whole numbers (kv.test.ts). Fast: weights and dequantised
      // levels may be rounded by 2^-9 each, and the largest outputs, of rows that see few keys, are five times the rms.
      expect(worst / rms(expected)).toBeLessThan(prefillMode === "exact" ? 1e-4 : 0.02)
    },
  )
})

describe("fast prefill", () => {
  const shape = { headDim: 128, kvHeads: 1, heads: 8 }
  const run = (story: Story, first: number, cuts: number[], options = {}) =>
    onCpu({ prefillMode: "fast", ...options }, (ops) => attended(ops, story, first, cuts))

  test.each(everyTier)("is as far from exact as rounding its factors makes it, %s", async (_, tierOf) => {
    const story = storyOf(900, shape, tierOf, { values: "gaussian" })
    const exact = await onCpu({}, (ops) => attended(ops, story, 600, []))
    const distance = relativeDistance(await run(story, 600, []), exact)
    // Four factors (queries, keys, weights, values) are each rounded by 2^-9 at most; scores are about 1.
    expect(distance).toBeLessThan(4 * 2 ** -9)
    // Its sums have another order at least: a distance of nothing would mean that it did not run.
    expect(distance).toBeGreaterThan(0)
  })

  test.each([
    ["rise from page to page", (page: number) => Math.floor(page)],
    ["fall from page to page", (page: number) => 6 - Math.floor(page)],
    ["rise in the middle of pages", (page: number) => Math.floor(page + 0.5)],
    ["rise once", (page: number) => (Math.floor(page) === 3 ? 6 : 0)],
    // Not yet enough to begin anew in the first half of page 3, which counts all the same.
    ["rise in two steps", (page: number) => (page < 3 ? 0 : page < 3.5 ? 15 / 32 : 17 / 32)],
  ])("is as near where scores %s, by more than floats hold", async (_, height) => {
    const story = storyOf(900, shape, () => 0, { values: "gaussian" })
    const random = seeded(5)
    for (const q of story.q) q.fill(1)
    // Exact in bfloat16; a page's scores lie 45 times its height above, which is a weight of 2^65 a step.
    for (const [t, k] of story.k.entries())
      for (const i of k.keys()) k[i] = 4 * height(t / pageTokens) + integer(random, -8, 8) / 8
    const exact = await onCpu({}, (ops) => attended(ops, story, 600, []))
    const distance = relativeDistance(await run(story, 600, []), exact)
    // Weights and values are rounded.
    expect(distance).toBeLessThan(2 * 2 ** -8)
    expect(distance).toBeGreaterThan(0)
  })

  test("gives a row the same bits however many come with it, from four on", async () => {
    const story = storyOf(500, shape, mixed, { values: "gaussian" })
    const expected = await run(story, 380, [])
    for (const [threads, cuts] of [
      [1, []],
      [3, [384, 391, 450]],
      [2, cutsOf(380, 500, 4)],
    ] as const)
      expect(firstDifference(await run(story, 380, [...cuts], { threads }), expected)).toBe(-1)
  })

  test("leaves fewer rows exact", async () => {
    const story = storyOf(300, shape, mixed, { values: "gaussian" })
    const cuts = cutsOf(280, 300, 3)
    const exact = await onCpu({}, (ops) => attended(ops, story, 280, cuts))
    expect(firstDifference(await run(story, 280, cuts), exact)).toBe(-1)
  })

  test("reads nothing of what an earlier sequence left in a page", async () => {
    const story = storyOf(20, shape, () => 0)
    const after = async (before: number) =>
      onCpu({ prefillMode: "fast" }, async (ops) => {
        const kv = cacheOf(ops, 1, shape)
        const former = storyOf(128, shape, () => 0)
        for (const row of [...former.k, ...former.v]) row.fill(before)
        await step(ops, kv, [{ story: former, from: 0, to: 128 }], "store")
        return step(ops, kv, [{ story, from: 0, to: 20 }])
      })
    // Beyond what 16 bits hold: infinities.
    expect(firstDifference(await after(1e30), await after(0))).toBe(-1)
  })
})
