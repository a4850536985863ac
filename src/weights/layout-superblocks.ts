// The packed forms of Q4_K, Q5_K, Q6_K and Q4_S: blocks of 256 columns whose group scales are themselves quantised.
// Source blocks in, panels of 16 rows out, and back to float32. Geometry: format.ts.

import { halfAt } from "./half.ts"
import { geometry } from "./format.ts"
import { decodeNibblePair, encodeNibblePair, vectorBytes, vectorWords } from "./layout-words.ts"

// Byte offsets of what follows the codes in a block of 16 rows; a field has one entry of each row.
const nibbleBytes = 32 * vectorBytes
const q5Fifth = nibbleBytes
/** Two nibble planes, then the upper bits of their four words. */
const q6SectionWords = 3 * vectorWords
const q6Scales = 16 * 3 * vectorBytes
const q6D = q6Scales + 16 * 16
const q4sScales = nibbleBytes
const q4sD = q4sScales + 8 * 16
/** small, large, d, dmin follow each other; this is where small begins. */
const minMaxScales = { q4_k: nibbleBytes, q5_k: nibbleBytes + 64 * 8 }

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
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.length * 4)
  const blocks = Math.ceil(columns / 256)
  const blockWords = geometry[format].blockBytes / 4
  const fifthWords = format === "q5_k" ? 8 : 0
  const scales = minMaxScales[format]
  let from = 0
  for (let row = 0; row < rows; row++) {
    const inPanel = row & 15
    let block = (row >> 4) * blocks * blockWords
    for (let i = 0; i < blocks; i++, block += blockWords) {
      encodeMinMaxScales(source, from, bytes, block * 4 + scales, inPanel)
      encodeLarge(source, from, target, block + scales / 4 + 32, inPanel)
      if (fifthWords > 0) encodeFifthBits(source, from + 4, target, block + q5Fifth / 4, inPanel)
      encodeNibbles(source, from + 4 + fifthWords, target, block + inPanel)
      from += 4 + fifthWords + 32
    }
  }
}

/** Four source chunks of 64 k: the low nibbles of eight words are four planes, the high ones the next four. */
function encodeNibbles(source: Uint32Array, from: number, target: Uint32Array, to: number): void {
  for (let pair = 0; pair < 16; pair++) {
    const low = to + ((pair >> 2) * 8 + (pair & 3)) * vectorWords
    encodeNibblePair(source[from + 2 * pair], source[from + 2 * pair + 1], target, low, low + 4 * vectorWords)
  }
}

/**
 * The 12 bytes are three words: low bits of scales 0-3, of mins 0-3 (6 bits a byte), then four bits each of
 * scales and mins 4-7, whose upper two bits are the upper two of the first two words. The low four bits of a group
 * are one byte of each row.
 */
function encodeMinMaxScales(
  source: Uint32Array,
  from: number,
  target: Uint8Array,
  to: number,
  inPanel: number,
): void {
  const near = (source[from + 1] & 0x0f0f0f0f) | ((source[from + 2] & 0x0f0f0f0f) << 4)
  const far = source[from + 3]
  for (let i = 0; i < 4; i++) {
    target[to + i * 16 + inPanel] = near >>> (8 * i)
    target[to + (4 + i) * 16 + inPanel] = far >>> (8 * i)
  }
}

/** The upper two bits of all scales and mins, d and dmin. */
function encodeLarge(
  source: Uint32Array,
  from: number,
  target: Uint32Array,
  to: number,
  inPanel: number,
): void {
  const a = source[from + 1]
  const b = source[from + 2]
  const scales = upperBits(a >>> 4) | (upperBits(a >>> 6) << 8)
  const mins = upperBits(b >>> 4) | (upperBits(b >>> 6) << 8)
  target[to + inPanel] = scales | (mins << 16)
  // d and dmin are two rows of 16 halves: put each into its half of a word.
  const shift = (inPanel & 1) * 16
  const d = to + 16 + (inPanel >> 1)
  const keep = 0xffff0000 >>> shift
  target[d] = (target[d] & keep) | ((source[from] & 0xffff) << shift)
  target[d + 8] = (target[d + 8] & keep) | ((source[from] >>> 16) << shift)
}

