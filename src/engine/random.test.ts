import { expect, test } from "vitest"
import { Random } from "./random.ts"

test("the words are those of the published xoshiro128**", () => {
  const random = new Random([1, 2, 3, 4])
  // Of an independent implementation, from this state.
  const published = [
    11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
  ]
  expect(published.map(() => random.word())).toEqual(published)
})

test("a seed always gives the same numbers", () => {
  const random = Random.seeded(42)
  expect([random.next(), random.next()]).toEqual([0.8868539482452054, 0.25993995211112253])
  expect(Random.seeded(-5).next()).toBe(0.1946184125270347)
})

test("seeds that differ only in high or low bits, or in sign, give different numbers", () => {
  const seeds = [0, 1, 2, -1, 2 ** 32, 2 ** 32 + 1, 2 ** 52, -(2 ** 52), Number.MAX_SAFE_INTEGER]
  expect(new Set(seeds.map((seed) => Random.seeded(seed).next())).size).toBe(seeds.length)
})

test("numbers fill [0, 1) evenly", () => {
  const random = Random.seeded(1)
  const counts = new Array<number>(20).fill(0)
  for (let i = 0; i < 100_000; i++) counts[Math.floor(random.next() * 20)]++
  const chiSquare = counts.reduce((sum, count) => sum + (count - 5000) ** 2 / 5000, 0)
  // 99.9 % point for 19 degrees of freedom.
  expect(chiSquare).toBeLessThan(43.8)
})
