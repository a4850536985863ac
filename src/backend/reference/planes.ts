// Step 5, reference backend. Where each part of a compressed page lies: one key/value head of one layer, 128 tokens.
// What a tier needs comes before what only finer tiers need, so that dropping to a tier is cutting the page short.
//
//   keys: mean [headDim] f16, scale [128] f16, planes 7 6 5 4; values: mean, scale [128][2] f16, planes 7 6 5   (T3)
//   key plane 3; value plane 4                                                                                  (T2)
//   key planes 2 1 0; value planes 3 2 1 0                                                                      (T1)
//
// Plane 7 holds the highest bit of all codes, [128][headDim] bits; bit c of a token, from the lowest up, is channel c.

import { halves, toHalf } from "../../weights/half.ts"
import { kvPageBytes, pageTokens } from "../backend.ts"

export type Part = "key" | "value"

/** Keys or values in a page of heads of `headDim`; all places are bytes from the page's beginning. */
export class PartLayout {
  /** Channels that share a scale. */
  readonly group: number
  readonly headDim: number
  readonly mean: number
  readonly scales: number
  /** By bit, 0 to 7. */
  readonly planes: readonly number[]

  constructor(part: Part, headDim: number) {
    const planeBytes = (pageTokens * headDim) / 8
    const numScales = part === "key" ? 1 : 2
    this.headDim = headDim
    this.group = headDim / numScales
    const values = 2 * headDim + 2 * pageTokens + 4 * planeBytes
    this.mean = part === "key" ? 0 : values
    this.scales = this.mean + 2 * headDim
    const first = this.scales + 2 * pageTokens * numScales
    const [second, third] = [kvPageBytes(3, headDim), kvPageBytes(2, headDim)]
    const at = (start: number, ...planes: number[]) => planes.map((plane) => start + plane * planeBytes)
    this.planes =
      part === "key"
        ? [...at(third, 2, 1, 0), ...at(second, 0), ...at(first, 3, 2, 1, 0)]
        : [...at(third, 6, 5, 4, 3), ...at(second, 1), ...at(first, 2, 1, 0)]
  }
}

/** The upper `bits` bits of an 8-bit code into its planes. */
export function writeCode(
  page: Uint8Array,
  planes: readonly number[],
  bits: number,
  at: number,
  code: number,
): void {
  for (let bit = 7; bit > 7 - bits; bit--) page[planes[bit] + (at >> 3)] |= ((code >> bit) & 1) << (at & 7)
}

/** The code that the upper `bits` planes hold: 0 to 2^bits - 1. */
export function readCode(page: Uint8Array, planes: readonly number[], bits: number, at: number): number {
  let code = 0
  for (let bit = 7; bit > 7 - bits; bit--) code = code * 2 + ((page[planes[bit] + (at >> 3)] >> (at & 7)) & 1)
  return code
}

/** Rounds to a half, writes it, and returns what was written. */
export function writeHalf(page: Uint8Array, at: number, value: number): number {
  const bits = toHalf(value)
  page[at] = bits & 255
  page[at + 1] = bits >> 8
  return halves[bits]
}