/** The two low bits of each of four bytes, side by side. */
function upperBits(word: number): number {
  return (word & 3) | ((word >>> 6) & 12) | ((word >>> 12) & 48) | ((word >>> 18) & 192)
}

/** Bit g of source byte l is the fifth bit of k = 32g + l; four bits are a word's, and eight rows fill a target word. */
function encodeFifthBits(
  source: Uint32Array,
  from: number,
  target: Uint32Array,
  to: number,
  inPanel: number,
): void {
  const shift = (inPanel & 7) * 4
  for (let word = 0; word < 64; word++) {
    const at = to + word * 2 + (inPanel >> 3)
    const bits = gatherBits(source[from + (word & 7)] >>> (word >> 3))
    target[at] = (target[at] & ~(15 << shift)) | (bits << shift)
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
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.length * 4)
  const blocks = Math.ceil(columns / 256)
  const blockWords = geometry.q6_k.blockBytes / 4
  let from = 0
  for (let row = 0; row < rows; row++) {
    const inPanel = row & 15
    let block = (row >> 4) * blocks * blockWords
    for (let i = 0; i < blocks; i++, block += blockWords, from += 210) {
      encodeSixNibbles(source, from, target, block + inPanel)
      encodeUpperPairs(source, from + 128, target, block + 2 * vectorWords + inPanel)
      const scales = block * 4 + q6Scales + inPanel
      for (let j = 0; j < 16; j++) bytes[scales + j * 16] = source.getUint8(from + 192 + j)
      halves[block * 2 + q6D / 2 + inPanel] = source.getUint16(from + 208, true)
    }
  }
}

/** Of each 128 k, the low nibbles of sixteen words are eight planes, the high ones the next eight. */
function encodeSixNibbles(source: DataView, from: number, target: Uint32Array, to: number): void {
  for (let pair = 0; pair < 16; pair++) {
    const plane = (pair >> 3) * 16 + (pair & 7)
    const low = to + (plane >> 1) * q6SectionWords + (plane & 1) * vectorWords
    const even = source.getUint32(from + pair * 8, true)
    const odd = source.getUint32(from + pair * 8 + 4, true)
    encodeNibblePair(even, odd, target, low, low + 4 * q6SectionWords)
  }
}

/** A source byte has a pair for each of four groups; a target byte has one for each of a section's four words. */
function encodeUpperPairs(source: DataView, from: number, target: Uint32Array, to: number): void {
  for (let i = 0; i < 4; i++) {
    const word0 = source.getUint32(from + i * 16, true)
    const word1 = source.getUint32(from + i * 16 + 4, true)
    const word2 = source.getUint32(from + i * 16 + 8, true)
    const word3 = source.getUint32(from + i * 16 + 12, true)
    const first = to + ((i >> 1) * 8 + (i & 1)) * q6SectionWords
    for (let group = 0; group < 4; group++) {
      const shift = 2 * group
      target[first + 2 * group * q6SectionWords] =
        ((word0 >>> shift) & 0x03030303) |
        (((word1 >>> shift) & 0x03030303) << 2) |
        (((word2 >>> shift) & 0x03030303) << 4) |
        (((word3 >>> shift) & 0x03030303) << 6)
    }
  }
}

