// Step 6. How others keep keys and values in four bits, for comparison: a head's row in, the same row out with what such
// codes lose. Groups of 32 share a half-precision scale of their largest magnitude over -8 (llama.cpp's q4_0).

import { rotate } from "../backend/reference/hadamard.ts"
import { halves, toHalf } from "../weights/half.ts"

const group = 32

/** In place. */
export function groupsOfFourBits(row: Float32Array): void {
  for (let start = 0; start < row.length; start += group) {
    let largest = 0
    for (let i = start; i < start + group; i++) if (Math.abs(row[i]) > Math.abs(largest)) largest = row[i]
    const exact = largest / -8
    const scale = halves[toHalf(exact)]
    const inverse = exact === 0 ? 0 : 1 / exact
    for (let i = start; i < start + group; i++)
      row[i] = (Math.min(15, Math.floor(row[i] * inverse + 8.5)) - 8) * scale
  }
}

/** The same of the rotated row, turned back: products with rotated queries are those of this one with plain ones. */
export function rotatedGroupsOfFourBits(row: Float32Array): void {
  rotate(row)
  groupsOfFourBits(row)
  rotate(row)
}
