// Step 5, reference backend. Where each part of a compressed page lies: one key/value head of one layer, 128 tokens.
// What a tier needs comes before what only finer tiers need, so that dropping to a tier is cutting the page short.
//
//   keys: mean [headDim] f16, step [128] f16, bits 7 6 | 5 4; values: mean, step [2][128] f16, bits 7 6 | 5        (T3)
//   keys: bit 3; values: bit 4                                                                                    (T2)
//   keys: bits 2 1 | 0; values: bits 3 2 | 1 0                                                                    (T1)
//
// Each group of bits is a plane: of all codes one after another, 16 tokens (a block) at a time, in the order in which
// products take them. Of a block, "vectors" of 64 codes are words of four bytes in 16 lanes: for keys, a lane is a token, and
// vector m has channels 4 m to 4 m + 3; for values, a lane is a channel, and vector 4 g + q has channels 16 g to 16 g + 15 of
// tokens 4 q to 4 q + 3. A line of 64 bytes holds four vectors of two bits, vector m's at bits 2 (m % 4) of each byte, or
// eight of single bits, whose order in a byte is 0, 1, 4, 5, 2, 3, 6, 7.

import { halves, toHalf } from "../../weights/half.ts"
import { kvPageBytes, pageTokens, selection } from "../backend.ts"

export type Part = "key" | "value"

interface Plane {
  bits: 1 | 2
  start: number
}

/** Keys or values in a page of heads of `headDim`; all places are bytes from the page's beginning. */
export class PartLayout {
  readonly part: Part
  readonly headDim: number
  /** Channels that share a step. */
  readonly group: number
  readonly mean: number
  readonly #steps: number
  /** From the highest bits down. */
  readonly #planes: readonly Plane[]

  constructor(part: Part, headDim: number) {
    const bitBytes = (pageTokens * headDim) / 8
    const numSteps = part === "key" ? 1 : 2
    this.part = part
    this.headDim = headDim
    this.group = headDim / numSteps
    const values = 2 * headDim + 2 * pageTokens + 4 * bitBytes
    this.mean = part === "key" ? 0 : values
    this.#steps = this.mean + 2 * headDim
    const first = this.#steps + 2 * pageTokens * numSteps
    const [second, third] = [kvPageBytes(3, headDim), kvPageBytes(2, headDim)]
    const plane = (bits: 1 | 2, start: number, after: number) => ({ bits, start: start + after * bitBytes })
    this.#planes =
      part === "key"
        ? [
            plane(2, first, 0),
            plane(2, first, 2),
            plane(1, second, 0),
            plane(2, third, 0),
            plane(1, third, 2),
          ]
        : [
            plane(2, first, 0),
            plane(1, first, 2),
            plane(1, second, 1),
            plane(2, third, 3),
            plane(2, third, 5),
          ]
  }

  /** Of code `at` of [128, headDim], the step's place. */
  step(at: number): number {
    const token = Math.floor(at / this.headDim)
    const half = Math.floor((at % this.headDim) / this.group)
    return this.#steps + 2 * (half * pageTokens + token)
  }

  /** The upper `bits` bits of the 8-bit code `at` into its planes, which are zero. */
  write(page: Uint8Array, bits: number, at: number, code: number): void {
    let below = 8
    for (const plane of this.#planes) {
      if (below <= 8 - bits) return
      below -= plane.bits
      const { byte, bit } = this.#place(plane, at)
      page[byte] |= ((code >> below) & ((1 << plane.bits) - 1)) << bit
    }
  }

  /** The upper `bits` bits of code `at`: 0 to 2^bits - 1. */
  read(page: Uint8Array, bits: number, at: number): number {
    let code = 0
    let read = 0
    for (const plane of this.#planes) {
      if (read === bits) break
      read += plane.bits
      const { byte, bit } = this.#place(plane, at)
      code = (code << plane.bits) | ((page[byte] >> bit) & ((1 << plane.bits) - 1))
    }
    return code
  }

  /** Where the lowest of the upper `bits` bits of code `at` lies. */
  lowest(bits: number, at: number): { byte: number; bit: number } {
    let read = 0
    const plane = this.#planes.find((each) => (read += each.bits) === bits)
    if (!plane) throw new RangeError(`no plane ends with bit ${bits} of ${this.part}s`)
    return this.#place(plane, at)
  }

  #place({ bits, start }: Plane, at: number): { byte: number; bit: number } {
    const { blockTokens } = selection
    const token = Math.floor(at / this.headDim)
    const channel = at % this.headDim
    const place = token % blockTokens
    const [vector, lane, word] =
      this.part === "key"
        ? [channel >> 2, place, channel & 3]
        : [(channel >> 4) * 4 + (place >> 2), channel & 15, place & 3]
    const block = start + Math.floor(token / blockTokens) * 2 * this.headDim * bits
    const line = bits === 2 ? vector >> 2 : vector >> 3
    const bit = bits === 2 ? (vector & 3) * 2 : ((vector & 2) << 1) | ((vector & 4) >> 1) | (vector & 1)
    return { byte: block + line * 64 + lane * 4 + word, bit }
  }
}

/** Rounds to a half, writes it, and returns what was written. */
export function writeHalf(page: Uint8Array, at: number, value: number): number {
  const bits = toHalf(value)
  page[at] = bits & 255
  page[at + 1] = bits >> 8
  return halves[bits]
}
