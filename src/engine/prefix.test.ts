import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { pageTokens } from "../backend/backend.ts"
import { Pages, pagesFor } from "./pages.ts"
import { Prefixes } from "./prefix.ts"
import { Tiers } from "./tiers.ts"

/** `length` ids, those from `branch` on different for each seed. */
const ids = (length: number, seed = 0, branch = 150) =>
  Int32Array.from({ length }, (_, i) => (i < branch ? i : i * (seed + 1)))

function treeOf(count: number) {
  const pages = new Pages(count)
  const prefixes = new Prefixes(pages)
  /** As a sequence that ends. */
  const keep = (tokens: Int32Array, numPinned = 1) => {
    const table = Int32Array.from({ length: pagesFor(tokens.length) }, () => pages.allocate())
    prefixes.keep(tokens, { pages: table, numPinned })
    for (const page of table) pages.release(page)
    return table
  }
  return { pages, prefixes, keep }
}

test("what is kept is found by everybody, and never more than was kept", () => {
  const action = fc.record({
    do: fc.constantFrom("end", "begin", "leave", "evict", "clear"),
    length: fc.integer({ min: 1, max: 600 }),
    seed: fc.nat(2),
    branch: fc.constantFrom(0, 128, 150, 300),
  })
  const property = fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
    const { pages, prefixes, keep } = treeOf(40)
    /** Of tokens that were ever kept: what a page holds is what stood there when it was written. */
    const written = new Map<number, Int32Array>()
    const running: number[][] = []
    for (const { do: what, length, seed, branch } of actions) {
      const tokens = ids(length, seed, branch)
      if (what === "evict") prefixes.evict()
      else if (what === "clear") prefixes.clear()
      else if (what === "leave") for (const page of running.pop() ?? []) pages.release(page)
      else if (what === "end") {
        while (pages.numFree < pagesFor(length)) if (!prefixes.evict()) return
        const table = keep(tokens)
        for (const [i, page] of table.entries())
          if (pages.holdersOf(page) > 0) written.set(page, tokens.slice(i * pageTokens, (i + 1) * pageTokens))
      } else {
        const found = prefixes.find(tokens, length - 1, 1)
        expect(found.numTokens).toBeLessThan(length)
        expect(found.pages).toHaveLength(pagesFor(found.numTokens))
        for (const [i, page] of found.pages.entries()) {
          const wanted = tokens.subarray(i * pageTokens, Math.min(found.numTokens, (i + 1) * pageTokens))
          expect(written.get(page)?.subarray(0, wanted.length)).toEqual(wanted)
          pages.retain(page)
        }
        running.push([...found.pages])
      }
      pages.checkIntegrity([prefixes.table, ...running.map((table) => Int32Array.from(table))])
    }
    for (const table of running) for (const page of table) pages.release(page)
    expect(prefixes.numIdle + pages.numFree).toBe(40)
    while (prefixes.evict());
    expect(pages.numFree).toBe(40)
  })
  fc.assert(property, { numRuns: 300 })
})

test("the longest common beginning is the one found, whole pages once for all", () => {
  const { pages, prefixes, keep } = treeOf(10)
  const first = keep(ids(300, 1))
  keep(ids(300, 2))
  // The page up to the branch is there once.
  expect(pages.numFree).toBe(10 - 5)
  expect(prefixes.find(ids(300, 1), 299, 1)).toEqual({ numTokens: 299, pages: [...first] })
  expect(prefixes.find(ids(300, 3), 299, 1)).toMatchObject({ numTokens: 150 })
  expect(prefixes.find(ids(300, 3), 140, 1)).toMatchObject({ numTokens: 140 })
  expect(prefixes.find(ids(300, 3, 0), 299, 1)).toEqual({ numTokens: 1, pages: [first[0]] })
  expect(prefixes.find(ids(300, 1), 299, 2)).toMatchObject({ numTokens: 128 })
})

test("a sequence that goes on takes the place of its shorter self", () => {
  const { pages, prefixes, keep } = treeOf(10)
  keep(ids(200, 1))
  const longer = keep(ids(250, 1))
  expect(pages.numFree).toBe(8)
  keep(ids(220, 1))
  expect(pages.numFree).toBe(8)
  expect(prefixes.find(ids(250, 1), 249, 1).pages[1]).toBe(longer[1])
})

