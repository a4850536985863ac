// A packed file against the hashes of its own bytes, which finds any damage, and, where the source is there, against
// its hashes and values. A report per tensor out. Knows pieces and rows; never what the model does with them.

import { createHash } from "node:crypto"
import { UserError } from "../util/errors.ts"
import { matrixBytes } from "./format.ts"
import type { Format, PackedTensor } from "./format.ts"
import { joinHashes } from "./hashes.ts"
import { decodeRow } from "./layout.ts"
import { piecesOf } from "./pack-plan.ts"
import { PieceSource, chunkBytes } from "./pack-source.ts"
import type { PackedModel } from "./packed.ts"
import type { Checkpoint, SourceTensor } from "./source.ts"

export interface TensorReport {
  name: string
  source: string
  format: string
  exact: boolean
  /** Of the packed bytes, against what packing wrote. */
  packed: "same" | "differs"
  /** Of the source's bytes, against what was packed. */
  hash: "same" | "differs" | "no source"
  /** Largest distance of a value from the source's; absent without a source. */
  maxError?: number
  /** Root mean square of the distances over that of the source's values; absent without a source. */
  relativeRms?: number
  /** Whether hashes and errors are as they should be. */
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
  const { path, format, offset } = tensor
  const errors: Errors = { max: 0, squares: 0, sourceSquares: 0 }
  const hashes = { source: new Array<string>(), packed: new Array<string>() }
  for (const piece of piecesOf(originalOf(tensor, source), format, offset)) {
    const hash = createHash("sha256")
    const chunks = reader.chunks(piece)
    let at = piece.target
    let step = chunks.next()
    for (; !step.done; step = chunks.next()) {
      const expected = reader.floats(piece, step.value)
      const bytes = matrixBytes(format, step.value.rows, piece.columns)
      const panels = reader.read({ path, offset: at, bytes }) // the chunk's own bytes are not needed any more
      hash.update(panels)
      compare(format, panels, expected, piece.columns, errors)
      at += bytes
      await breathe(signal)
    }
    hashes.source.push(step.value)
    hashes.packed.push(hash.digest("hex"))
  }
  const { max, squares, sourceSquares } = errors
  const packed = joinHashes(hashes.packed) === tensor.packedHash ? "same" : "differs"
  const hash = joinHashes(hashes.source) === tensor.sourceHash ? "same" : "differs"
  const areSame = packed === "same" && hash === "same"
  return {
    ...labels(tensor),
    packed,
    hash,
    maxError: max,
    relativeRms: squares === 0 ? 0 : Math.sqrt(squares / sourceSquares),
    verdict: areSame && (max === 0 || !tensor.exact) ? "good" : "bad",
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

/** A tensor whose source is not there: its bytes alone. */
async function checkTensor(
  reader: PieceSource,
  tensor: PackedTensor,
  signal: AbortSignal | undefined,
): Promise<TensorReport> {
  const { format, shape, path, offset, bytes } = tensor
  const size = matrixBytes(format, shape.at(-2) ?? 1, shape.at(-1) ?? 1)
  const hashes: string[] = []
  for (let matrix = 0; matrix < bytes; matrix += size) {
    const hash = createHash("sha256")
    for (let at = matrix; at < matrix + size; at += chunkBytes) {
      const left = matrix + size - at
      hash.update(reader.read({ path, offset: offset + at, bytes: Math.min(chunkBytes, left) }))
      await breathe(signal)
    }
    hashes.push(hash.digest("hex"))
  }
  const packed = joinHashes(hashes) === tensor.packedHash ? "same" : "differs"
  return { ...labels(tensor), packed, hash: "no source", verdict: packed === "same" ? "good" : "bad" }
}

function labels({ name, source, format, exact }: PackedTensor) {
  return { name, source, format, exact }
}

/** Lets other work in between two chunks. */
async function breathe(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  if (signal?.aborted) throw new UserError("cancelled", "verifying was cancelled: run the command again")
}

/** Adds the errors of some rows. */
function compare(
  format: Format,
  panels: Uint8Array,
  expected: Float32Array,
  columns: number,
  errors: Errors,
): void {
  const rows = expected.length / columns
  const row = new Float32Array(columns)
  for (let i = 0; i < rows; i++) {
    decodeRow(format, panels, rows, columns, i, row)
    addErrors(row, expected.subarray(i * columns, (i + 1) * columns), errors)
  }
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
