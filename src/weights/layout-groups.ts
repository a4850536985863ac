// The packed forms of Q4_0 and Q8_0: groups of 32 columns with one f16 scale, eight groups to a block of 256.
// Source blocks in, panels of 16 rows out, and back to float32. Geometry: format.ts.

import { halfAt } from "./half.ts"
import { geometry, panelRows } from "./format.ts"
import { encodeNibbleLanes, laneByte, laneHalfwords, laneNibble, vectorHalfwords } from "./layout-lanes.ts"

// Byte offsets of the scales in a block of 16 rows.
const q4Scales = 16 * 128
const q8Scales = 16 * 256

/** Q4_0 block of 32: scale f16, 16 bytes whose low nibbles are k = j and high ones k = 16 + j: a lane each. */
export function encodeQ40(source: Uint16Array, rows: number, columns: number, target: Uint16Array): void {
  const groups = Math.ceil(columns / 32)
  const blockWords = geometry.q4_0.blockBytes / 2
  const panelWords = Math.ceil(groups / 8) * blockWords
  let from = 0
  for (let row = 0; row < rows; row++) {
    const panel = (row >> 4) * panelWords
    const inPanel = row & (panelRows - 1)
    for (let group = 0; group < groups; group++, from += 9) {
      const block = panel + (group >> 3) * blockWords
      const lane = block + inPanel * 2 * vectorHalfwords + (group & 7) * 2 * laneHalfwords
      target[block + q4Scales / 2 + inPanel * 8 + (group & 7)] = source[from]
      encodeNibbleLanes(source, from + 1, target, lane, lane + laneHalfwords)
    }
  }
}

/** Q8_0 block of 32: scale f16, 32 int8: two lanes of four words, a word to each vector. */
export function encodeQ80(source: Uint16Array, rows: number, columns: number, target: Uint16Array): void {
  const groups = Math.ceil(columns / 32)
  const blockWords = geometry.q8_0.blockBytes / 2
  const panelWords = Math.ceil(groups / 8) * blockWords
  let from = 0
  for (let row = 0; row < rows; row++) {
    const panel = (row >> 4) * panelWords
    const inPanel = row & (panelRows - 1)
    for (let group = 0; group < groups; group++, from += 17) {
      const block = panel + (group >> 3) * blockWords
      const lane = block + inPanel * 4 * vectorHalfwords + (group & 7) * 2 * laneHalfwords
      target[block + q8Scales / 2 + inPanel * 8 + (group & 7)] = source[from]
      for (let i = 0; i < 8; i++) {
        const to = lane + (i >> 1) * vectorHalfwords + (i & 1)
        target[to] = source[from + 1 + i]
        target[to + laneHalfwords] = source[from + 9 + i]
      }
    }
  }
}

/** One row of a packed q4_0 matrix. `at` is the row's panel, `inPanel` its place there. */
export function decodeQ40(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 32) {
    const block = at + (first >> 8) * geometry.q4_0.blockBytes
    const scale = halfAt(bytes, block + q4Scales + inPanel * 16 + ((first >> 5) & 7) * 2)
    const end = Math.min(first + 32, out.length)
    for (let k = first; k < end; k++) {
      out[k] = scale * (laneNibble(bytes, block + inPanel * 128, k & 255) - 8)
    }
  }
}

/** One row of a packed q8_0 matrix. */
export function decodeQ80(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 32) {
    const block = at + (first >> 8) * geometry.q8_0.blockBytes
    const scale = halfAt(bytes, block + q8Scales + inPanel * 16 + ((first >> 5) & 7) * 2)
    const end = Math.min(first + 32, out.length)
    for (let k = first; k < end; k++) {
      const vector = block + inPanel * 256 + ((k >> 2) & 3) * 64
      out[k] = scale * ((bytes[vector + laneByte(k & 255)] << 24) >> 24)
    }
  }
}
