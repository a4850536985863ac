import fc from "fast-check"
import { expect, test } from "vitest"
import { Packer, packed } from "./packing.ts"
import type { Example } from "./packing.ts"

/** Ids from 1 on; the first `read` of them are not learned. */
function example(length: number, read = 0): Example {
  const weights = Float32Array.from({ length }, (_, i) => (i < read ? 0 : 1))
  return { ids: Int32Array.from({ length }, (_, i) => i + 1), weights }
}

test("each row's target is the next id of its text, and what is not learned has none", () => {
  const [batch] = packed([example(3), example(4, 2)], 16)
  expect([...batch.ids]).toEqual([1, 2, 1, 2, 3])
  expect([...batch.targets]).toEqual([2, 3, -1, 3, 4])
  expect([...batch.weights]).toEqual([1, 1, 0, 1, 1])
  expect([...batch.starts]).toEqual([0, 2, 5])
})

test("a text is never cut where it fits into a batch of its own", () => {
  const lengths = fc.array(fc.integer({ min: 2, max: 40 }), { minLength: 1, maxLength: 30 })
  fc.assert(
    fc.property(lengths, (all) => {
      const batches = [
        ...packed(
          all.map((length) => example(length)),
          40,
        ),
      ]
      const rows = batches.flatMap(({ starts }) => [...starts.slice(1)].map((end, i) => end - starts[i]))
      expect(rows).toEqual(all.map((length) => length - 1))
      expect(batches.every(({ ids }) => ids.length <= 40)).toBe(true)
    }),
  )
})

test("a text whose answer lies beyond a whole batch is left out: such a batch would teach nothing", () => {
  const batches = [...packed([example(40, 30), example(5), example(40, 20)], 20)]
  expect(batches.map(({ starts }) => [...starts])).toEqual([
    [0, 4],
    [0, 20],
  ])
  expect(batches.every(({ targets }) => targets.some((target) => target >= 0))).toBe(true)
})

test("a packer that is filled up cuts the last text and is full to the row", () => {
  const packer = new Packer(10)
  packer.add(example(8))
  expect(packer.fits(example(5))).toBe(false)
  packer.add(example(30))
  expect(packer.isFull).toBe(true)
  packer.add(example(2))
  const { starts, ids } = packer.take()
  expect([...starts]).toEqual([0, 7, 10])
  expect(ids).toHaveLength(10)
  expect(packer.isEmpty).toBe(true)
})
