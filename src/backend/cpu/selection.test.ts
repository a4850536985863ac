import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { integer, seeded } from "../../../test/random.ts"
import { pageTokens, selection } from "../backend.ts"
import type { Attention, Backend, Batch, KvTier, Selections } from "../backend.ts"
import { ReferenceBackend } from "../reference/reference.ts"
import { instructionSets, loadCpuBackend } from "./cpu.ts"

const kvHeads = 2
const window = 128
/** Enough that more than `selection.most` are in codes. */
const tokens = 10_400
/** Queries of so many of the last tokens are asked. */
const asked = 2

/** Keys and values have eight significant bits, which 16-bit pages keep. */
interface Story {
  headDim: number
  /** Query heads of a key/value head. */
  group: number
  /** [asked] rows of the last tokens */
  q: Float32Array
  k: Float32Array
  v: Float32Array
}

function noise(random: () => number, length: number): Float32Array {
  return Float32Array.from({ length }, () => integer(random, -64, 64) / 64)
}

/** Signs, for each key/value head and each of `count` directions. */
function directions(random: () => number, count: number, headDim: number): Float32Array[] {
  return Array.from({ length: kvHeads * count }, () =>
    Float32Array.from({ length: headDim }, () => (random() < 0.5 ? -1 : 1)),
  )
}

/**
 * Adds a direction to a key, so that a query of `strength` times the same direction has a logit of `logit` with it;
 * noise makes that of other keys about 0.6 * strength.
 */
function point(key: Float32Array, direction: Float32Array, strength: number, logit: number): void {
  const by = Math.round((logit / (strength * Math.sqrt(direction.length))) * 64) / 64
  for (let i = 0; i < key.length; i++) key[i] += by * direction[i]
}

const keyOf = (k: Float32Array, headDim: number, token: number, head: number) =>
  k.subarray((token * kvHeads + head) * headDim, (token * kvHeads + head + 1) * headDim)

/** Blocks of the first 10,240 tokens. */
function drawn(random: () => number, count: number): number[] {
  const left = Array.from({ length: 640 }, (_, block) => block)
  return Array.from({ length: count }, () => left.splice(integer(random, 0, left.length - 1), 1)[0])
}

/** Even and odd query heads look for other blocks, 150 of each: where the choice ends shows in the sum. */
function hotBlocks(headDim: number, group: number): Story {
  const random = seeded(headDim)
  const [k, v] = [noise(random, tokens * kvHeads * headDim), noise(random, tokens * kvHeads * headDim)]
  const q = noise(random, asked * kvHeads * group * headDim).map((x) => x / 8)
  const ways = directions(random, 2, headDim)
  for (let head = 0; head < kvHeads; head++)
    for (let way = 0; way < 2; way++)
      for (const block of drawn(random, 150)) {
        const first = block * selection.blockTokens
        for (let token = first; token < first + selection.blockTokens; token++)
          point(keyOf(k, headDim, token, head), ways[2 * head + way], 1, 7)
      }
  for (let at = 0; at < q.length; at += headDim) {
    const head = (at / headDim) % (kvHeads * group)
    const way = ways[2 * Math.floor(head / group) + (head % 2)]
    for (let i = 0; i < headDim; i++) q[at + i] += way[i]
  }
  return { headDim, group, q, k, v }
}

function batchOf(
  first: number,
  numTokens: number,
  tierOf: (page: number) => KvTier,
  selectiveFrom?: number,
): Batch {
  const contextTokens = first + numTokens
  const pages = Int32Array.from({ length: Math.ceil(contextTokens / pageTokens) }, (_, i) => i ^ 1)
  const positions = Int32Array.from({ length: numTokens }, (_, i) => first + i)
  const tiers = Uint8Array.from(pages, (_, i) => tierOf(i))
  return {
    ids: new Int32Array(numTokens),
    positions,
    slots: positions.map((position) => pages[position >> 7] * pageTokens + (position & 127)),
    sequences: [{ firstRow: 0, numTokens, contextTokens, pages, tiers, selectiveFrom }],
    logitRows: new Int32Array(0),
  }
}

/** With a sequence of one token behind, which has this page. */
function withAnother(batch: Batch, page: number): Batch {
  const numTokens = batch.ids.length
  const another = { firstRow: numTokens, numTokens: 1, contextTokens: 1, pages: Int32Array.of(page) }
  return {
    ...batch,
    ids: Int32Array.of(...batch.ids, 0),
    positions: Int32Array.of(...batch.positions, 0),
    slots: Int32Array.of(...batch.slots, page * pageTokens),
    sequences: [...batch.sequences, another],
  }
}

