// Source blocks in, float32 out: the exact meaning of every type that can be imported, and the oracle of the packer.
// Block layouts are those of ggml-quants (GGUF), of IEEE / OCP floats, and our own Q4_S. Knows bytes; never files or names.

import { assert } from "../util/errors.ts"
import { float8Values } from "./float8.ts"
import { halfAt } from "./half.ts"
import { scaleBlock, sourceGeometry, typeBytes, type SourceType } from "./source.ts"

/** Decodes one block at byte `at` into `out[to...]`. */
type BlockDecoder = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void

/** d f16, 16 bytes: low nibbles are values 0-15, high nibbles 16-31. */
function decodeQ4_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  for (let i = 0; i < 16; i++) {
    const pair = bytes[at + 2 + i]
    out[to + i] = d * ((pair & 15) - 8)
    out[to + 16 + i] = d * ((pair >> 4) - 8)
  }
}

/** d f16, 32 int8. */
function decodeQ8_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  for (let i = 0; i < 32; i++) out[to + i] = d * ((bytes[at + 2 + i] << 24) >> 24)
}

/** The 6-bit scale of group g (of 8) of Q4_K and Q5_K; groups 4-7 keep their high bits above those of 0-3. */
function groupScale(bytes: Uint8Array, at: number, g: number): number {
  if (g < 4) return bytes[at + g] & 63
  return (bytes[at + g + 4] & 15) | ((bytes[at + g - 4] >> 6) << 4)
}

/** The 6-bit minimum of group g; see `groupScale`. */
function groupMin(bytes: Uint8Array, at: number, g: number): number {
  if (g < 4) return bytes[at + g + 4] & 63
  return (bytes[at + g + 4] >> 4) | ((bytes[at + g] >> 6) << 4)
}

/** d f16, dmin f16, 12 bytes of scales and minima, 4 x 32 bytes of nibbles (low: group 2c, high: group 2c + 1). */
function decodeQ4_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  const dmin = halfAt(bytes, at + 2)
  for (let g = 0; g < 8; g++) {
    const scale = d * groupScale(bytes, at + 4, g)
    const min = dmin * groupMin(bytes, at + 4, g)
    const nibbles = at + 16 + (g >> 1) * 32
    const shift = (g & 1) * 4
    for (let i = 0; i < 32; i++) out[to + g * 32 + i] = scale * ((bytes[nibbles + i] >> shift) & 15) - min
  }
}

/** As Q4_K with 32 bytes before the nibbles: bit g of byte i is the fifth bit of value i of group g. */
function decodeQ5_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  const dmin = halfAt(bytes, at + 2)
  for (let g = 0; g < 8; g++) {
    const scale = d * groupScale(bytes, at + 4, g)
    const min = dmin * groupMin(bytes, at + 4, g)
    const nibbles = at + 48 + (g >> 1) * 32
    const shift = (g & 1) * 4
    for (let i = 0; i < 32; i++) {
      const fifth = (bytes[at + 16 + i] >> g) & 1
      out[to + g * 32 + i] = scale * (((bytes[nibbles + i] >> shift) & 15) | (fifth << 4)) - min
    }
  }
}

/** 128 bytes of low nibbles, 64 of upper bit pairs, 16 int8 scales of 16 values, d f16; two halves of 128 values. */
function decodeQ6_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at + 208)
  for (let i = 0; i < 256; i++) {
    const half = i >> 7
    const quarter = (i >> 5) & 3
    const low = bytes[at + half * 64 + (i & 63)] >> ((quarter >> 1) * 4)
    const upper = bytes[at + 128 + half * 32 + (i & 31)] >> (quarter * 2)
    const scale = (bytes[at + 192 + (i >> 4)] << 24) >> 24
    out[to + i] = d * scale * (((low & 15) | ((upper & 3) << 4)) - 32)
  }
}

/** d f16, 8 int8 scales, 4 x 32 bytes of nibbles (low: group 2c, high: group 2c + 1). */
function decodeQ4_S(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  for (let g = 0; g < 8; g++) {
    const scale = d * ((bytes[at + 2 + g] << 24) >> 24)
    const nibbles = at + 10 + (g >> 1) * 32
    const shift = (g & 1) * 4
    for (let i = 0; i < 32; i++) out[to + g * 32 + i] = scale * (((bytes[nibbles + i] >> shift) & 15) - 8)
  }
}

const blockDecoders: Partial<Record<SourceType, BlockDecoder>> = {
  Q4_0: decodeQ4_0,
  Q8_0: decodeQ8_0,
  Q4_K: decodeQ4_K,
  Q5_K: decodeQ5_K,
  Q6_K: decodeQ6_K,
  Q4_S: decodeQ4_S,
}

/** Whole blocks of `type` to float32; FP8 values are without their scales, see `applyScales`. */
export function dequantise(type: SourceType, bytes: Uint8Array, out: Float32Array): void {
  const { blockValues, blockBytes } = sourceGeometry[type]
  const blocks = bytes.length / blockBytes
  assert(Number.isInteger(blocks), `${bytes.length} bytes are no whole ${type} blocks`)
  assert(out.length === blocks * blockValues, `${out.length} floats for ${blocks} ${type} blocks`)
  const decode = blockDecoders[type]
  if (decode === undefined) return dequantiseFloats(type, bytes, out)
  for (let block = 0; block < blocks; block++) decode(bytes, block * blockBytes, out, block * blockValues)
}

/** The same into an array of its own. */
export function dequantised(type: SourceType, bytes: Uint8Array): Float32Array {
  const floats = new Float32Array(bytes.length / typeBytes(type, 1))
  dequantise(type, bytes, floats)
  return floats
}

function dequantiseFloats(type: SourceType, bytes: Uint8Array, out: Float32Array): void {
  if (type === "F32") {
    new Uint8Array(out.buffer, out.byteOffset, bytes.length).set(bytes)
  } else if (type === "F16") {
    for (let i = 0; i < out.length; i++) out[i] = halfAt(bytes, 2 * i)
  } else if (type === "F8_E4M3") {
    for (let i = 0; i < out.length; i++) out[i] = float8Values[bytes[i]]
  } else {
    assert(type === "BF16", `no decoder for ${type}`)
    const bits = new Uint32Array(out.buffer, out.byteOffset, out.length)
    for (let i = 0; i < out.length; i++) bits[i] = ((bytes[2 * i] << 16) | (bytes[2 * i + 1] << 24)) >>> 0
  }
}

/**
 * Multiplies FP8 values by their `weight_scale_inv`: `values` holds whole rows of a [rows, columns] matrix from
 * `firstRow` on, `scales` one float per 128x128 block of that matrix.
 */
export function applyScales(
  values: Float32Array,
  firstRow: number,
  columns: number,
  scales: Float32Array,
): void {
  assert(values.length % columns === 0, `${values.length} values are no whole rows of ${columns}`)
  const scaleColumns = Math.ceil(columns / scaleBlock)
  for (let at = 0, row = firstRow; at < values.length; at += columns, row++) {
    const scaleRow = Math.floor(row / scaleBlock) * scaleColumns
    assert(scaleRow + scaleColumns <= scales.length, `no scale for row ${row}`)
    for (let i = 0; i < columns; i++) values[at + i] *= scales[scaleRow + Math.floor(i / scaleBlock)]
  }
}