/** Q4_S, 138 bytes: d f16, int8 scales of 8 groups, nibbles as in Q4_K. */
export function encodeQ4S(source: DataView, rows: number, columns: number, target: Uint32Array): void {
  const halves = new Uint16Array(target.buffer, target.byteOffset, target.length * 2)
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.length * 4)
  const blocks = Math.ceil(columns / 256)
  const blockWords = geometry.q4_s.blockBytes / 4
  let from = 0
  for (let row = 0; row < rows; row++) {
    const inPanel = row & 15
    let block = (row >> 4) * blocks * blockWords
    for (let i = 0; i < blocks; i++, block += blockWords, from += 138) {
      halves[block * 2 + q4sD / 2 + inPanel] = source.getUint16(from, true)
      for (let g = 0; g < 8; g++)
        bytes[block * 4 + q4sScales + g * 16 + inPanel] = source.getUint8(from + 2 + g)
      for (let pair = 0; pair < 16; pair++) {
        const low = block + inPanel + ((pair >> 2) * 8 + (pair & 3)) * vectorWords
        const even = source.getUint32(from + 10 + pair * 8, true)
        const odd = source.getUint32(from + 14 + pair * 8, true)
        encodeNibblePair(even, odd, target, low, low + 4 * vectorWords)
      }
    }
  }
}

/** The sixteen columns that are being decoded. */
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
  for (let first = 0; first < out.length; first += 8) {
    const block = at + (first >> 8) * blockBytes
    const fields = block + minMaxScales[format]
    const group = (first >> 5) & 7
    const small = bytes[fields + group * 16 + inPanel]
    const large = fields + 128 + inPanel * 4 + (group >> 2)
    const shift = (group & 3) * 2
    const d = fields + 192 + inPanel * 2
    const scale = halfAt(bytes, d) * ((small & 15) | (((bytes[large] >> shift) & 3) << 4))
    const min = halfAt(bytes, d + 32) * ((small >> 4) | (((bytes[large + 2] >> shift) & 3) << 4))
    const plane = (first >> 3) & 31
    decodeNibblePair(bytes, block + plane * vectorBytes + inPanel * 4, quants, 0)
    if (format === "q5_k") addFifthBits(bytes, block + q5Fifth + plane * 16, inPanel)
    const values = Math.min(8, out.length - first)
    for (let i = 0; i < values; i++) out[first + i] = scale * quants[i] - min
  }
}

/** Of two words: four bits of each one's u64, half a byte. */
function addFifthBits(bytes: Uint8Array, at: number, inPanel: number): void {
  for (let i = 0; i < 8; i++) {
    const fifths = bytes[at + (i >> 2) * 8 + (inPanel >> 1)] >> ((inPanel & 1) * 4)
    quants[i] |= ((fifths >> (i & 3)) & 1) << 4
  }
}

/** One row of a packed q6_k matrix. */
export function decodeQ6K(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 16) {
    const block = at + (first >> 8) * geometry.q6_k.blockBytes
    const section = (first >> 4) & 15
    const scale = (bytes[block + q6Scales + section * 16 + inPanel] << 24) >> 24
    const dScale = halfAt(bytes, block + q6D + inPanel * 2) * scale
    const planes = block + section * q6SectionWords * 4 + inPanel * 4
    decodeNibblePair(bytes, planes, quants, 0)
    decodeNibblePair(bytes, planes + vectorBytes, quants, 8)
    const values = Math.min(16, out.length - first)
    for (let i = 0; i < values; i++) {
      const high = (bytes[planes + 2 * vectorBytes + (i & 3)] >> ((i >> 2) * 2)) & 3
      out[first + i] = dScale * ((quants[i] | (high << 4)) - 32)
    }
  }
}

/** One row of a packed q4_s matrix. */
export function decodeQ4S(bytes: Uint8Array, at: number, inPanel: number, out: Float32Array): void {
  for (let first = 0; first < out.length; first += 8) {
    const block = at + (first >> 8) * geometry.q4_s.blockBytes
    const scale = (bytes[block + q4sScales + ((first >> 5) & 7) * 16 + inPanel] << 24) >> 24
    const dScale = halfAt(bytes, block + q4sD + inPanel * 2) * scale
    decodeNibblePair(bytes, block + ((first >> 3) & 31) * vectorBytes + inPanel * 4, quants, 0)
    const values = Math.min(8, out.length - first)
    for (let i = 0; i < values; i++) out[first + i] = dScale * (quants[i] - 8)
  }
}