interface Asking {
  tierOf?: (page: number) => KvTier
  attention?: Attention
  selectiveFrom?: number
  /** Rows of a step of the asked tokens. */
  chunk?: number
  company?: "alone" | "with another"
}

const tiered = (page: number): KvTier => (page % 30 === 0 ? 0 : ((1 + (page % 3)) as KvTier)) // 1 to 3

/** Attention of the asked tokens, and what came of choosing. */
async function ask(
  ops: Backend,
  story: Story,
  {
    tierOf = tiered,
    attention = "selective",
    selectiveFrom = 0,
    chunk = asked,
    company = "alone",
  }: Asking = {},
): Promise<{ sums: Float32Array; selections: Selections }> {
  const { headDim, group, q, k, v } = story
  const kv = ops.kvCache({ layers: 1, pages: Math.ceil(tokens / pageTokens) + 1, kvHeads, headDim, window })
  // The other sequence's rows are zeros.
  const rows = (x: Float32Array, first: number, numTokens: number, columns: number, others = 0) => {
    const values = new Float32Array((numTokens + others) * columns)
    values.set(x.subarray(first * columns, (first + numTokens) * columns))
    return ops.tensor(values, numTokens + others, columns)
  }
  const others = company === "alone" ? 0 : 1
  const store = (first: number, numTokens: number, others = 0) => {
    const [keys, values] = [k, v].map((x) => rows(x, first, numTokens, kvHeads * headDim, others))
    ops.storeKv(kv, 0, keys, values)
  }
  ops.begin(batchOf(0, tokens - asked, tierOf))
  store(0, tokens - asked)
  await ops.submit()
  const sums: number[] = []
  for (let first = tokens - asked; first < tokens; first += chunk) {
    const batch = batchOf(first, chunk, tierOf, selectiveFrom)
    ops.begin(others > 0 ? withAnother(batch, kv.shape.pages - 1) : batch)
    store(first, chunk, others)
    const queries = rows(q, first - (tokens - asked), chunk, kvHeads * group * headDim, others)
    const sum = ops.attend(queries, kv, 0, attention)
    await ops.submit()
    sums.push(...ops.read(sum).subarray(0, chunk * queries.columns))
  }
  return { sums: Float32Array.from(sums), selections: ops.selections(kv) }
}

async function onCpu(
  story: Story,
  asking: Asking = {},
  { isa, threads = 2 }: { isa?: string; threads?: number } = {},
): ReturnType<typeof ask> {
  const ops = loadCpuBackend({ ...(isa && { isa }), threads })
  try {
    return await ask(ops, story, asking)
  } finally {
    ops.free()
  }
}

const firstDifference = (a: Float32Array, b: Float32Array) => a.findIndex((x, i) => !Object.is(x, b[i]))

/** The largest difference, in parts of the expected values' rms. */
function distance(got: Float32Array, expected: Float32Array): number {
  const rms = Math.sqrt(expected.reduce((sum, x) => sum + x * x, 0) / expected.length)
  return got.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i])), 0) / rms
}

describe.each([
  [32, 5],
  [64, 1],
  [128, 8],
])("queries that choose, with heads of %i in groups of %i,", (headDim, group) => {
  const story = hotBlocks(headDim, group)

  // The same choices, or a block of a thousandth of the attention would be missing; else float32 sums against float64, and
  // weights that are rounded to either of two whole numbers (kv.test.ts).
  test("read what the reference's read, on every instruction set and number of threads", async () => {
    const expected = await ask(new ReferenceBackend(), story)
    expect(expected.selections).toMatchObject({ scanned: asked * kvHeads, fellBack: 0 })
    const { kept, tokens: chosen } = expected.selections
    expect(kept / expected.selections.scanned).toBeGreaterThan(selection.enough)
    expect(chosen / expected.selections.scanned).toBeGreaterThan(
      group === 1 ? selection.least : 1.5 * selection.least,
    )
    expect(chosen / expected.selections.scanned).toBeLessThan(selection.most)
    const first = await onCpu(story)
    expect(first.selections).toEqual(expected.selections)
    expect(distance(first.sums, expected.sums)).toBeLessThan(1e-4)
    for (const [i, isa] of instructionSets().entries()) {
      const { sums, selections } = await onCpu(story, {}, { isa, threads: 1 + 2 * (i % 2) })
      const different = firstDifference(sums, first.sums)
      expect({ isa, different, selections }).toEqual({ isa, different: -1, selections: first.selections })
    }
  })

  test("keep what they were estimated to keep, and no more is lost than that", async () => {
    const [chosen, exact] = [await onCpu(story), await onCpu(story, { attention: "exact" })]
    expect(exact.selections).toEqual({ scanned: 0, fellBack: 0, kept: 0, tokens: 0 })
    // At most 2 % of the tokens that are attended to are missing; of noise, that is a root of 2 % of the sum.
    const off = Math.hypot(...chosen.sums.map((x, i) => x - exact.sums[i])) / Math.hypot(...exact.sums)
    expect(off).toBeLessThan(0.2)
    expect(firstDifference(chosen.sums, exact.sums)).not.toBe(-1)
  })
})

