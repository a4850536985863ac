// Packs pieces: a piece in, panels at their place in the packed file and their hashes out. Runs on any thread, a chunk
// of rows at a time. Knows formats and places; never names or order.

import { createHash } from "node:crypto"
import { closeSync, openSync } from "node:fs"
import { UserError, assert } from "../util/errors.ts"
import { writeAll, writeError } from "./disk.ts"
import { matrixBytes } from "./format.ts"
import type { Format } from "./format.ts"
import { toBfloat, toHalf } from "./half.ts"
import type { Hashes } from "./hashes.ts"
import { encodePanels, sourceBytes, sourceTypeOf } from "./layout.ts"
import type { Piece } from "./pack-plan.ts"
import { PieceSource, Scratch } from "./pack-source.ts"
import type { Chunk } from "./pack-source.ts"
import { largestWeight, quantiseRows } from "./quantise.ts"

export class PiecePacker {
  readonly #source = new PieceSource()
  readonly #target: number
  readonly #targetPath: string
  readonly #blocks = new Scratch()
  readonly #panels = new Scratch()

  constructor(targetPath: string) {
    this.#targetPath = targetPath
    this.#target = openSync(targetPath, "r+")
  }

  /** Yields the source bytes of each chunk once it is written; returns the piece's hashes. */
  *pack(piece: Piece): Generator<number, Hashes> {
    const { format, rows, columns } = piece
    const hash = createHash("sha256")
    let to = piece.target
    const chunks = this.#source.chunks(piece)
    let step = chunks.next()
    for (; !step.done; step = chunks.next()) {
      const packed = this.#convert(piece, step.value)
      hash.update(packed)
      this.#write(packed, to)
      to += packed.length
      yield step.value.bytes.length
    }
    assert(to === piece.target + matrixBytes(format, rows, columns), "a piece fills its place")
    return { source: step.value, packed: hash.digest("hex") }
  }

  close(): void {
    this.#source.close()
    closeSync(this.#target)
  }

  #convert(piece: Piece, chunk: Chunk): Uint8Array {
    const { type, format, columns } = piece
    const panels = this.#panels.take(matrixBytes(format, chunk.rows, columns))
    if (type === sourceTypeOf[format]) {
      encodePanels(format, chunk.bytes, chunk.rows, columns, panels)
      return panels
    }
    const floats = this.#source.floats(piece, chunk)
    checkRange(floats, piece)
    const blocks = this.#blocks.take(sourceBytes(format, chunk.rows, columns))
    putFloats(format, floats, chunk.rows, columns, blocks)
    encodePanels(format, blocks, chunk.rows, columns, panels)
    return panels
  }

  #write(bytes: Uint8Array, position: number): void {
    try {
      writeAll(this.#target, bytes, position)
    } catch (error) {
      throw writeError(this.#targetPath, error)
    }
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

/** float32 rows as source blocks of `format`. */
function putFloats(
  format: Format,
  floats: Float32Array,
  rows: number,
  columns: number,
  blocks: Uint8Array<ArrayBuffer>,
): void {
  if (format === "q8_0" || format === "q4_k" || format === "q6_k" || format === "q4_s")
    return quantiseRows(format, floats, rows, columns, blocks)
  if (format === "f32") return new Float32Array(blocks.buffer, 0, floats.length).set(floats)
  assert(format === "f16" || format === "bf16", `floats do not become ${format}`)
  const halves = new Uint16Array(blocks.buffer, 0, floats.length)
  const convert = format === "f16" ? toHalf : toBfloat
  for (let i = 0; i < floats.length; i++) halves[i] = convert(floats[i])
}
