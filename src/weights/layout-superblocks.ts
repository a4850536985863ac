// The packed forms of Q4_K, Q5_K and Q6_K: blocks of 256 columns whose group scales are themselves quantised.
// Source blocks in, panels of 16 rows out, and back to float32. Geometry: format.ts.

import { halfAt } from "./half.ts"
import { geometry } from "./format.ts"

// Byte offsets of the planes in a block of 16 rows.
const nibblePlane = 2 * 16 * 64
const q5Fifth = nibblePlane
const q6Upper = nibblePlane
const q6Scales = q6Upper + 16 * 64
const q6D = q6Scales + 16 * 16
/** small, large, d, dmin follow each other; this is where small begins. */
const minMaxScales = { q4_k: nibblePlane, q5_k: nibblePlane + 16 * 32 }

/**
 * Q4_K: d, dmin, 12 bytes of 6-bit scales and mins, 128 bytes of nibbles; Q5_K has 32 bytes of fifth bits before
 * the nibbles. A source byte's low nibble is k = 64c + l, its high nibble k = 64c + 32 + l (l < 32).
 */
export function encodeQ4K(source: Uint32Array, rows: number, columns: number, target: Uint32Array): void {
  encodeMinMax("q4_k", source, rows, columns, target)
}

export function encodeQ5K(source: Uint32Array, rows: number, columns: number, target: Uint32Array): void {
  encodeMinMax("q5_k", source, rows, columns, target)
}

function encodeMinMax(
  format: "q4_k" | "q5_k",
  source: Uint32Array,
  rows: number,
  columns: number,
  target: Uint32Array,
): void {
  const blocks = Math.ceil(columns / 256)
  const blockWords = geometry[format].blockBytes / 4
  const fifthWords = format === "q5_k" ? 8 : 0
  const scales = minMaxScales[format] / 4
  let from = 0
  for (let row = 0; row < rows; row++) {
    const inPanel = row & 15
    let block = (row >> 4) * blocks * blockWords
    for (let i = 0; i < blocks; i++, block += blockWords) {
      encodeMinMaxScales(source, from, target, block + scales, inPanel)
      if (fifthWords > 0) encodeFifthBits(source, from + 4, target, block + q5Fifth / 4 + inPanel * 8)
      const nibbles = from + 4 + fifthWords
      encodeNibbles(source, nibbles, target, block + inPanel * 16)
      encodeNibbles(source, nibbles + 16, target, block + 256 + inPanel * 16)
      from = nibbles + 32
    }
  }
}

/** 128 k of nibbles (two source chunks of 64) to half order: 4 words for each group of 32. */
function encodeNibbles(source: Uint32Array, from: number, target: Uint32Array, to: number): void {
  for (let chunk = 0; chunk < 2; chunk++, from += 8, to += 8) {
    for (let i = 0; i < 4; i++) {
      const low = source[from + i]
      const high = source[from + 4 + i]
      target[to + i] = (low & 0x0f0f0f0f) | ((high & 0x0f0f0f0f) << 4)
      target[to + 4 + i] = ((low >>> 4) & 0x0f0f0f0f) | (high & 0xf0f0f0f0)
    }
  }
}

/**
 * The 12 bytes are three words: low bits of scales 0-3, of mins 0-3 (6 bits a byte), then four bits each of
 * scales and mins 4-7, whose upper two bits are the upper two of the first two words.
 */
function encodeMinMaxScales(
  source: Uint32Array,
  from: number,
  target: Uint32Array,
  to: number,
  inPanel: number,
): void {
  const a = source[from + 1]
  const b = source[from + 2]
  const c = source[from + 3]
  target[to + inPanel * 2] = (a & 0x0f0f0f0f) | ((b & 0x0f0f0f0f) << 4)
  target[to + inPanel * 2 + 1] = c
  const scales = upperBits(a >>> 4) | (upperBits(a >>> 6) << 8)
  const mins = upperBits(b >>> 4) | (upperBits(b >>> 6) << 8)
  target[to + 32 + inPanel] = scales | (mins << 16)
  // d and dmin are two planes of 16 halves: put each into its half of a word.
  const shift = (inPanel & 1) * 16
  const d = to + 48 + (inPanel >> 1)
  const keep = 0xffff0000 >>> shift
  target[d] = (target[d] & keep) | ((source[from] & 0xffff) << shift)
  target[d + 8] = (target[d + 8] & keep) | ((source[from] >>> 16) << shift)
}

/** The two low bits of each of four bytes, side by side. */
function upperBits(word: number): number {
  return (word & 3) | ((word >>> 6) & 12) | ((word >>> 12) & 48) | ((word >>> 18) & 192)
}

/** Bit g of source byte l is the fifth bit of k = 32g + l; the target wants 16 bits a group: LOW l < 16, HIGH others. */
function encodeFifthBits(source: Uint32Array, from: number, target: Uint32Array, to: number): void {
  for (let word = 0; word < 8; word++) {
    const bytes = from + ((word >> 1) & 1) * 4 // LOW or HIGH
    const group = (word >> 2) * 4 + (word & 1) * 2
    target[to + word] = gatherBits(source, bytes, group) | (gatherBits(source, bytes, group + 1) << 16)
  }
}

/** Bit `bit` of each of 16 bytes. The product moves the bits at 0, 8, 16, 24 to 28 .. 31 without a carry. */
function gatherBits(source: Uint32Array, from: number, bit: number): number {
  let bits = 0
  for (let i = 0; i < 4; i++) {
    const four = Math.imul((source[from + i] >>> bit) & 0x01010101, 0x10204080) >>> 28
    bits |= four << (4 * i)
  }
  return bits
}

