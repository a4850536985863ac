// Step 5, reference backend. Packed tensors in, float32 rows out: read and decoded 16 rows at a time, on demand.
// Knows one tensor; never what it is for.

import { UserError } from "../../util/errors.ts"
import { counted, withFile } from "../../weights/file.ts"
import { matrixBytes, panelRows } from "../../weights/format.ts"
import type { PackedTensor } from "../../weights/format.ts"
import { decodeRow } from "../../weights/layout.ts"

/**
 * Memory for decoded rows, shared by all weights. Rows stay until it is used up and are never evicted: a step goes
 * through all weights in the same order, so what comes first is what a larger model profits from. A small model is
 * decoded once, the full-size one mostly in every step.
 */
export class DecodedRows {
  #bytesLeft: number

  constructor(maxBytes = 256 << 20) {
    this.#bytesLeft = maxBytes
  }

  /** Whether `bytes` may be kept for good. */
  take(bytes: number): boolean {
    if (bytes > this.#bytesLeft) return false
    this.#bytesLeft -= bytes
    return true
  }
}

/** A weight whose rows can be asked for one by one. */
export interface DecodedMatrix {
  readonly experts: number
  readonly rows: number
  readonly columns: number
  /** One row as float32 [columns]; not to be written to. */
  row(expert: number, row: number): Float32Array
}

/** One row that is no tensor of a file. */
export class Vector implements DecodedMatrix {
  readonly experts = 1
  readonly rows = 1
  readonly columns: number
  readonly #values: Float32Array

  constructor(values: Float32Array) {
    this.columns = values.length
    this.#values = values
  }

  row(): Float32Array {
    return this.#values
  }
}

export class PackedMatrix implements DecodedMatrix {
  readonly experts: number
  readonly rows: number
  readonly columns: number
  readonly #tensor: PackedTensor
  readonly #kept: DecodedRows
  /** Decoded panels [16 rows, columns], by expert and panel. */
  readonly #panels = new Map<number, Float32Array>()
  #latest: { panel: number; values: Float32Array } | undefined

  constructor(tensor: PackedTensor, kept: DecodedRows) {
    const { path, offset, bytes, shape } = tensor
    withFile(path, (file) => {
      if (offset + bytes <= file.bytes) return
      const short = `${path} has ${counted(file.bytes)} bytes; ${tensor.name} ends at ${counted(offset + bytes)}`
      throw new UserError("bad-file", `${short}: pack the model again`)
    })
    this.experts = shape.length === 3 ? shape[0] : 1
    this.rows = shape.at(-2) ?? 1
    this.columns = shape.at(-1) ?? 1
    this.#tensor = tensor
    this.#kept = kept
  }

  row(expert: number, row: number): Float32Array {
    const inPanel = row % panelRows
    const panelsPerMatrix = Math.ceil(this.rows / panelRows)
    const panel = expert * panelsPerMatrix + (row - inPanel) / panelRows
    const values = this.#panels.get(panel) ?? this.#decoded(panel, expert, row - inPanel)
    return values.subarray(inPanel * this.columns, (inPanel + 1) * this.columns)
  }

  #decoded(panel: number, expert: number, firstRow: number): Float32Array {
    if (this.#latest?.panel === panel) return this.#latest.values
    const values = this.#decode(expert, firstRow)
    if (this.#kept.take(values.byteLength)) this.#panels.set(panel, values)
    else this.#latest = { panel, values }
    return values
  }

  /** Sixteen rows are contiguous in every format: one panel, or as many plain rows. */
  #decode(expert: number, firstRow: number): Float32Array {
    const { columns, rows } = this
    const { format, path, offset } = this.#tensor
    const numRows = Math.min(panelRows, rows - firstRow)
    const before = firstRow === 0 ? 0 : matrixBytes(format, firstRow, columns)
    const at = offset + expert * matrixBytes(format, rows, columns) + before
    const bytes = withFile(path, (file) => file.read(at, matrixBytes(format, numRows, columns)))
    const values = new Float32Array(numRows * columns)
    for (let row = 0; row < numRows; row++)
      decodeRow(format, bytes, numRows, columns, row, values.subarray(row * columns, (row + 1) * columns))
    return values
  }
}
