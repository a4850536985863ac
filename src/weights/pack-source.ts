// Reads pieces of a source: bytes of a few rows at a time, their hash, and what they stand for as float32. Buffers
// are used again: a chunk is valid until the next. Knows bytes and places; never where they go.

import { createHash } from "node:crypto"
import type { Hash } from "node:crypto"
import { closeSync, openSync, readSync } from "node:fs"
import { UserError } from "../util/errors.ts"
import { applyScales, dequantise, dequantised } from "./dequantise.ts"
import { fileError } from "./file.ts"
import { panelRows } from "./format.ts"
import type { Piece } from "./pack-plan.ts"
import { typeBytes } from "./source.ts"
import type { SourcePart } from "./source.ts"

/** Bytes read at once: large for the disk, small for the processor's cache. */
export const chunkBytes = 1 << 20

/** Consecutive rows of one matrix, whole panels but for the matrix's last. */
export interface Chunk {
  firstRow: number
  rows: number
  /** 4-byte aligned. */
  bytes: Uint8Array
  /** FP8 only: of the whole matrix. */
  scales?: Float32Array
}

/** Memory that grows to the largest size asked for. */
export class Scratch {
  #buffer = new ArrayBuffer(0)

  take(bytes: number): Uint8Array<ArrayBuffer> {
    if (this.#buffer.byteLength < bytes) this.#buffer = new ArrayBuffer(Math.ceil(bytes / 64) * 64)
    return new Uint8Array(this.#buffer, 0, bytes)
  }
}

export class PieceSource {
  readonly #files = new Map<string, number>()
  readonly #bytes = new Scratch()
  readonly #floats = new Scratch()

  /** Bytes of a file, valid until the next are read. */
  read({ path, offset, bytes }: SourcePart): Uint8Array {
    const out = this.#bytes.take(bytes)
    for (let done = 0; done < bytes;) {
      const got = this.#readSome(path, out.subarray(done), offset + done)
      if (got === 0) throw new UserError("bad-file", `${path} ended early: it changed while it was read`)
      done += got
    }
    return out
  }

  /** Every chunk of a piece, in order; returns the SHA-256 of its source: of its scales, if it has any, and its bytes. */
  *chunks(piece: Piece): Generator<Chunk, string> {
    const { type, rows, columns, part } = piece
    const hash = createHash("sha256")
    const scales = this.#readScales(piece, hash)
    const rowBytes = typeBytes(type, columns)
    const chunkRows = Math.max(1, Math.floor(chunkBytes / rowBytes / panelRows)) * panelRows
    let { offset } = part
    for (let firstRow = 0; firstRow < rows; firstRow += chunkRows) {
      const count = Math.min(chunkRows, rows - firstRow)
      const bytes = this.read({ path: part.path, offset, bytes: count * rowBytes })
      hash.update(bytes)
      offset += bytes.length
      yield { firstRow, rows: count, bytes, scales }
    }
    return hash.digest("hex")
  }

  /** A chunk's values. */
  floats({ type, columns }: Piece, { firstRow, rows, bytes, scales }: Chunk): Float32Array {
    const count = rows * columns
    const floats = new Float32Array(this.#floats.take(count * 4).buffer, 0, count)
    dequantise(type, bytes, floats)
    if (scales) applyScales(floats, firstRow, columns, scales)
    return floats
  }

  close(): void {
    for (const file of this.#files.values()) closeSync(file)
    this.#files.clear()
  }

  #readScales({ scales }: Piece, hash: Hash): Float32Array | undefined {
    if (!scales) return undefined
    const bytes = Buffer.concat(scales.parts.map((part) => Uint8Array.from(this.read(part))))
    hash.update(bytes)
    return dequantised(scales.type, bytes)
  }

  #readSome(path: string, out: Uint8Array, position: number): number {
    try {
      const file = this.#files.get(path) ?? openSync(path, "r")
      this.#files.set(path, file)
      return readSync(file, out, 0, out.length, position)
    } catch (error) {
      throw fileError(path, error)
    }
  }
}
