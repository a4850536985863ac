import fc from "fast-check"
import { expect, test } from "vitest"
import { Pages, pagesFor } from "./pages.ts"
import { PrefixCache } from "./prefix.ts"
import { Tiers } from "./tiers.ts"

const plain = (pages: Int32Array) => ({ pages, numPinned: 1 })

test("a page is given once until it is freed, and the page freed last is given first", () => {
  const pages = new Pages(3)
  expect([pages.allocate(), pages.allocate(), pages.allocate()]).toEqual([0, 1, 2])
  expect(pages.numFree).toBe(0)
  expect(() => pages.allocate()).toThrow("none is free")
  pages.free(1)
  expect(pages.allocate()).toBe(1)
})

test("freeing twice and leaking are found", () => {
  const pages = new Pages(4)
  const page = pages.allocate()
  pages.checkIntegrity([Int32Array.of(page)])
  expect(() => pages.checkIntegrity([])).toThrow("1 pages leaked")
  expect(() => pages.checkIntegrity([Int32Array.of(page), Int32Array.of(page)])).toThrow("held twice")
  expect(() => pages.checkIntegrity([Int32Array.of(page, 3)])).toThrow("page 3 is held, but it is free")
  pages.free(page)
  expect(() => pages.free(page)).toThrow("page 0 freed, but it is not taken")
})

test("pages are counted up to the last token", () => {
  expect([0, 1, 128, 129, 262_144].map(pagesFor)).toEqual([0, 1, 1, 2, 2048])
})

test("prefixes are kept, handed over and evicted without losing a page", () => {
  const action = fc.oneof(
    fc.record({ do: fc.constant("end" as const), length: fc.integer({ min: 0, max: 600 }), seed: fc.nat(2) }),
    fc.record({
      do: fc.constant("begin" as const),
      length: fc.integer({ min: 1, max: 600 }),
      seed: fc.nat(2),
    }),
    fc.record({ do: fc.constant("evict" as const) }),
  )
  const ids = (length: number, seed: number) =>
    Int32Array.from({ length }, (_, i) => (i < 150 ? i : i * (seed + 1)))
  const property = fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
    const pages = new Pages(40)
    const prefixes = new PrefixCache(pages)
    for (const action of actions) {
      if (action.do === "evict") prefixes.evict()
      else if (action.do === "end") {
        const wanted = pagesFor(action.length) + 1
        while (pages.numFree < wanted) prefixes.evict()
        const table = Int32Array.from({ length: wanted }, () => pages.allocate())
        prefixes.keep(ids(action.length, action.seed), plain(table))
      } else {
        const { numTokens, pages: table } = prefixes.take(
          ids(action.length, action.seed),
          action.length - 1,
          1,
        )
        expect(table.length).toBe(pagesFor(numTokens))
        expect(numTokens).toBeLessThan(action.length)
        for (const page of table) pages.free(page)
      }
      pages.checkIntegrity(prefixes.tables)
      expect(prefixes.numPages + pages.numFree).toBe(40)
    }
  })
  fc.assert(property, { numRuns: 200 })
})

test("the longest common prefix is the one handed over", () => {
  const pages = new Pages(10)
  const prefixes = new PrefixCache(pages)
  const keep = (...tokens: number[]) =>
    prefixes.keep(Int32Array.from(tokens), plain(Int32Array.of(pages.allocate())))
  keep(1, 2, 3)
  keep(1, 2, 3, 4, 5)
  keep(1, 9)
  expect(prefixes.take(Int32Array.of(1, 2, 3, 4, 9), 4, 1)).toEqual({
    numTokens: 4,
    pages: Int32Array.of(1),
    numPinned: 1,
  })
  expect(prefixes.take(Int32Array.of(7), 1, 1).numTokens).toBe(0)
  expect(prefixes.numPages).toBe(2)
})

test("a prefix is gone on from only where the next window is there in 16 bits", () => {
  const tokens = Int32Array.from({ length: 4000 }, (_, i) => i)
  const resumed = (common: number, isTrimmed: (page: number) => boolean, numPinned = 1) => {
    const policy = { tier: 1, floor: 1, budgetBytes: Infinity, window: 1024 } as const
    const tiers = new Tiers({ ...policy, count: 40, pageBytes: [4, 3, 2, 1], trim: () => {} })
    const pages = new Pages(40, tiers)
    const prefixes = new PrefixCache(pages)
    const table = Int32Array.from({ length: pagesFor(4000) }, (_, i) =>
      pages.allocate(i === 0 ? "pinned" : "plain"),
    )
    for (const [i, page] of table.entries()) if (isTrimmed(i)) tiers.leaveWindow(page)
    prefixes.keep(tokens, { pages: table, numPinned: 1 })
    const got = prefixes.take(tokens, common, numPinned)
    expect(got.pages).toHaveLength(pagesFor(got.numTokens))
    return got.numTokens
  }
  // The query at position 3,583 is the first whose window of 1,024 begins after 20 pages.
  const first = (count: number) => (page: number) => page < count
  expect(resumed(4000, first(20))).toBe(4000)
  expect(resumed(3584, first(20))).toBe(3584)
  expect(resumed(3583, first(20))).toBe(128)
  expect(resumed(3583, first(1))).toBe(3583)
  expect(resumed(100, first(20))).toBe(100)
  expect(resumed(4000, first(20), 2)).toBe(0)
  // Pages 10 to 19 have the windows of the queries from position 2,303 to the end of page 19.
  const branched = (page: number) => page < 10 || (page >= 20 && page < 28)
  expect(resumed(2304, branched)).toBe(2304)
  expect(resumed(2560, branched)).toBe(2560)
  expect(resumed(2303, branched)).toBe(128)
  expect(resumed(2561, branched)).toBe(128)
})
