// A packed file against its source: hashes recomputed, values compared one by one; without the source, whether the
// values are numbers at all. A report per tensor out. Knows pieces and rows; never what the model does with them.

import { UserError } from "../util/errors.ts"
import { matrixBytes } from "./format.ts"
import type { PackedTensor } from "./format.ts"
import { decodeRow } from "./layout.ts"
import { joinHashes } from "./pack.ts"
import { piecesOf } from "./pack-plan.ts"
import type { Piece } from "./pack-plan.ts"
import { PieceSource } from "./pack-source.ts"
import type { Chunk } from "./pack-source.ts"
import type { PackedModel } from "./packed.ts"
import type { Checkpoint, SourceTensor } from "./source.ts"

export interface TensorReport {
  name: string
  source: string
  format: string
  exact: boolean
  hash: "same" | "differs" | "no source"
  /** Largest distance of a value from the source's; absent without a source. */
  maxError?: number
  /** Root mean square of the distances over that of the source's values; absent without a source. */
  relativeRms?: number
  /** Whether hash and errors are as they should be; without a source, whether all values are finite. */
  verdict: "good" | "bad"
}

/** Distances between packed and source values, added up over a tensor. */
interface Errors {
  max: number
  squares: number
  sourceSquares: number
}

/** Reports on one tensor after the other, in the order of the file. */
export async function* verify(
  packed: PackedModel,
  source?: Checkpoint,
  { signal }: { signal?: AbortSignal } = {},
): AsyncGenerator<TensorReport> {
  const reader = new PieceSource()
  try {
    for (const tensor of packed.tensors.values()) {
      if (source) yield await compareTensor(reader, tensor, source, signal)
      else yield await checkTensor(reader, tensor, signal)
    }
  } finally {
    reader.close()
  }
}

async function compareTensor(
  reader: PieceSource,
  tensor: PackedTensor,
  source: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<TensorReport> {
  const errors: Errors = { max: 0, squares: 0, sourceSquares: 0 }
  const hashes: string[] = []
  for (const piece of piecesOf(originalOf(tensor, source), tensor.format, tensor.offset)) {
    const chunks = reader.chunks(piece)
    let at = piece.target
    let step = chunks.next()
    for (; !step.done; step = chunks.next()) {
      at += compare(reader, tensor.path, at, piece, step.value, errors)
      await breathe(signal)
    }
    hashes.push(step.value)
  }
  const { max, squares, sourceSquares } = errors
  const hash = joinHashes(hashes) === tensor.sourceHash ? "same" : "differs"
  return {
    ...labels(tensor),
    hash,
    maxError: max,
    relativeRms: squares === 0 ? 0 : Math.sqrt(squares / sourceSquares),
    verdict: hash === "same" && (max === 0 || !tensor.exact) ? "good" : "bad",
  }
}

function originalOf({ name, path, source, shape }: PackedTensor, checkpoint: Checkpoint): SourceTensor {
  const original = checkpoint.tensors.get(name)
  if (original?.type === source && original.shape.join() === shape.join()) return original
  const got = original ? `${original.type} [${original.shape}]` : "nothing"
  throw new UserError(
    "bad-file",
    `${checkpoint.path} has ${name} as ${got}, ${path} was packed from ${source} [${shape}]: ` +
      "name the checkpoint that it was packed from",
  )
}

/** Decodes every row of a tensor whose source is not there. */
async function checkTensor(
  reader: PieceSource,
  tensor: PackedTensor,
  signal: AbortSignal | undefined,
): Promise<TensorReport> {
  const { format, shape, path, offset, bytes } = tensor
  const columns = shape.at(-1) ?? 1
  const rows = shape.at(-2) ?? 1
  const size = matrixBytes(format, rows, columns)
  const row = new Float32Array(columns)
  let zero = 0
  for (let at = 0; at < bytes; at += size) {
    const matrix = reader.read({ path, offset: offset + at, bytes: size })
    for (let i = 0; i < rows; i++) {
      decodeRow(format, matrix, rows, columns, i, row)
      for (let k = 0; k < columns; k++) zero += row[k] * 0
    }
    await breathe(signal)
  }
  return { ...labels(tensor), hash: "no source", verdict: zero === 0 ? "good" : "bad" }
}

function labels({ name, source, format, exact }: PackedTensor) {
  return { name, source, format, exact }
}

/** Lets other work in between two chunks. */
async function breathe(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  if (signal?.aborted) throw new UserError("cancelled", "verifying was cancelled: run the command again")
}

/** Adds one chunk's errors; returns how many packed bytes it takes. */
function compare(
  reader: PieceSource,
  path: string,
  offset: number,
  piece: Piece,
  chunk: Chunk,
  errors: Errors,
): number {
  const { format, columns } = piece
  const expected = reader.floats(piece, chunk)
  const bytes = matrixBytes(format, chunk.rows, columns)
  const panels = reader.read({ path, offset, bytes }) // the chunk's own bytes are not needed any more
  const row = new Float32Array(columns)
  for (let i = 0; i < chunk.rows; i++) {
    decodeRow(format, panels, chunk.rows, columns, i, row)
    addErrors(row, expected.subarray(i * columns, (i + 1) * columns), errors)
  }
  return bytes
}

function addErrors(values: Float32Array, expected: Float32Array, errors: Errors): void {
  let { max, squares, sourceSquares } = errors
  for (let k = 0; k < values.length; k++) {
    const x = expected[k]
    sourceSquares += x * x
    // Damage to a scale in the source may be NaN or infinite; the same in both is no error.
    if (Object.is(values[k], x)) continue
    const distance = Math.abs(values[k] - x)
    max = distance <= max ? max : distance
    squares += distance * distance
  }
  errors.max = max
  errors.squares = squares
  errors.sourceSquares = sourceSquares
}
