// The packed forms of Q4_0 and Q8_0: groups of 32 columns with one f16 scale, eight groups to a block of 256.
// Source blocks in, panels of 16 rows out, and back to float32. Geometry: format.ts.

import { halfAt } from "./half.ts"
import { geometry, panelRows } from "./format.ts"
import { decodeNibbleLane, encodeNibbleLanes, vectorBytes, vectorWords } from "./layout-lanes.ts"

// Byte offsets of the scales in a block of 16 rows.
const q4Scales = 16 * 128
const q8Scales = 16 * 256

/** Q4_0 block of 32: scale f16, 16 bytes whose low nibbles are k = j and high ones k = 16 + j: a lane each. */
export function encodeQ40(source: DataView, rows: number, columns: number, target: Uint32Array): void {
  const halves = new Uint16Array(target.buffer, target.byteOffset, target.length * 2)
  const groups = Math.ceil(columns / 32)
  const blockWords = geometry.q4_0.blockBytes / 4
  const panelWords = Math.ceil(groups / 8) * blockWords
  let from = 0
  for (let row = 0; row < rows; row++) {
    const panel = (row >> 4) * panelWords
    const inPanel = row & (panelRows - 1)
    for (let group = 0; group < groups; group++, from += 18) {
      const block = panel + (group >> 3) * blockWords
      const lane = block + inPanel * 2 * vectorWords + (group & 7) * 2
      halves[block * 2 + q4Scales / 2 + inPanel * 8 + (group & 7)] = source.getUint16(from, true)
      encodeNibbleLanes(source, from + 2, target, lane, lane + 1)
    }
  }
}

/** Q8_0 block of 32: scale f16, 32 int8: two lanes of four words, a word to each vector. */
export function encodeQ80(source: DataView, rows: number, columns: number, target: Uint32Array): void {
  const halves = new Uint16Array(target.buffer, target.byteOffset, target.length * 2)
  const groups = Math.ceil(columns / 32)
  const blockWords = geometry.q8_0.blockBytes / 4
  const panelWords = Math.ceil(groups / 8) * blockWords
  let from = 0
  for (let row = 0; row < rows; row++) {
    const panel = (row >> 4) * panelWords
    const inPanel = row & (panelRows - 1)
    for (let group = 0; group < groups; group++, from += 34) {
      const block = panel + (group >> 3) * blockWords
      const lane = block + inPanel * 4 * vectorWords + (group & 7) * 2
      halves[block * 2 + q8Scales / 2 + inPanel * 8 + (group & 7)] = source.getUint16(from, true)
      for (let vector = 0; vector < 4; vector++) {
        target[lane + vector * vectorWords] = source.getUint32(from + 2 + vector * 4, true)
        target[lane + vector * vectorWords + 1] = source.getUint32(from + 18 + vector * 4, true)
      }
    }
  }
}

/** The lane that is being decoded. */
const quants = new Uint8Array(16)

/** One row of a packed q4_0 matrix. `at` is the row's panel, `inPanel` its place there. */
export function decodeQ40(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 16) {
    const block = at + (first >> 8) * geometry.q4_0.blockBytes
    const scale = halfAt(bytes, block + q4Scales + inPanel * 16 + ((first >> 5) & 7) * 2)
    decodeNibbleLane(bytes, block + inPanel * 2 * vectorBytes + ((first >> 4) & 15) * 4, quants)
    const values = Math.min(16, out.length - first)
    for (let i = 0; i < values; i++) out[first + i] = scale * (quants[i] - 8)
  }
}

/** One row of a packed q8_0 matrix. */
export function decodeQ80(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 16) {
    const block = at + (first >> 8) * geometry.q8_0.blockBytes
    const scale = halfAt(bytes, block + q8Scales + inPanel * 16 + ((first >> 5) & 7) * 2)
    const row = block + inPanel * 4 * vectorBytes + ((first >> 4) & 15) * 4
    const values = Math.min(16, out.length - first)
    for (let i = 0; i < values; i++) {
      out[first + i] = scale * ((bytes[row + (i >> 2) * vectorBytes + (i & 3)] << 24) >> 24)
    }
  }
}