describe("queries that choose", () => {
  const story = hotBlocks(64, 8)

  test("give the same bits however the tokens are cut into steps", async () => {
    const selectiveFrom = tokens - 1
    const together = await onCpu(story, { selectiveFrom })
    const apart = await onCpu(story, { selectiveFrom, chunk: 1 })
    expect(together.selections.scanned).toBe(kvHeads)
    expect(apart.selections).toEqual(together.selections)
    expect(firstDifference(apart.sums, together.sums)).toBe(-1)
  })

  test("give the same bits beside another sequence", async () => {
    const [alone, beside] = [await onCpu(story), await onCpu(story, { company: "with another" })]
    expect(beside.selections).toEqual(alone.selections)
    expect(firstDifference(beside.sums, alone.sums)).toBe(-1)
  })

  test("do not where an op or a sequence lets none, or few pages are codes", async () => {
    const exact = await onCpu(story, { attention: "exact" })
    const cases: Asking[] = [{ selectiveFrom: tokens }, { tierOf: (page) => (page < 15 ? 0 : tiered(page)) }]
    const [late, short] = [await onCpu(story, cases[0]), await onCpu(story, cases[1])]
    expect(late.selections.scanned).toBe(0)
    expect(short.selections.scanned).toBe(0)
    expect(firstDifference(late.sums, exact.sums)).toBe(-1)
  })

  test("read everything, to the bit, where attention is spread over all tokens", async () => {
    const diffuse = { ...story, q: story.q.map(() => 0) }
    const [got, exact] = [await onCpu(diffuse), await onCpu(diffuse, { attention: "exact" })]
    expect(got.selections).toEqual({ scanned: 4, fellBack: 4, kept: 0, tokens: 0 })
    expect(firstDifference(got.sums, exact.sums)).toBe(-1)
    const reference = await ask(new ReferenceBackend(), diffuse)
    expect(reference.selections).toEqual(got.selections)
  })

  test("do not hear of a NaN in another group", async () => {
    const poisoned = { ...story, q: story.q.map((x, i) => (i === 5 ? NaN : x)) }
    const [got, clean] = [await onCpu(poisoned), await onCpu(story)]
    const others = (x: Float32Array) => x.subarray(story.group * story.headDim)
    expect(firstDifference(others(got.sums), others(clean.sums))).toBe(-1)
    expect(got.selections.scanned).toBe(clean.selections.scanned)
  })

  test("always find a needle, wherever it lies", async () => {
    const [headDim, group] = [64, 8]
    const property = fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 }), async (seed) => {
      const random = seeded(seed)
      const columns = kvHeads * headDim
      const [k, v] = [noise(random, tokens * columns), noise(random, tokens * columns)]
      const ways = directions(random, asked * group, headDim)
      const q = new Float32Array(asked * kvHeads * group * headDim)
      const wanted: Float32Array[] = []
      for (let i = 0; i < q.length / headDim; i++) {
        const [head, depth] = [Math.floor(i / group) % kvHeads, integer(random, 0, tokens - 200)]
        point(keyOf(k, headDim, depth, head), ways[i], 1.5, 16)
        q.set(
          ways[i].map((x) => 1.5 * x),
          i * headDim,
        )
        wanted.push(keyOf(v, headDim, depth, head).slice())
      }
      const { sums, selections } = await onCpu(
        { headDim, group, q, k, v },
        { tierOf: (page) => (page === 0 ? 0 : 2) },
      )
      expect(selections).toMatchObject({ scanned: asked * kvHeads, fellBack: 0 })
      expect(selections.tokens).toBeLessThan(selections.scanned * selection.most)
      // Codes of four bits are off by a tenth of a value's rms; a value that is not the needle's is off by all of it.
      for (const [i, want] of wanted.entries())
        expect(distance(sums.subarray(i * headDim, (i + 1) * headDim), want)).toBeLessThan(0.5)
    })
    await fc.assert(property, { numRuns: 4, seed: 1 })
  })
})
