import { describe, expect, test } from "vitest"
import { dot, gaussian, logitsOf, makeHead, rotated, rowsOf, scaled } from "../../../test/kv-synthetic.ts"
import type { Outliers, Rows } from "../../../test/kv-synthetic.ts"
import { seeded } from "../../../test/random.ts"
import { balance } from "../../model/balance.ts"
import { pageTokens, selection } from "../backend.ts"
import { estimate, scanQuery, sketchOf } from "./estimate.ts"
import type { Estimate } from "./estimate.ts"
import { encodePage } from "./page-codec.ts"
import { chooseBlocks } from "./selection.ts"

const { blockTokens } = selection
const blocksPerPage = pageTokens / blockTokens

/** Estimates of all pages for each query, which is scaled and rotated. */
function estimates(queries: Rows, keys: Rows): Estimate[][] {
  const size = keys[0].length
  const flat = (rows: Rows) => Float32Array.from(rows.flatMap((row) => [...row]))
  const sketches = Array.from({ length: keys.length / pageTokens }, (_, page) => {
    const rows = flat(keys.slice(page * pageTokens, (page + 1) * pageTokens))
    return sketchOf(encodePage(rows, rows, size, 3), size)
  })
  return queries.map((query) => {
    const scan = scanQuery(Float32Array.from(query, (x) => x / Math.sqrt(size)))
    return sketches.map((sketch) => estimate(scan, sketch))
  })
}

function largestFirst(x: readonly number[]): number[] {
  return [...x.keys()].sort((a, b) => x[b] - x[a])
}

describe("estimates of two bits", () => {
  test("are what their levels say", () => {
    const random = seeded(1)
    const keys = rowsOf(pageTokens, 64, () => gaussian(random))
    const flat = Float32Array.from(keys.flatMap((row) => [...row]))
    const { mean, scales, codes } = sketchOf(encodePage(flat, flat, 64, 2), 64)
    const query = Float32Array.from({ length: 64 }, () => gaussian(random) / 4)
    const { masses, top } = estimate(scanQuery(query), { mean, scales, codes })
    for (const [block, mass] of masses.entries()) {
      let sum = 0
      for (let token = block * blockTokens; token < (block + 1) * blockTokens; token++) {
        const key = mean.map((x, i) => x + (codes[token * 64 + i] - 1.5) * 64 * scales[token])
        sum += Math.exp(dot(query, key))
      }
      // A power of two is right to 6 %, and a query's values to 1/254 of the largest.
      expect((mass * 2 ** top) / sum).toBeGreaterThan(0.92)
      expect((mass * 2 ** top) / sum).toBeLessThan(1.08)
    }
  })

  // An eighth of the blocks, chosen by all eight queries of a group together.
  test.each<Outliers>(["opposed", "independent", "together"])(
    "find nearly all of the attention that can be found, with outliers %s",
    (outliers) => {
      const tokens = 2048
      const kept = { estimated: 0, oracle: 0 }
      const { queries, keys, queryNorm, keyNorm } = makeHead(seeded(5), tokens, outliers)
      const factors = balance(queryNorm, keyNorm)
      const balanced = scaled(
        keys,
        factors.map((x) => 1 / x),
      )
      const turned = rotated(scaled(queries, factors))
      for (let first = 0; first < queries.length; first += 8) {
        const shares = queries.slice(first, first + 8).map((query) => {
          const weights = logitsOf(query, keys).map(Math.exp)
          const total = weights.reduce((a, b) => a + b)
          return Array.from({ length: tokens / blockTokens }, (_, block) =>
            weights.slice(block * blockTokens, (block + 1) * blockTokens).reduce((a, b) => a + b / total, 0),
          )
        })
        const guessed = estimates(turned.slice(first, first + 8), balanced).map((pages) => {
          const masses = pages.flatMap((page) => [...page.masses].map((mass) => mass * 2 ** page.top))
          const total = masses.reduce((a, b) => a + b)
          return masses.map((mass) => mass / total)
        })
        const best = (all: number[][]) =>
          largestFirst(all[0].map((_, block) => Math.max(...all.map((each) => each[block])))).slice(0, 16)
        for (const [name, blocks] of [
          ["estimated", best(guessed)] as const,
          ["oracle", best(shares)] as const,
        ])
          for (const share of shares) kept[name] += blocks.reduce((sum, block) => sum + share[block], 0)
      }
      expect(kept.oracle / queries.length).toBeGreaterThan(0.5)
      expect(kept.estimated / kept.oracle).toBeGreaterThan(0.95)
    },
  )
})

describe("a choice of blocks", () => {
  const numPages = 100
  const least = selection.least / blockTokens
  const most = selection.most / blockTokens

  /** A head whose blocks have these masses, and all others this one. */
  function head(masses: ReadonlyMap<number, number>, other: number): Estimate[] {
    return Array.from({ length: numPages }, (_, page) => ({
      masses: Float32Array.from(
        { length: blocksPerPage },
        (_, block) => masses.get(page * blocksPerPage + block) ?? other,
      ),
      top: 0,
    }))
  }
  const heavy = (blocks: readonly number[], mass: number) => new Map(blocks.map((block) => [block, mass]))
  const nothing = -1000

  test("has what any head of the group needs, the likeliest first and then the oldest", () => {
    const needed = [[3, 17, 799], [400]]
    const heads = needed.map((blocks) => head(heavy(blocks, 1000), 2 ** -20))
    const { blocks, kept } = chooseBlocks(heads, [nothing, nothing])
    // The rest are equal.
    const filled = Array.from({ length: least - 2 }, (_, block) => block)
    expect(blocks).toEqual([...filled, 400, 799])
    expect(kept).toBeGreaterThan(0.999)
  })

  test("goes on until every head keeps enough", () => {
    const many = Array.from({ length: 300 }, (_, i) => 2 * i)
    const heads = [head(heavy([9], 1000), 2 ** -20), head(heavy(many, 1), 2 ** -20)]
    const { blocks, kept } = chooseBlocks(heads, [nothing, nothing])
    // Block 9, and of 300 equal ones 98 % and one more, for what the others have.
    expect(blocks).toHaveLength(296)
    expect(kept).toBeGreaterThan(selection.enough)
  })

  test("counts what is read anyway", () => {
    const { blocks } = chooseBlocks([head(new Map(), 1)], [Math.log2(numPages * blocksPerPage * 99)])
    expect(blocks).toHaveLength(least)
  })

  test("stops at the most, where that keeps what is not too little", () => {
    const many = Array.from({ length: most }, (_, i) => i)
    const { blocks, kept } = chooseBlocks([head(heavy(many, 1), 0.1)], [nothing])
    expect(blocks).toHaveLength(most)
    expect(kept).toBeCloseTo(most / (most + 0.1 * (numPages * blocksPerPage - most)), 5)
  })

  test("is all of them where one head would keep too little", () => {
    const heads = [head(heavy([9], 1000), 2 ** -20), head(new Map(), 1)]
    const { blocks, kept } = chooseBlocks(heads, [nothing, nothing])
    expect(blocks).toBe("all")
    expect(kept).toBeCloseTo(most / (numPages * blocksPerPage), 5)
  })

  test("is all of them where nothing can be said", () => {
    expect(chooseBlocks([head(new Map(), 1)], [NaN]).blocks).toBe("all")
    expect(chooseBlocks([head(new Map(), NaN)], [0]).blocks).toBe("all")
  })
})
