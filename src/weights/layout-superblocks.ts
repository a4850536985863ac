// The packed forms of Q4_K, Q5_K and Q6_K: blocks of 256 columns whose group scales are themselves quantised.
// Source blocks in, panels of 16 rows out, and back to float32. Geometry: format.ts.

import { halfAt } from "./half.ts"
import { geometry } from "./format.ts"
import { decodeNibbleLane, encodeNibbleLanes, vectorBytes } from "./layout-lanes.ts"

// Byte offsets of the planes in a block of 16 rows.
const nibbleBytes = 16 * 2 * 64
const q5Fifth = nibbleBytes
/** A row's nibbles, then its upper bits. */
const q6RowBytes = 3 * vectorBytes
const q6Upper = 2 * vectorBytes
const q6Scales = 16 * q6RowBytes
const q6D = q6Scales + 16 * 16
/** small, large, d, dmin follow each other; this is where small begins. */
const minMaxScales = { q4_k: nibbleBytes, q5_k: nibbleBytes + 16 * 32 }

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
      encodeNibbles(source, from + 4 + fifthWords, target, block + inPanel * 32)
      from += 4 + fifthWords + 32
    }
  }
}

/** Four source chunks of 64 k: the low nibbles of 16 bytes are one lane, the high ones the lane two on. */
function encodeNibbles(source: Uint32Array, from: number, target: Uint32Array, to: number): void {
  for (let chunk = 0; chunk < 4; chunk++, from += 8, to += 4) {
    for (let i = 0; i < 4; i++) {
      const lane = i >> 1
      const plane = i & 1
      const near = source[from + lane * 4 + plane]
      const far = source[from + lane * 4 + plane + 2]
      target[to + plane * 16 + lane] = (near & 0x0f0f0f0f) | ((far & 0x0f0f0f0f) << 4)
      target[to + plane * 16 + lane + 2] = ((near >>> 4) & 0x0f0f0f0f) | (far & 0xf0f0f0f0)
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

/** Bit g of source byte l is the fifth bit of k = 32g + l: words j and 4 + j are lanes 2g and 2g + 1 of vector j. */
function encodeFifthBits(source: Uint32Array, from: number, target: Uint32Array, to: number): void {
  for (let vector = 0; vector < 4; vector++) {
    const even = source[from + vector]
    const odd = source[from + 4 + vector]
    for (let half = 0; half < 2; half++) {
      let bits = 0
      for (let i = 0; i < 4; i++) {
        const group = half * 4 + i
        bits |= (gatherBits(even >>> group) | (gatherBits(odd >>> group) << 4)) << (8 * i)
      }
      target[to + vector * 2 + half] = bits
    }
  }
}

/** The lowest bit of each of four bytes; the product moves bits 0, 8, 16, 24 to 28 .. 31 without a carry. */
function gatherBits(word: number): number {
  return Math.imul(word & 0x01010101, 0x10204080) >>> 28
}

/**
 * Q6_K, 210 bytes: low nibbles 128, upper bits 64, int8 scales 16, d. In each 128 k, nibble byte l < 64 holds k = l
 * (low) and k = 64 + l (high); bits 2g of upper byte l < 32 belong to k = 32g + l.
 */
export function encodeQ6K(source: DataView, rows: number, columns: number, target: Uint32Array): void {
  const halves = new Uint16Array(target.buffer, target.byteOffset, target.length * 2)
  const blocks = Math.ceil(columns / 256)
  const blockWords = geometry.q6_k.blockBytes / 4
  let from = 0
  for (let row = 0; row < rows; row++) {
    const inPanel = row & 15
    let block = (row >> 4) * blocks * blockWords
    for (let i = 0; i < blocks; i++, block += blockWords, from += 210) {
      const planes = block + (inPanel * q6RowBytes) / 4
      encodeSixNibbles(source, from, target, planes)
      encodeUpperPairs(source, from + 128, target, planes + q6Upper / 4)
      const scales = block + q6Scales / 4 + inPanel * 4
      for (let j = 0; j < 4; j++) target[scales + j] = source.getUint32(from + 192 + 4 * j, true)
      halves[block * 2 + q6D / 2 + inPanel] = source.getUint16(from + 208, true)
    }
  }
}

/** The low nibbles of 16 bytes are one lane, the high ones the lane four on. */
function encodeSixNibbles(source: DataView, from: number, target: Uint32Array, to: number): void {
  for (let i = 0; i < 8; i++) {
    const low = to + (i & 4) * 2 + (i & 3)
    encodeNibbleLanes(source, from + i * 16, target, low, low + 4)
  }
}

/** A source byte has a pair for each of four groups; a target byte has one for each of four vectors. */
function encodeUpperPairs(source: DataView, from: number, target: Uint32Array, to: number): void {
  for (let i = 0; i < 4; i++) {
    // Bytes 16m + 4j + b of the 32 of 128 k are vector j of the lanes 2g + m; i counts the 128 and m.
    const word0 = source.getUint32(from + i * 16, true)
    const word1 = source.getUint32(from + i * 16 + 4, true)
    const word2 = source.getUint32(from + i * 16 + 8, true)
    const word3 = source.getUint32(from + i * 16 + 12, true)
    const lane = to + (i >> 1) * 8 + (i & 1)
    for (let group = 0; group < 4; group++) {
      const shift = 2 * group
      target[lane + group * 2] =
        ((word0 >>> shift) & 0x03030303) |
        (((word1 >>> shift) & 0x03030303) << 2) |
        (((word2 >>> shift) & 0x03030303) << 4) |
        (((word3 >>> shift) & 0x03030303) << 6)
    }
  }
}

/** The lane that is being decoded. */
const quants = new Uint8Array(16)

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
    for (let half = first; half < Math.min(first + 32, out.length); half += 16) {
      const lane = (half >> 4) & 15
      decodeNibbleLane(bytes, block + inPanel * 2 * vectorBytes + lane * 4, quants)
      if (format === "q5_k") addFifthBits(bytes, block + q5Fifth + inPanel * 32, lane)
      const values = Math.min(16, out.length - half)
      for (let i = 0; i < values; i++) out[half + i] = scale * quants[i] - min
    }
  }
}

/** Four bits of each vector: half a byte of its u64. */
function addFifthBits(bytes: Uint8Array, row: number, lane: number): void {
  for (let i = 0; i < 16; i++) {
    const fifths = bytes[row + (i >> 2) * 8 + (lane >> 1)] >> ((lane & 1) * 4)
    quants[i] |= ((fifths >> (i & 3)) & 1) << 4
  }
}

/** One row of a packed q6_k matrix. */
export function decodeQ6K(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 16) {
    const block = at + (first >> 8) * geometry.q6_k.blockBytes
    const lane = (first >> 4) & 15
    const scale = (bytes[block + q6Scales + inPanel * 16 + lane] << 24) >> 24
    const dScale = halfAt(bytes, block + q6D + inPanel * 2) * scale
    const planes = block + inPanel * q6RowBytes
    decodeNibbleLane(bytes, planes + lane * 4, quants)
    const upper = planes + q6Upper + lane * 4
    const values = Math.min(16, out.length - first)
    for (let i = 0; i < values; i++) {
      const high = (bytes[upper + (i & 3)] >> ((i >> 2) * 2)) & 3
      out[first + i] = dScale * ((quants[i] | (high << 4)) - 32)
    }
  }
}