test("what was not used for the longest time goes first, its end before its beginning, and nothing in use", () => {
  const { pages, prefixes, keep } = treeOf(10)
  keep(ids(250, 1))
  const other = keep(ids(128, 5, 0))
  const later = keep(ids(250, 2))
  prefixes.find(ids(128, 5, 0), 127, 1)
  pages.retain(other[0])
  const left = () =>
    [ids(250, 1), ids(250, 2), ids(128, 5, 0)].map((all) => prefixes.find(all, 249, 1).numTokens)
  expect(prefixes.numIdle).toBe(3)
  expect(prefixes.evict()).toBe(true)
  expect(left()).toEqual([150, 249, 128])
  pages.retain(later[1])
  // Its parent cannot be evicted either.
  expect(prefixes.numIdle).toBe(0)
  expect(prefixes.evict()).toBe(false)
  pages.release(later[1])
  expect([prefixes.evict(), prefixes.evict(), prefixes.evict()]).toEqual([true, true, false])
  // All begin with the same id.
  expect(left()).toEqual([1, 1, 128])
})

describe("a whole sequence", () => {
  test("is found by its ids, the last one left out, with what followed them latest", () => {
    const { prefixes, keep } = treeOf(10)
    keep(ids(300, 1))
    const latest = keep(ids(280, 2))
    expect(prefixes.whole(ids(290, 1))?.tokens).toEqual(ids(300, 1))
    expect(prefixes.whole(Int32Array.of(...ids(300, 1), 7))?.tokens).toEqual(ids(300, 1))
    expect(prefixes.whole(Int32Array.of(...ids(300, 1), 7, 8))).toBeUndefined()
    expect(prefixes.whole(ids(140))).toMatchObject({ tokens: ids(280, 2), numPinned: 1 })
    expect(prefixes.whole(ids(140))?.pages.subarray(1)).toEqual(latest.subarray(1))
    expect(prefixes.whole(ids(200, 3))).toBeUndefined()
  })
})

describe("in fewer bits", () => {
  const tokens = Int32Array.from({ length: 4000 }, (_, i) => i)
  const coded = (isTrimmed: (page: number) => boolean) => {
    const policy = { tier: 1, floor: 1, budgetBytes: Infinity, window: 1024 } as const
    const tiers = new Tiers({ ...policy, count: 80, pageBytes: [4, 3, 2, 1], trim: () => {} })
    const pages = new Pages(80, tiers)
    const prefixes = new Prefixes(pages)
    const keep = (isCoded: (page: number) => boolean) => {
      const table = Int32Array.from({ length: pagesFor(4000) }, (_, i) =>
        pages.allocate(i === 0 ? "pinned" : "plain"),
      )
      for (const [i, page] of table.entries()) if (isCoded(i)) tiers.trim(page)
      prefixes.keep(tokens, { pages: table, numPinned: 1 })
      for (const page of table) pages.release(page)
    }
    keep(isTrimmed)
    return { prefixes, keep }
  }
  const resumed = (common: number, isTrimmed: (page: number) => boolean, numPinned = 1) => {
    const { numTokens, pages } = coded(isTrimmed).prefixes.find(tokens, common, numPinned)
    expect(pages).toHaveLength(pagesFor(numTokens))
    return numTokens
  }
  const first = (count: number) => (page: number) => page < count
  /** Pages 10 to 19 have the windows of the queries from position 2,303 to the end of page 19. */
  const branched = (page: number) => page < 10 || (page >= 20 && page < 28)

  test("a beginning is gone on from only where the next window is there in 16 bits", () => {
    // The query at position 3,583 is the first whose window of 1,024 begins after 20 pages.
    expect(resumed(4000, first(20))).toBe(4000)
    expect(resumed(3584, first(20))).toBe(3584)
    expect(resumed(3583, first(20))).toBe(128)
    expect(resumed(3583, first(1))).toBe(3583)
    expect(resumed(100, first(20))).toBe(100)
    expect(resumed(4000, first(20), 2)).toBe(128)
    expect(resumed(2304, branched)).toBe(2304)
    expect(resumed(2560, branched)).toBe(2560)
    expect(resumed(2303, branched)).toBe(128)
  })

  test("a beginning too long is cut to where it can be gone on from", () => {
    expect(resumed(2561, branched)).toBe(2560)
    expect(resumed(3000, branched)).toBe(2560)
  })

  test("of two pages with the same in them the one in 16 bits stays", () => {
    const { prefixes, keep } = coded(first(20))
    keep((page) => page >= 12 && page < 20)
    expect(prefixes.find(tokens, 1500, 1).numTokens).toBe(1500)
    expect(prefixes.find(tokens, 2000, 1).numTokens).toBe(1536)
  })

  test("a whole sequence whose window is gone is not found", () => {
    expect(coded(first(28)).prefixes.whole(tokens)).toBeUndefined()
    expect(coded(first(23)).prefixes.whole(tokens)?.tokens).toEqual(tokens)
  })
})
