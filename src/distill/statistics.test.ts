import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { meanOf, pairedDifference, passAtK, rateOf } from "./statistics.ts"

describe("Wilson's interval", () => {
  test("is that of the literature", () => {
    // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    const intervals = [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ]
    for (const [solved, trials, low, high] of intervals) {
      const rate = rateOf(solved, trials)
      expect(rate.low).toBeCloseTo(low, 4)
      expect(rate.high).toBeCloseTo(high, 4)
    }
  })

  test("of nothing says nothing", () => {
    expect(rateOf(0, 0)).toMatchObject({ low: 0, high: 1 })
  })
})

test("pass@k is the share of all choices of k samples that have a right one", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.nat(9), fc.integer({ min: 1, max: 9 }), (n, right, k) => {
      fc.pre(right <= n && k <= n)
      let all = 0
      let some = 0
      for (let chosen = 0; chosen < 2 ** n; chosen++) {
        const samples = Array.from({ length: n }, (_, i) => i).filter((i) => (chosen >> i) % 2 === 1)
        if (samples.length !== k) continue
        all++
        if (samples.some((i) => i < right)) some++
      }
      expect(passAtK(n, right, k)).toBeCloseTo(some / all, 12)
    }),
  )
})

test("a mean's interval is Student's", () => {
  const { mean, low, high } = meanOf([1, 2, 3])
  expect(mean).toBe(2)
  expect(high - mean).toBeCloseTo(4.303 / Math.sqrt(3), 6)
  expect(mean - low).toBeCloseTo(high - mean, 12)
  expect(meanOf([5])).toMatchObject({ mean: 5, low: -Infinity, high: Infinity })
  const many = Array.from({ length: 61 }, (_, i) => i % 2)
  // 60 degrees of freedom: 2.000.
  expect((meanOf(many).high - meanOf(many).mean) / Math.sqrt(0.2541 / 61)).toBeCloseTo(2, 2)
})

describe("a paired difference", () => {
  test("counts what only one of the two solved", () => {
    const first = [1, 1, 1, 0, 0, 1, 1, 1]
    const second = [1, 0, 1, 1, 0, 1, 1, 0]
    expect(pairedDifference(first, second)).toMatchObject({
      mean: -1 / 8,
      onlyFirst: 2,
      onlySecond: 1,
      count: 8,
    })
  })

  test("is not certain because all pairs agree", () => {
    const same = Array.from({ length: 100 }, () => 1)
    const { mean, low, high } = pairedDifference(same, same)
    expect(mean).toBe(0)
    expect(low).toBeLessThan(-0.005)
    expect(high).toBeGreaterThan(0.005)
  })
})
