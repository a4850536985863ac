// Packs pieces: source bytes in, panels at their place in the packed file and a SHA-256 out. Runs on any thread;
// a chunk of rows at a time in buffers that are used again. Knows bytes and places; never names or order.

import { createHash } from "node:crypto"
import type { Hash } from "node:crypto"
import { closeSync, openSync, readSync } from "node:fs"
import { UserError, assert } from "../util/errors.ts"
import { applyScales, dequantise } from "./dequantise.ts"
import { writeAll, writeError } from "./disk.ts"
import { fileError } from "./file.ts"
import { matrixBytes, panelRows } from "./format.ts"
import type { Format } from "./format.ts"
import { toBfloat, toHalf } from "./half.ts"
import { encodePanels, sourceBytes, sourceTypeOf } from "./layout.ts"
import type { Piece } from "./pack-plan.ts"
import { largestWeight, quantiseRows } from "./quantise.ts"
import { typeBytes } from "./source.ts"
import type { SourcePart, SourceType } from "./source.ts"

/** Source bytes read at once: large for the disk, small for the processor's cache. */
const chunkBytes = 1 << 20

/** Rows of one expert: what is read, converted and written at once. */
interface Chunk {
  firstRow: number
  rows: number
}

export class PiecePacker {
  readonly #target: number
  readonly #targetPath: string
  readonly #sources = new Map<string, number>()
  readonly #buffers = new Map<"source" | "floats" | "blocks" | "panels", ArrayBuffer>()

  constructor(targetPath: string) {
    this.#targetPath = targetPath
    this.#target = openSync(targetPath, "r+")
  }

  /** Yields the source bytes of each chunk once it is written; returns the piece's hash. */
  *pack(piece: Piece): Generator<number, string> {
    const { type, format, experts, rows, columns, part } = piece
    const hash = createHash("sha256")
    const scales = this.#readScales(piece, hash)
    const rowBytes = typeBytes(type, columns)
    const chunkRows = Math.max(1, Math.floor(chunkBytes / rowBytes / panelRows)) * panelRows
    let { offset } = part
    let to = piece.target
    for (let expert = 0; expert < experts; expert++) {
      const expertScales = scales?.subarray((expert * scales.length) / experts)
      for (let firstRow = 0; firstRow < rows; firstRow += chunkRows) {
        const chunk = { firstRow, rows: Math.min(chunkRows, rows - firstRow) }
        const source = this.#read({ path: part.path, offset, bytes: chunk.rows * rowBytes })
        hash.update(source)
        const packed = this.#convert(piece, chunk, source, expertScales)
        this.#write(packed, to)
        offset += source.length
        to += packed.length
        yield source.length
      }
    }
    assert(to === piece.target + experts * matrixBytes(format, rows, columns), "a piece fills its place")
    return hash.digest("hex")
  }

  close(): void {
    for (const file of this.#sources.values()) closeSync(file)
    this.#sources.clear()
    closeSync(this.#target)
  }

  #convert(piece: Piece, chunk: Chunk, source: Uint8Array, scales: Float32Array | undefined): Uint8Array {
    const { type, format, columns } = piece
    const panels = this.#buffer("panels", matrixBytes(format, chunk.rows, columns))
    if (type === sourceTypeOf[format]) {
      encodePanels(format, source, chunk.rows, columns, panels)
      return panels
    }
    const count = chunk.rows * columns
    const floats = new Float32Array(this.#buffer("floats", count * 4).buffer, 0, count)
    dequantise(type, source, floats)
    if (scales) applyScales(floats, chunk.firstRow, columns, scales)
    checkRange(floats, piece)
    const blocks = this.#buffer("blocks", sourceBytes(format, chunk.rows, columns))
    putFloats(format, floats, chunk.rows, columns, blocks)
    encodePanels(format, blocks, chunk.rows, columns, panels)
    return panels
  }

  /** The scales count as part of the tensor's bytes: they come first in its hash. */
  #readScales({ scales }: Piece, hash: Hash): Float32Array | undefined {
    if (!scales) return undefined
    const bytes = Buffer.concat(scales.parts.map((part) => Uint8Array.from(this.#read(part))))
    hash.update(bytes)
    return toFloats(scales.type, bytes)
  }

  #read({ path, offset, bytes }: SourcePart): Uint8Array {
    const out = this.#buffer("source", bytes)
    for (let done = 0; done < bytes;) {
      const got = this.#readSome(path, out.subarray(done), offset + done)
      if (got === 0) throw new UserError("bad-file", `${path} ended early: it changed while it was packed`)
      done += got
    }
    return out
  }

  #readSome(path: string, out: Uint8Array, position: number): number {
    try {
      const file = this.#sources.get(path) ?? openSync(path, "r")
      this.#sources.set(path, file)
      return readSync(file, out, 0, out.length, position)
    } catch (error) {
      throw fileError(path, error)
    }
  }

  #write(bytes: Uint8Array, position: number): void {
    try {
      writeAll(this.#target, bytes, position)
    } catch (error) {
      throw writeError(this.#targetPath, error)
    }
  }

  #buffer(name: "source" | "floats" | "blocks" | "panels", bytes: number): Uint8Array<ArrayBuffer> {
    let buffer = this.#buffers.get(name)
    if (buffer === undefined || buffer.byteLength < bytes) {
      buffer = new ArrayBuffer(Math.ceil(bytes / 64) * 64)
      this.#buffers.set(name, buffer)
    }
    return new Uint8Array(buffer, 0, bytes)
  }
}

/** NaN, infinity and numbers that no f16 scale reaches are damage, not weights. */
function checkRange(floats: Float32Array, { tensor, part }: Piece): void {
  for (let i = 0; i < floats.length; i++) {
    if (Math.abs(floats[i]) <= largestWeight) continue
    throw new UserError(
      "bad-file",
      `${part.path} has ${floats[i]} in tensor ${tensor}; wanted numbers within ${largestWeight}: download it again`,
    )
  }
}

function toFloats(type: SourceType, bytes: Uint8Array): Float32Array {
  const floats = new Float32Array(bytes.length / typeBytes(type, 1))
  dequantise(type, bytes, floats)
  return floats
}

/** float32 rows as source blocks of `format`. */
function putFloats(
  format: Format,
  floats: Float32Array,
  rows: number,
  columns: number,
  blocks: Uint8Array<ArrayBuffer>,
): void {
  if (format === "q8_0" || format === "q4_k" || format === "q6_k")
    return quantiseRows(format, floats, rows, columns, blocks)
  if (format === "f32") return new Float32Array(blocks.buffer, 0, floats.length).set(floats)
  assert(format === "f16" || format === "bf16", `floats do not become ${format}`)
  const halves = new Uint16Array(blocks.buffer, 0, floats.length)
  const convert = format === "f16" ? toHalf : toBfloat
  for (let i = 0; i < floats.length; i++) halves[i] = convert(floats[i])
}
