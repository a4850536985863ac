// What every backend must do with whole pages of keys and values: what is injected, or exported and imported, is what a
// step stored, in every bit that attention reads.

import { describe, expect, test } from "vitest"
import type { Backend, Batch, CodedTier, KvCache, KvRows, KvTier } from "../src/backend/backend.ts"
import { kvPageBytes, pageTokens } from "../src/backend/backend.ts"
import { UserError } from "../src/util/errors.ts"
import { integer, seeded } from "./random.ts"

const [layers, kvHeads, heads, window] = [2, 2, 4, 128]
/** Of the story's pages that are full; its queries have the last one in their window. */
const tiers: readonly KvTier[] = [0, 1, 2, 3, 2]
/** How these pages are read. */
const read = tiers.with(4, 0)
const full = tiers.length * pageTokens
const tokens = full + 4

interface Story {
  readonly headDim: number
  readonly q: Float32Array
  /** By layer. */
  readonly rows: readonly KvRows[]
}

/** Values of many sizes, some too small for a normal half or float, and a token of nothing but zeros. */
function storyOf(headDim: number): Story {
  const random = seeded(headDim)
  const rows = (columns: number) => {
    const out = Float32Array.from(
      { length: tokens * columns },
      () => (random() - 0.5) * 2 ** integer(random, -30, 3),
    )
    out.fill(0, 300 * columns, 301 * columns)
    out.fill(2 ** -140, 301 * columns, 302 * columns)
    return out
  }
  const shared = kvHeads * headDim
  const layer = () => ({ keys: rows(shared), values: rows(shared) })
  return { headDim, q: rows(heads * headDim), rows: [layer(), layer()] }
}

/** A page's part of all rows. */
function pageOf(story: Story, layer: number, page: number): KvRows {
  const size = pageTokens * kvHeads * story.headDim
  const part = (rows: Float32Array) => rows.slice(page * size, (page + 1) * size)
  const { keys, values } = story.rows[layer]
  return { keys: part(keys), values: part(values) }
}

/** Where the story's pages lie in a cache: not in order. */
const placeOf = (page: number) => (page * 3 + 1) % 7
const newCache = (ops: Backend, headDim: number) =>
  ops.kvCache({ layers, pages: 7, kvHeads, headDim, window })

function batchOf(first: number, to: number): Batch {
  const positions = Int32Array.from({ length: to - first }, (_, i) => first + i)
  const pages = Int32Array.from({ length: Math.ceil(to / pageTokens) }, (_, page) => placeOf(page))
  const sequence = {
    firstRow: 0,
    numTokens: to - first,
    contextTokens: to,
    pages,
    tiers: Uint8Array.from(pages, (_, page) => tiers[page] ?? 0),
  }
  const slots = positions.map((position) => pages[position >> 7] * pageTokens + (position & 127))
  return {
    ids: new Int32Array(to - first),
    positions,
    slots,
    sequences: [sequence],
    logitRows: new Int32Array(0),
  }
}

/** A step of the story's tokens: stored, and what they attend to where that is wanted. */
async function step(ops: Backend, kv: KvCache, { q, rows }: Story, first: number, to: number) {
  ops.begin(batchOf(first, to))
  const part = (x: Float32Array) => {
    const columns = x.length / tokens
    return ops.tensor(x.slice(first * columns, to * columns), to - first, columns)
  }
  const out = rows.map(({ keys, values }, layer) => {
    ops.storeKv(kv, layer, part(keys), part(values))
    return first === full ? ops.attend(part(q), kv, layer) : undefined
  })
  await ops.submit()
  return out.flatMap((x) => (x ? [...ops.read(x)] : []))
}

/** All full pages, as a prefill makes them. */
const store = (ops: Backend, kv: KvCache, story: Story) => step(ops, kv, story, 0, full)
/** What the last tokens find in them. */
const ask = (ops: Backend, kv: KvCache, story: Story) => step(ops, kv, story, full, tokens)

function inject(ops: Backend, kv: KvCache, story: Story): void {
  for (const [page, tier] of tiers.entries())
    for (let layer = 0; layer < layers; layer++)
      ops.writeKv(kv, layer, placeOf(page), pageOf(story, layer, page), tier)
}

const firstDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  a.length === b.length ? Array.from(a).findIndex((x, i) => !Object.is(x, b[i])) : -2

export function describeKvPages(backend: () => Backend): void {
  describe.each([32, 128])("whole pages of keys and values, in heads of %i", (headDim) => {
    const story = storyOf(headDim)

    test("that are injected are read as those that a step stored, by every tier", async () => {
      const ops = backend()
      const [stored, injected] = [newCache(ops, headDim), newCache(ops, headDim)]
      await store(ops, stored, story)
      inject(ops, injected, story)
      for (const [page, tier] of read.entries()) {
        const [a, b] = [stored, injected].map((kv) => ops.exportPage(kv, placeOf(page), tier))
        expect(firstDifference(b, a)).toBe(-1)
      }
      const expected = await ask(ops, stored, story)
      expect(firstDifference(await ask(ops, injected, story), expected)).toBe(-1)
    })

    test("are read back as they are kept", async () => {
      const ops = backend()
      const kv = newCache(ops, headDim)
      await store(ops, kv, story)
      // Eight significant bits fit into a half.
      const random = seeded(1)
      const short = () =>
        Float32Array.from({ length: pageTokens * kvHeads * headDim }, () => integer(random, -128, 127) / 64)
      const written = { keys: short(), values: short() }
      ops.writeKv(kv, 1, placeOf(2), written, 0)
      expect(ops.readKv(kv, 1, placeOf(2))).toEqual(written)
      // Others are rounded once: to write them again changes nothing.
      const kept = ops.readKv(kv, 1, placeOf(3))
      ops.writeKv(kv, 0, placeOf(1), kept, 0)
      expect(ops.readKv(kv, 0, placeOf(1))).toEqual(kept)
      const { keys } = pageOf(story, 1, 3)
      expect(
        Math.max(...kept.keys.map((x, i) => Math.abs(x - keys[i]) - Math.abs(keys[i]) / 2048)),
      ).toBeLessThan(2 ** -24)
    })

    test("are in another cache what they were, by exporting and importing them", async () => {
      const ops = backend()
      const [kv, other] = [newCache(ops, headDim), newCache(ops, headDim)]
      await store(ops, kv, story)
      const expected = await ask(ops, kv, story)
      for (const [page, tier] of read.entries()) {
        if (tier > 0) ops.trimKv(kv, placeOf(page), tier as CodedTier)
        const bytes = ops.exportPage(kv, placeOf(page), tier)
        const size = layers * kvHeads * kvPageBytes(tier, headDim)
        expect(bytes.length).toBe(tier === 0 && ops.name === "reference" ? 2 * size : size)
        ops.importPage(other, placeOf(page), tier, bytes)
      }
      // What is exported is a copy.
      for (let page = 0; page < 7; page++) ops.trimKv(kv, page, "nothing")
      expect(firstDifference(await ask(ops, other, story), expected)).toBe(-1)
    })

    test("that do not fit are bugs, and imported bytes are refused", () => {
      const ops = backend()
      const kv = newCache(ops, headDim)
      const rows = pageOf(story, 0, 0)
      const bug = /^bug: /
      expect(() => ops.writeKv(kv, 2, 0, rows, 0)).toThrow(bug)
      expect(() => ops.writeKv(kv, 0, 7, rows, 0)).toThrow(bug)
      expect(() => ops.writeKv(kv, 0, 0, { ...rows, values: rows.values.slice(1) }, 0)).toThrow(bug)
      expect(() => ops.writeKv(kv, 0, 0, rows, 4 as KvTier)).toThrow(bug)
      ops.writeKv(kv, 0, 0, rows, 2)
      expect(() => ops.readKv(kv, 2, 0)).toThrow(bug)
      expect(() => ops.readKv(kv, 0, -1)).toThrow(bug)
      expect(() => ops.exportPage(kv, 7, 0)).toThrow(bug)
      for (const tier of [0, 3] as const)
        expect(() => ops.importPage(kv, 0, tier, ops.exportPage(kv, 0, 0).subarray(1))).toThrow(UserError)
    })
  })
}
