// The packed weight formats: names, block geometry and byte counts. Knows bytes; never files, never model order.
//
// A packed matrix [rows, columns] is a sequence of panels of 16 rows; a panel is a sequence of blocks along the
// columns (k). Rows and columns beyond the matrix are padding whose scales are zero. Stacked matrices (experts)
// follow each other. native/format.h states the same geometry for the kernels.
//
// A block is all 16 rows of 256 k. A word is four k of one row, word i being k = 4i .. 4i + 3; a vector is a word of
// each row, 64 bytes: byte 4r + b of vector i is row r, k = 4i + b. So lane r of an int32 dot product of a vector with
// four activations, repeated for all rows, belongs to row r: sixteen sums at once, none to be folded, and any number of
// tokens share the weights of a register. [16] is the row; fields follow each other:
//
// nibbles  [32 planes][64 B]: plane p has vector 2p in the low nibbles, vector 2p + 1 in the high ones
// q4_0  2304 B:  nibbles; scale f16[8 groups][16]                                value = scale * (q - 8)
// q8_0  4352 B:  int8[64 vectors][64]; scale f16[8 groups][16]                   value = scale * q
// q4_k  2304 B:  nibbles
//                small u8[8 groups][16]: scale & 15 low, min & 15 high
//                large u32[16]: bits 2i = scale[i] >> 4, bits 16 + 2i = min[i] >> 4, i < 8
//                d f16[16], dmin f16[16]                                         value = d*scale*q - dmin*min
// q5_k  2816 B:  nibbles; fifth u64[64 vectors]: bit b is the fifth bit of the vector's byte b;
//                then small, large, d, dmin as q4_k
// q6_k  3360 B:  [16 sections of 16 k][3][64 B]: two nibble planes, then the upper bits: bits 2j, 2j + 1 of byte b
//                belong to byte b of the section's vector j. Side by side, since processors fetch one stream best.
//                scale int8[16 sections][16]; d f16[16]                          value = d*scale*(q - 32)
// q4_s  2208 B:  nibbles; scale int8[8 groups][16]; d f16[16]                    value = d*scale*(q - 8)
// f32, f16, bf16: plain row-major values, no panels.
//
// Per-weight bytes equal those of the GGUF type of the same name, so these imports are exact and no larger. q4_s is our
// own: 4.31 bits a weight.

import { assert } from "../util/errors.ts"

/** The order is the format's number in the native kernels. */
export const formats = ["f32", "f16", "bf16", "q4_0", "q8_0", "q4_k", "q5_k", "q6_k", "q4_s"] as const
export type Format = (typeof formats)[number]

export const panelRows = 16

/** Bumped whenever a packed byte changes its meaning. */
export const layoutVersion = 3

interface Geometry {
  /** Columns of one block. */
  blockColumns: number
  /** Bytes of one block of 16 rows (panel formats) or of one value (plain formats). */
  blockBytes: number
  panels: boolean
}

export const geometry = {
  f32: { blockColumns: 1, blockBytes: 4, panels: false },
  f16: { blockColumns: 1, blockBytes: 2, panels: false },
  bf16: { blockColumns: 1, blockBytes: 2, panels: false },
  q4_0: { blockColumns: 256, blockBytes: 2304, panels: true },
  q8_0: { blockColumns: 256, blockBytes: 4352, panels: true },
  q4_k: { blockColumns: 256, blockBytes: 2304, panels: true },
  q5_k: { blockColumns: 256, blockBytes: 2816, panels: true },
  q6_k: { blockColumns: 256, blockBytes: 3360, panels: true },
  q4_s: { blockColumns: 256, blockBytes: 2208, panels: true },
} as const satisfies Record<Format, Geometry>

/** Bytes of one packed matrix [rows, columns]. */
export function matrixBytes(format: Format, rows: number, columns: number): number {
  assert(rows > 0 && columns > 0, `matrix of ${rows} x ${columns}`)
  const { blockColumns, blockBytes, panels } = geometry[format]
  const blocks = Math.ceil(columns / blockColumns)
  return (panels ? Math.ceil(rows / panelRows) : rows) * blocks * blockBytes
}

/** Bytes of a packed tensor: [columns], [rows, columns] or [experts, rows, columns]. */
export function tensorBytes(format: Format, shape: readonly number[]): number {
  assert(shape.length >= 1 && shape.length <= 3, `tensor of ${shape.length} dimensions`)
  const columns = shape.at(-1) ?? 1
  const rows = shape.at(-2) ?? 1
  return (shape.length === 3 ? (shape[0] ?? 1) : 1) * matrixBytes(format, rows, columns)
}

/** One tensor inside a packed file: everything a backend needs to map it. */
export interface PackedTensor {
  /** Hugging Face name; experts stacked, e.g. `model.layers.0.mlp.experts.gate_proj.weight` [experts, rows, columns]. */
  name: string
  format: Format
  shape: readonly number[]
  /** The packed file. */
  path: string
  /** Of the first byte in that file; a multiple of 64. */
  offset: number
  bytes: number
  /** What it was imported from, e.g. `Q4_0` or `BF16`. */
  source: string
  /** SHA-256 of the source tensor's bytes, hex; of a stack, that of its matrices' digests. */
  sourceHash: string
  /** The same of the packed bytes. */
  packedHash: string
  /** Whether every value equals the source's. */
  exact: boolean
}