/**
 * Q6_K, 105 halfwords: low nibbles 64, upper bits 32, int8 scales 8, d. In each 128 k, nibble byte l < 64 holds
 * k = l (low) and k = 64 + l (high); bits 2g of upper byte l < 32 belong to k = 32g + l.
 */
export function encodeQ6K(source: Uint16Array, rows: number, columns: number, target: Uint16Array): void {
  const blocks = Math.ceil(columns / 256)
  const blockWords = geometry.q6_k.blockBytes / 2
  let from = 0
  for (let row = 0; row < rows; row++) {
    const inPanel = row & 15
    let block = (row >> 4) * blocks * blockWords
    for (let i = 0; i < blocks; i++, block += blockWords, from += 105) {
      encodeSixNibbles(source, from, target, block + inPanel * 32)
      encodeSixNibbles(source, from + 32, target, block + 512 + inPanel * 32)
      encodeUpperPairs(source, from + 64, target, block + q6Upper / 2 + inPanel * 32)
      const scales = block + q6Scales / 2 + inPanel * 8
      for (let j = 0; j < 8; j++) target[scales + j] = source[from + 96 + j]
      target[block + q6D / 2 + inPanel] = source[from + 104]
    }
  }
}

function encodeSixNibbles(source: Uint16Array, from: number, target: Uint16Array, to: number): void {
  for (let group = 0; group < 2; group++, from += 16, to += 8) {
    for (let i = 0; i < 8; i++) {
      const low = source[from + i]
      const high = source[from + 8 + i]
      target[to + i] = (low & 0x0f0f) | ((high & 0x0f0f) << 4)
      target[to + 16 + i] = ((low >>> 4) & 0x0f0f) | (high & 0xf0f0)
    }
  }
}

function encodeUpperPairs(source: Uint16Array, from: number, target: Uint16Array, to: number): void {
  for (let i = 0; i < 8; i++) {
    const h0Low = source[from + i]
    const h0High = source[from + 8 + i]
    const h1Low = source[from + 16 + i]
    const h1High = source[from + 24 + i]
    for (let group = 0; group < 4; group++) {
      const shift = 2 * group
      target[to + group * 8 + i] =
        ((h0Low >>> shift) & 0x0303) |
        (((h0High >>> shift) & 0x0303) << 2) |
        (((h1Low >>> shift) & 0x0303) << 4) |
        (((h1High >>> shift) & 0x0303) << 6)
    }
  }
}

/** One row of a packed q4_k matrix. `at` is the row's panel, `inPanel` its place there. */
export function decodeQ4K(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  decodeMinMax("q4_k", bytes, at, inPanel, out)
}

/** One row of a packed q5_k matrix. */
export function decodeQ5K(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  decodeMinMax("q5_k", bytes, at, inPanel, out)
}

/** Products of f16, 6-bit and 5-bit numbers are exact in float64; storing the difference rounds once. */
function decodeMinMax(
  format: "q4_k" | "q5_k",
  bytes: Uint8Array,
  at: number,
  inPanel: number,
  out: Float32Array,
): void {
  const { blockBytes } = geometry[format]
  const scales = minMaxScales[format]
  for (let first = 0; first < out.length; first += 32) {
    const block = at + (first >> 8) * blockBytes
    const group = (first >> 5) & 7
    const small = bytes[block + scales + inPanel * 8 + group]
    const large = block + scales + 128 + inPanel * 4 + (group >> 2)
    const shift = (group & 3) * 2
    const d = block + scales + 192 + inPanel * 2
    const scale = halfAt(bytes, d) * ((small & 15) | (((bytes[large] >> shift) & 3) << 4))
    const min = halfAt(bytes, d + 32) * ((small >> 4) | (((bytes[large + 2] >> shift) & 3) << 4))
    const nibbles = block + (group >> 2) * 1024 + inPanel * 64 + (group & 3) * 16
    const fifth = block + q5Fifth + inPanel * 32 + (group >> 2) * 16 + (group & 3) * 2
    const values = Math.min(32, out.length - first)
    for (let i = 0; i < values; i++) {
      const byte = bytes[nibbles + (i & 15)]
      let q = i < 16 ? byte & 15 : byte >> 4
      if (format === "q5_k") q |= ((bytes[fifth + ((i & 16) >> 1) + ((i >> 3) & 1)] >> (i & 7)) & 1) << 4
      out[first + i] = scale * q - min
    }
  }
}

/** One row of a packed q6_k matrix. */
export function decodeQ6K(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 16) {
    const block = at + (first >> 8) * geometry.q6_k.blockBytes
    const group = (first >> 4) & 15
    const scale = (bytes[block + q6Scales + inPanel * 16 + group] << 24) >> 24
    const dScale = halfAt(bytes, block + q6D + inPanel * 2) * scale
    const nibbles = block + (group >> 3) * 1024 + inPanel * 64 + ((group >> 1) & 3) * 16
    const upper = block + q6Upper + inPanel * 64 + ((group >> 1) & 3) * 16
    const nibbleShift = (group & 1) * 4
    const upperShift = (group >> 3) * 4 + (group & 1) * 2
    const end = Math.min(first + 16, out.length)
    for (let k = first; k < end; k++) {
      const low = (bytes[nibbles + (k & 15)] >> nibbleShift) & 15
      const high = (bytes[upper + (k & 15)] >> upperShift) & 3
      out[k] = dScale * ((low | (high << 4)) - 32)
    }
  }
}
