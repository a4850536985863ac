import { expect, test } from "vitest"
import { fromBfloat, halfAt, halves, toBfloat, toHalf } from "./half.ts"

const patterns = Array.from({ length: 0x10000 }, (_, bits) => bits)

test("every half that is a number returns to its bits", () => {
  const wrong = patterns.filter((bits) => !Number.isNaN(halves[bits]) && toHalf(halves[bits]) !== bits)
  expect(wrong).toEqual([])
})

test("every bfloat16 that is a number returns to its bits", () => {
  const wrong = patterns.filter(
    (bits) => !Number.isNaN(fromBfloat(bits)) && toBfloat(fromBfloat(bits)) !== bits,
  )
  expect(wrong).toEqual([])
})

test("halfway between two neighbours rounds to the even one, for halves and bfloats", () => {
  const wrong = patterns.slice(0, 0x7bff).filter((bits) => {
    const even = bits & 1 ? bits + 1 : bits
    return toHalf((halves[bits] + halves[bits + 1]) / 2) !== even
  })
  expect(wrong).toEqual([])
  expect(toBfloat(1 + 2 ** -8)).toBe(0x3f80)
  expect(toBfloat(1 + 3 * 2 ** -8)).toBe(0x3f82)
})

test("values beyond the range become infinite and not-a-number stays one", () => {
  expect(toHalf(65519.99)).toBe(0x7bff)
  expect(toHalf(65520)).toBe(0x7c00)
  expect(toHalf(-1e30)).toBe(0xfc00)
  expect(halves[toHalf(NaN)]).toBeNaN()
  expect(fromBfloat(toBfloat(NaN))).toBeNaN()
  expect(toBfloat(3.4e38)).toBe(0x7f80)
})

test("a half is read little-endian", () => {
  expect(halfAt(Uint8Array.of(9, 0x00, 0x3c), 1)).toBe(1)
})
