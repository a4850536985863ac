// The packed forms of Q4_0 and Q8_0: groups of 32 columns with one f16 scale, eight groups to a block of 256.
// Source blocks in, panels of 16 rows out, and back to float32. Geometry: format.ts.

import { halfAt } from "./half.ts"
import { geometry, panelRows } from "./format.ts"
import { decodeNibblePair, encodeNibblePair, vectorBytes, vectorWords } from "./layout-words.ts"

// Byte offsets of the scales in a block of 16 rows: sixteen f16 to a group.
const q4Scales = 32 * vectorBytes
const q8Scales = 64 * vectorBytes
const groupScales = 2 * panelRows

/** Q4_0 block of 32: scale f16, 16 bytes whose low nibbles are k = j and high ones k = 16 + j. */
export function encodeQ40(source: DataView, rows: number, columns: number, target: Uint32Array): void {
  const halves = new Uint16Array(target.buffer, target.byteOffset, target.length * 2)
  const groups = Math.ceil(columns / 32)
  const blockWords = geometry.q4_0.blockBytes / 4
  const panelWords = Math.ceil(groups / 8) * blockWords
  let from = 0
  for (let row = 0; row < rows; row++) {
    const inPanel = row & (panelRows - 1)
    const panel = (row >> 4) * panelWords
    for (let group = 0; group < groups; group++, from += 18) {
      const block = panel + (group >> 3) * blockWords
      halves[block * 2 + q4Scales / 2 + (group & 7) * panelRows + inPanel] = source.getUint16(from, true)
      const plane = block + (group & 7) * 4 * vectorWords + inPanel
      const word0 = source.getUint32(from + 2, true)
      const word1 = source.getUint32(from + 6, true)
      const word2 = source.getUint32(from + 10, true)
      const word3 = source.getUint32(from + 14, true)
      encodeNibblePair(word0, word1, target, plane, plane + 2 * vectorWords)
      encodeNibblePair(word2, word3, target, plane + vectorWords, plane + 3 * vectorWords)
    }
  }
}

/** Q8_0 block of 32: scale f16, 32 int8. */
export function encodeQ80(source: DataView, rows: number, columns: number, target: Uint32Array): void {
  const halves = new Uint16Array(target.buffer, target.byteOffset, target.length * 2)
  const groups = Math.ceil(columns / 32)
  const blockWords = geometry.q8_0.blockBytes / 4
  const panelWords = Math.ceil(groups / 8) * blockWords
  let from = 0
  for (let row = 0; row < rows; row++) {
    const inPanel = row & (panelRows - 1)
    const panel = (row >> 4) * panelWords
    for (let group = 0; group < groups; group++, from += 34) {
      const block = panel + (group >> 3) * blockWords
      halves[block * 2 + q8Scales / 2 + (group & 7) * panelRows + inPanel] = source.getUint16(from, true)
      const vector = block + (group & 7) * 8 * vectorWords + inPanel
      for (let i = 0; i < 8; i++) target[vector + i * vectorWords] = source.getUint32(from + 2 + i * 4, true)
    }
  }
}

/** The eight columns that are being decoded. */
const quants = new Uint8Array(8)

/** One row of a packed q4_0 matrix. `at` is the row's panel, `inPanel` its place there. */
export function decodeQ40(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 8) {
    const block = at + (first >> 8) * geometry.q4_0.blockBytes
    const scale = halfAt(bytes, block + q4Scales + ((first >> 5) & 7) * groupScales + inPanel * 2)
    decodeNibblePair(bytes, block + ((first >> 3) & 31) * vectorBytes + inPanel * 4, quants, 0)
    const values = Math.min(8, out.length - first)
    for (let i = 0; i < values; i++) out[first + i] = scale * (quants[i] - 8)
  }
}

/** One row of a packed q8_0 matrix. */
export function decodeQ80(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let k = 0; k < out.length; k++) {
    const block = at + (k >> 8) * geometry.q8_0.blockBytes
    const scale = halfAt(bytes, block + q8Scales + ((k >> 5) & 7) * groupScales + inPanel * 2)
    const quant = bytes[block + ((k >> 2) & 63) * vectorBytes + inPanel * 4 + (k & 3)]
    out[k] = scale * ((quant << 24) >> 24)
  }
}
