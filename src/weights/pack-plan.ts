// Before packing: what every tensor becomes, where it goes and in which pieces the work is done. A checkpoint's
// headers in, the packed file's layout and its pieces out. Knows sizes and places; reads no weights.

import { assert } from "../util/errors.ts"
import { checkTensors } from "./check.ts"
import { geometry, layoutVersion, matrixBytes } from "./format.ts"
import type { Format } from "./format.ts"
import { sourceTypeOf } from "./layout.ts"
import { layOut, noHash } from "./packed-header.ts"
import type { PackedLayout, PackedNote, TensorNote } from "./packed-header.ts"
import { scaleBlock, sourceGeometry, typeBytes } from "./source.ts"
import type { Checkpoint, SourcePart, SourceTensor, SourceType } from "./source.ts"
import type { TensorRole, TensorSpec } from "./spec.ts"

/**
 * How float matrices are stored: `auto` is q4_k, the head q6_k; `q4_s` is a twentieth smaller than q4_k; `keep` leaves
 * them as they are, FP8 as bf16. Where columns are no multiple of 256, q8_0 takes the place of the others. Quantised sources stay what they are.
 */
export const quants = ["auto", "q4_k", "q4_s", "q8_0", "keep"] as const
export type Quant = (typeof quants)[number]

/** One matrix of a tensor: packed at once, by whoever has its bytes. Plain data, fit for another thread. */
export interface Piece {
  tensor: string
  type: SourceType
  format: Format
  rows: number
  columns: number
  part: SourcePart
  /** FP8 only: the scales of this matrix. */
  scales?: { type: SourceType; parts: SourcePart[] }
  /** Where it begins in the packed file. */
  target: number
}

export interface PackPlan {
  note: PackedNote
  files: ReadonlyMap<string, Uint8Array>
  layout: PackedLayout
  /** In the order of the source's files and of their bytes. */
  pieces: readonly Piece[]
}

export function planPack(
  checkpoint: Checkpoint,
  specs: readonly TensorSpec[],
  options: { quant: Quant; source: string },
): PackPlan {
  checkTensors(checkpoint, specs)
  const tensors: Record<string, TensorNote> = {}
  const sources = specs.map(({ name, role }) => {
    const source = checkpoint.tensors.get(name)
    assert(source !== undefined, `checked tensor ${name} is there`)
    tensors[name] = noteOf(source, role, options.quant)
    return source
  })
  const note = { ...options, tensors }
  const layout = layOut(note, fileSizes(checkpoint.files))
  const pieces = sources.flatMap((source) => {
    const offset = layout.offsets.get(source.name)
    assert(offset !== undefined, `${source.name} has a place`)
    return piecesOf(source, tensors[source.name].format, offset)
  })
  return { note, files: checkpoint.files, layout, pieces: pieces.sort(bySource) }
}

export function fileSizes(files: ReadonlyMap<string, Uint8Array>): Map<string, number> {
  return new Map([...files].map(([name, bytes]) => [name, bytes.length]))
}

function noteOf({ type, shape }: SourceTensor, role: TensorRole, quant: Quant): TensorNote {
  const format = formatOf(type, role, shape.at(-1) ?? 1, quant)
  // float32 holds every source type exactly, scaled FP8 included, for that product is rounded to float32 anyway.
  const exact = sourceTypeOf[format] === type || format === "f32"
  return { format, shape, source: type, hash: noHash, packed: noHash, exact }
}

const floatFormats = { F32: "f32", F16: "f16", BF16: "bf16", F8_E4M3: "bf16" } as const

export function formatOf(type: SourceType, role: TensorRole, columns: number, quant: Quant): Format {
  if (role === "vector") return "f32"
  const isFloat = type === "F32" || type === "F16" || type === "BF16" || type === "F8_E4M3"
  if (role === "router") return isFloat ? floatFormats[type] : "f32"
  if (!isFloat) return quantisedFormats[type]
  if (quant === "keep") return floatFormats[type]
  if (quant === "q8_0" || columns % geometry.q4_k.blockColumns !== 0) return "q8_0"
  if (quant === "auto") return role === "head" ? "q6_k" : "q4_k"
  return quant
}

const quantisedFormats = {
  Q4_0: "q4_0",
  Q8_0: "q8_0",
  Q4_K: "q4_k",
  Q5_K: "q5_k",
  Q6_K: "q6_k",
  Q4_S: "q4_s",
} as const

/** The pieces of one tensor whose packed form begins at `offset`: one per matrix, however the source is cut. */
export function piecesOf(source: SourceTensor, format: Format, offset: number): Piece[] {
  const { name: tensor, type, shape, parts } = source
  const columns = shape.at(-1) ?? 1
  const rows = shape.at(-2) ?? 1
  const experts = shape.length === 3 ? shape[0] : 1
  const bytes = typeBytes(type, rows * columns)
  const targetBytes = matrixBytes(format, rows, columns)
  return Array.from({ length: experts }, (_, i) => {
    const [part, ...rest] = sliceParts(parts, i * bytes, bytes)
    assert(
      part?.bytes === bytes && rest.length === 0,
      `matrix ${i} of ${tensor} lies in one part of its source`,
    )
    const scales = source.scales && scalesOf(source.scales, i, rows, columns)
    return { tensor, type, format, rows, columns, part, scales, target: offset + i * targetBytes }
  })
}

function scalesOf({ type, parts }: SourceTensor, expert: number, rows: number, columns: number) {
  const perExpert = Math.ceil(rows / scaleBlock) * Math.ceil(columns / scaleBlock)
  const bytes = perExpert * sourceGeometry[type].blockBytes
  return { type, parts: sliceParts(parts, expert * bytes, bytes) }
}

/** Bytes `offset .. offset + bytes` of parts that follow each other. */
function sliceParts(parts: readonly SourcePart[], offset: number, bytes: number): SourcePart[] {
  const slices: SourcePart[] = []
  let start = 0
  for (const part of parts) {
    const from = Math.max(offset, start)
    const to = Math.min(offset + bytes, start + part.bytes)
    if (from < to) slices.push({ path: part.path, offset: part.offset + from - start, bytes: to - from })
    start += part.bytes
  }
  return slices
}

function bySource(a: Piece, b: Piece): number {
  if (a.part.path !== b.part.path) return a.part.path < b.part.path ? -1 : 1
  return a.part.offset - b.part.offset
}

/** Names this very file: another layout, source or choice makes another plan. */
export function planText({ note, files, layout, pieces }: PackPlan): string {
  const sizes = [...fileSizes(files)]
  const places = pieces.map(({ tensor, part }) => [tensor, part.path, part.offset, part.bytes])
  return JSON.stringify([layoutVersion, note, sizes, layout.fileBytes, places])
}
