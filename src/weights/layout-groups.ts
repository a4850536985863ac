// The packed forms of Q4_0 and Q8_0: groups of 32 columns with one f16 scale, four groups to a block of 128.
// Source blocks in, panels of 16 rows out, and back to float32. Geometry: format.ts.

import { halfAt } from "./half.ts"
import { geometry, panelRows } from "./format.ts"

const q4Words = geometry.q4_0.blockBytes / 2
const q4Scales = (16 * 64) / 2
const q8Words = geometry.q8_0.blockBytes / 2
const q8Scales = (16 * 128) / 2

/** Q4_0 block of 32: scale f16, 16 bytes whose nibbles are k = j (low) and k = 16 + j (high): half order already. */
export function encodeQ40(source: Uint16Array, rows: number, columns: number, target: Uint16Array): void {
  const groups = Math.ceil(columns / 32)
  const panelWords = Math.ceil(groups / 4) * q4Words
  let from = 0
  for (let row = 0; row < rows; row++) {
    const panel = (row >> 4) * panelWords
    const inPanel = row & (panelRows - 1)
    for (let group = 0; group < groups; group++, from += 9) {
      const block = panel + (group >> 2) * q4Words
      const to = block + inPanel * 32 + (group & 3) * 8
      target[block + q4Scales + inPanel * 4 + (group & 3)] = source[from]
      for (let i = 0; i < 8; i++) target[to + i] = source[from + 1 + i]
    }
  }
}

/** Q8_0 block of 32: scale f16, 32 int8: the first 16 go to the LOW half, the others to the HIGH half. */
export function encodeQ80(source: Uint16Array, rows: number, columns: number, target: Uint16Array): void {
  const groups = Math.ceil(columns / 32)
  const panelWords = Math.ceil(groups / 4) * q8Words
  let from = 0
  for (let row = 0; row < rows; row++) {
    const panel = (row >> 4) * panelWords
    const inPanel = row & (panelRows - 1)
    for (let group = 0; group < groups; group++, from += 17) {
      const block = panel + (group >> 2) * q8Words
      const to = block + inPanel * 64 + (group & 3) * 8
      target[block + q8Scales + inPanel * 4 + (group & 3)] = source[from]
      for (let i = 0; i < 8; i++) target[to + i] = source[from + 1 + i]
      for (let i = 0; i < 8; i++) target[to + 32 + i] = source[from + 9 + i]
    }
  }
}

/** One row of a packed q4_0 matrix. `at` is the row's panel, `inPanel` its place there. */
export function decodeQ40(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 32) {
    const block = at + (first >> 7) * geometry.q4_0.blockBytes
    const group = (first >> 5) & 3
    const nibbles = block + inPanel * 64 + group * 16
    const scale = halfAt(bytes, block + q4Scales * 2 + inPanel * 8 + group * 2)
    const values = Math.min(32, out.length - first)
    for (let i = 0; i < values; i++) {
      const byte = bytes[nibbles + (i & 15)]
      out[first + i] = scale * ((i < 16 ? byte & 15 : byte >> 4) - 8)
    }
  }
}

/** One row of a packed q8_0 matrix. */
export function decodeQ80(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 32) {
    const block = at + (first >> 7) * geometry.q8_0.blockBytes
    const group = (first >> 5) & 3
    const quants = block + inPanel * 128 + group * 16
    const scale = halfAt(bytes, block + q8Scales * 2 + inPanel * 8 + group * 2)
    const values = Math.min(32, out.length - first)
    for (let i = 0; i < values; i++) {
      out[first + i] = scale * ((bytes[quants + (i & 15) + ((i & 16) << 2)] << 24) >> 24)
    }
  }
}
