// The header of a packed file: a valid safetensors header whose `__metadata__` says what each tensor is. Layout of
// files and tensors in, header bytes and offsets out; and the metadata read back. Knows names and sizes; no bytes.
//
// Panel tensors are listed as U8 [bytes], plain ones as F32, F16 or BF16 with their shape, the checkpoint's files
// (config.json, tokenizer.json, ...) as U8 `a3b.file.<name>`. All begin at multiples of 64; safetensors allows no
// holes, so what lies between is listed too, as U8 `a3b.padding.<n>`. `__metadata__` holds `format` "a3b", `layout`
// (the version) and `a3b`, a JSON text: source, quant, and per tensor format, shape, source type, hashes,
// exact.

import { assert } from "../util/errors.ts"
import { layoutVersion, tensorBytes } from "./format.ts"
import type { Format } from "./format.ts"

export const filePrefix = "a3b.file."
export const alignment = 64

/** What the metadata says about one tensor. */
export interface TensorNote {
  format: Format
  shape: readonly number[]
  /** Type in the source. */
  source: string
  /** SHA-256, hex: of a matrix's bytes in the source; of a stack, that of its matrices' digests. */
  hash: string
  /** The same of its bytes in this file. */
  packed: string
  exact: boolean
}

/** What the metadata says about the file. */
export interface PackedNote {
  /** What was packed: a path or hub id, for people and for packing again. */
  source: string
  quant: string
  tensors: Readonly<Record<string, TensorNote>>
}

/** Stands for a hash that is not known yet; as long as a hash. */
export const noHash = "0".repeat(64)

export interface PackedLayout {
  /** Absolute offset in the file of each tensor and of each `a3b.file.<name>`. */
  offsets: ReadonlyMap<string, number>
  headerBytes: number
  fileBytes: number
}

interface Entry {
  dtype: string
  shape: readonly number[]
  data_offsets: [number, number]
}

const plainTypes = { f32: "F32", f16: "F16", bf16: "BF16" } as const

/** Where everything goes. Hashes do not change it. */
export function layOut(note: PackedNote, files: ReadonlyMap<string, number>): PackedLayout {
  const { entries, dataBytes } = placed(note, files)
  const headerBytes = encodeHeader(note, files).length
  const offsets = new Map<string, number>()
  for (const [name, entry] of entries) offsets.set(name, headerBytes + entry.data_offsets[0])
  return { offsets, headerBytes, fileBytes: headerBytes + dataBytes }
}

/** The first bytes of the file, up to the data; a multiple of 64. */
export function encodeHeader(note: PackedNote, files: ReadonlyMap<string, number>): Uint8Array {
  const metadata = { format: "a3b", layout: String(layoutVersion), a3b: JSON.stringify(note) }
  const { entries } = placed(note, files)
  const json = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }))
  const header = new Uint8Array(roundUp(8 + json.length)).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true)
  header.set(json, 8)
  return header
}

function placed(note: PackedNote, files: ReadonlyMap<string, number>) {
  const entries = new Map<string, Entry>()
  let end = 0
  let paddings = 0
  const add = (name: string, dtype: string, shape: readonly number[], bytes: number) => {
    assert(!entries.has(name), `${name} is packed twice`)
    entries.set(name, { dtype, shape, data_offsets: [end, end + bytes] })
    end += bytes
    const padding = roundUp(end) - end
    if (padding === 0) return
    entries.set(`a3b.padding.${paddings++}`, {
      dtype: "U8",
      shape: [padding],
      data_offsets: [end, end + padding],
    })
    end += padding
  }
  for (const [name, bytes] of files) add(filePrefix + name, "U8", [bytes], bytes)
  for (const [name, { format, shape }] of Object.entries(note.tensors)) {
    const bytes = tensorBytes(format, shape)
    if (format === "f32" || format === "f16" || format === "bf16") add(name, plainTypes[format], shape, bytes)
    else add(name, "U8", [bytes], bytes)
  }
  return { entries, dataBytes: end }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment
}
