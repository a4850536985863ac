// Step 0, before the path: opens a packed file. A path in, the model's config, files and the places of its tensors
// out; only the header is read. Everything in it is checked against the file's size. Form: packed-header.ts.

import type { Json } from "../types.ts"
import { UserError, messageOf } from "../util/errors.ts"
import { quoted, withFile } from "./file.ts"
import type { ByteSource } from "./file.ts"
import { formats, layoutVersion, tensorBytes } from "./format.ts"
import type { Format, PackedTensor } from "./format.ts"
import { isObject, readObject } from "./json.ts"
import type { JsonObject } from "./json.ts"
import { PackedFiles } from "./packed-files.ts"
import type { FileRange } from "./packed-files.ts"
import { alignment, filePrefix } from "./packed-header.ts"
import type { PackedNote, TensorNote } from "./packed-header.ts"
import { maxHeaderBytes, parseSafetensors } from "./safetensors.ts"
import type { SafetensorsEntry } from "./safetensors.ts"

export interface PackedModel {
  path: string
  /** Size of the file. */
  bytes: number
  /** What was packed: a path or hub id. */
  source: string
  /** How float weights were stored. */
  quant: string
  /** config.json */
  config: Record<string, Json>
  /** generation_config.json */
  generationConfig?: Record<string, Json>
  /** The checkpoint's small files, read when asked for. */
  files: ReadonlyMap<string, Uint8Array>
  tensors: ReadonlyMap<string, PackedTensor>
}

export function openPacked(path: string): PackedModel {
  return withFile(path, (source) => readPacked(source))
}

/** Whether a file is packed, of any version. Missing and unreadable files throw. */
export function isPacked(path: string): boolean {
  return withFile(path, (source) => readMetadata(source) !== undefined)
}

function readPacked(source: ByteSource): PackedModel {
  const metadata = readMetadata(source)
  if (metadata === undefined)
    throw new UserError(
      "bad-file",
      `${source.path} is not a packed model: make one with a3b pack <checkpoint>`,
    )
  const note = readNote(source, metadata)
  const entries = readEntries(source, note)
  const tensors = new Map<string, PackedTensor>()
  for (const [name, tensor] of Object.entries(note.tensors))
    tensors.set(name, placeTensor(source, note, name, tensor, entries.get(name)))
  const files = new PackedFiles(source.path, fileRanges(entries))
  const { path, bytes } = source
  const config = readFile(path, files, "config.json")
  if (config === undefined) throw damaged(path, note.source, "has no config.json")
  const generationConfig = readFile(path, files, "generation_config.json")
  return { path, bytes, source: note.source, quant: note.quant, config, generationConfig, files, tensors }
}

/** The `__metadata__` of a file of ours; undefined for any other file. */
function readMetadata(source: ByteSource): JsonObject | undefined {
  if (source.bytes < 8 + 2) return undefined
  const start = source.read(0, 8)
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true)
  const headerBytes = Math.min(Number(length), source.bytes - 8)
  // Ours begin with the metadata; a cut header is told from a foreign file by that.
  const ours = '{"__metadata__":{"format":"a3b",'
  if (length > BigInt(maxHeaderBytes) || headerBytes < ours.length) return undefined
  if (Buffer.from(source.read(8, ours.length)).toString("latin1") !== ours) return undefined
  if (headerBytes < length) throw damaged(source.path, undefined, "ends inside its header")
  const header = readObject(source.read(8, headerBytes), `the header of ${source.path}`)
  return isObject(header.__metadata__) ? header.__metadata__ : undefined
}

function readNote(source: ByteSource, metadata: JsonObject): PackedNote {
  const { path } = source
  const note =
    typeof metadata.a3b === "string" ? readObject(Buffer.from(metadata.a3b), `the metadata of ${path}`) : {}
  const from = typeof note.source === "string" ? note.source : undefined
  checkVersion(path, from, Number(metadata.layout))
  const { quant, tensors } = note
  if (from === undefined || typeof quant !== "string" || !isObject(tensors))
    throw damaged(path, from, "has no list of tensors")
  const notes: Record<string, TensorNote> = Object.create(null) // keys from a file: no prototype to meet
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!isTensorNote(tensor)) throw damaged(path, from, `describes tensor ${quoted(name)} wrongly`)
    notes[name] = tensor
  }
  return { source: from, quant, tensors: notes }
}

function checkVersion(path: string, from: string | undefined, version: number): void {
  if (version === layoutVersion) return
  if (!Number.isInteger(version) || version < 0) throw damaged(path, from, "has no layout version")
  const got = `${path} has packed layout ${version}, this a3b reads ${layoutVersion}`
  throw new UserError("unsupported", `${got}: ${version < layoutVersion ? packAgain(from) : "update a3b"}`)
}

function isTensorNote(value: Json): value is JsonObject & TensorNote {
  if (!isObject(value)) return false
  const { format, shape, source, hash, packed, exact } = value
  return (
    formats.includes(format as Format) && // any JSON value may be looked for
    Array.isArray(shape) &&
    shape.length >= 1 &&
    shape.length <= 3 &&
    shape.every((size) => Number.isSafeInteger(size) && Number(size) > 0) &&
    typeof source === "string" &&
    isHash(hash) &&
    isHash(packed) &&
    typeof exact === "boolean"
  )
}

function isHash(value: Json | undefined): boolean {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value)
}

function readEntries(source: ByteSource, note: PackedNote): Map<string, SafetensorsEntry> {
  try {
    return new Map(parseSafetensors(source).map((entry) => [entry.name, entry]))
  } catch (error) {
    // The reader's words without its advice, which is for files that were downloaded.
    const [, what = "is damaged"] =
      /^(.*): [^:]*$/s.exec(messageOf(error).replace(`${source.path} `, "")) ?? []
    throw damaged(source.path, note.source, what)
  }
}

function placeTensor(
  file: ByteSource,
  note: PackedNote,
  name: string,
  tensor: TensorNote,
  entry: SafetensorsEntry | undefined,
): PackedTensor {
  if (entry === undefined) throw damaged(file.path, note.source, `lacks tensor ${quoted(name)}`)
  const { format, shape, source, hash, packed, exact } = tensor
  const wanted = tensorBytes(format, shape)
  if (entry.bytes !== wanted || entry.offset % alignment !== 0)
    throw damaged(
      file.path,
      note.source,
      `has tensor ${quoted(name)} of ${entry.bytes} bytes at ${entry.offset}, wanted ${wanted} at a multiple of 64`,
    )
  return {
    name,
    format,
    shape,
    path: file.path,
    offset: entry.offset,
    bytes: wanted,
    source,
    sourceHash: hash,
    packedHash: packed,
    exact,
  }
}

function fileRanges(entries: ReadonlyMap<string, SafetensorsEntry>): Map<string, FileRange> {
  const ranges = new Map<string, FileRange>()
  for (const [name, { offset, bytes }] of entries)
    if (name.startsWith(filePrefix)) ranges.set(name.slice(filePrefix.length), { offset, bytes })
  return ranges
}

function readFile(path: string, files: PackedFiles, name: string): JsonObject | undefined {
  const bytes = files.get(name)
  return bytes && readObject(bytes, `${name} in ${path}`)
}

function damaged(path: string, source: string | undefined, what: string): UserError {
  return new UserError("bad-file", `${path} ${what}: ${packAgain(source)}`)
}

function packAgain(source: string | undefined): string {
  return `pack it again with a3b pack ${source ?? "<checkpoint>"}`
}
