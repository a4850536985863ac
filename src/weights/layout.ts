// Step 0, before the path: the packed layout. Rows of a source's blocks in, panels of 16 rows out; and one row of
// a packed matrix back to float32. Knows one matrix at a time; never files or names. Geometry: format.ts.

import { assert } from "../util/errors.ts"
import { geometry, matrixBytes, panelRows } from "./format.ts"
import type { Format } from "./format.ts"
import { fromBfloat, halves } from "./half.ts"
import { decodeQ40, decodeQ80, encodeQ40, encodeQ80 } from "./layout-groups.ts"
import {
  decodeQ4K,
  decodeQ4S,
  decodeQ5K,
  decodeQ6K,
  encodeQ4K,
  encodeQ4S,
  encodeQ5K,
  encodeQ6K,
} from "./layout-superblocks.ts"
import { sourceGeometry } from "./source.ts"
import type { SourceType } from "./source.ts"

/** A packed format holds the blocks of the source type of the same name. */
export const sourceTypeOf = {
  f32: "F32",
  f16: "F16",
  bf16: "BF16",
  q4_0: "Q4_0",
  q8_0: "Q8_0",
  q4_k: "Q4_K",
  q5_k: "Q5_K",
  q6_k: "Q6_K",
  q4_s: "Q4_S",
} as const satisfies Record<Format, SourceType>

/** Bytes of `rows` rows as source blocks; each row is padded to whole blocks. */
export function sourceBytes(format: Format, rows: number, columns: number): number {
  const { blockValues, blockBytes } = sourceGeometry[sourceTypeOf[format]]
  return rows * Math.ceil(columns / blockValues) * blockBytes
}

/**
 * Packs rows of source blocks; `target` begins at a panel and gets matrixBytes(format, rows, columns) bytes. A
 * matrix may be packed in several calls, each but the last of a multiple of 16 rows. Both must be 4-byte aligned.
 */
export function encodePanels(
  format: Format,
  source: Uint8Array,
  rows: number,
  columns: number,
  target: Uint8Array,
): void {
  const bytes = sourceBytes(format, rows, columns)
  const size = matrixBytes(format, rows, columns)
  assert(
    source.length >= bytes,
    `${rows} x ${columns} ${format} takes ${bytes} bytes, source has ${source.length}`,
  )
  assert(
    target.length >= size,
    `${rows} x ${columns} ${format} packs to ${size} bytes, target has ${target.length}`,
  )
  const { panels, blockColumns } = geometry[format]
  if (!panels) return target.set(source.subarray(0, bytes))
  assert(source.byteOffset % 4 === 0 && target.byteOffset % 4 === 0, "packing needs 4-byte alignment")
  if (rows % panelRows !== 0 || columns % blockColumns !== 0) target.fill(0, 0, size)
  const target32 = new Uint32Array(target.buffer, target.byteOffset, size >> 2)
  const view = new DataView(source.buffer, source.byteOffset, bytes) // blocks of odd halfwords begin anywhere
  const source32 = new Uint32Array(source.buffer, source.byteOffset, bytes >> 2)
  if (format === "q4_0") encodeQ40(view, rows, columns, target32)
  else if (format === "q8_0") encodeQ80(view, rows, columns, target32)
  else if (format === "q4_k") encodeQ4K(source32, rows, columns, target32)
  else if (format === "q5_k") encodeQ5K(source32, rows, columns, target32)
  else if (format === "q4_s") encodeQ4S(view, rows, columns, target32)
  else encodeQ6K(view, rows, columns, target32)
}

/** One row of a packed matrix [rows, columns] as float32; `out` has `columns` values. */
export function decodeRow(
  format: Format,
  matrix: Uint8Array,
  rows: number,
  columns: number,
  row: number,
  out: Float32Array,
): void {
  assert(row >= 0 && row < rows, `row ${row} of ${rows}`)
  assert(out.length === columns, `row of ${columns} columns into ${out.length}`)
  const { panels, blockColumns, blockBytes } = geometry[format]
  const inPanel = panels ? row % panelRows : 0
  const at = (panels ? (row - inPanel) / panelRows : row) * Math.ceil(columns / blockColumns) * blockBytes
  if (format === "q4_0") decodeQ40(matrix, at, inPanel, out)
  else if (format === "q8_0") decodeQ80(matrix, at, inPanel, out)
  else if (format === "q4_k") decodeQ4K(matrix, at, inPanel, out)
  else if (format === "q5_k") decodeQ5K(matrix, at, inPanel, out)
  else if (format === "q4_s") decodeQ4S(matrix, at, inPanel, out)
  else if (format === "q6_k") decodeQ6K(matrix, at, inPanel, out)
  else decodePlain(format, matrix, at, out)
}

function decodePlain(format: "f32" | "f16" | "bf16", bytes: Uint8Array, at: number, out: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, out.length * geometry[format].blockBytes)
  for (let k = 0; k < out.length; k++) {
    if (format === "f32") out[k] = view.getFloat32(k * 4, true)
    else if (format === "f16") out[k] = halves[view.getUint16(k * 2, true)]
    else out[k] = fromBfloat(view.getUint16(k * 2, true))
  }
}
