// The header of one safetensors file in, its tensors' types, shapes and places out. Every number is untrusted and
// checked against the file's size. Knows one file; never which model it belongs to.
//
// Layout: u64 length of the header, the header (JSON: name -> dtype, shape, data_offsets), the tensors' bytes. The
// tensors cover those bytes without holes or overlaps.

import type { Json } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { counted, type ByteSource } from "./file.ts"
import { isObject, readObject } from "./json.ts"

export interface SafetensorsEntry {
  name: string
  /** As the file spells it, e.g. `BF16`. */
  dtype: string
  shape: number[]
  /** Of the first byte, in the file. */
  offset: number
  bytes: number
}

/** Longest header that is read; the format's own limit. */
export const maxHeaderBytes = 100_000_000

const maxDimensions = 8

/** Bytes of a value; types that are not listed are left to the reader of the tensor to refuse. */
const valueBytes: ReadonlyMap<string, number> = new Map([
  ...["BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"].map((dtype) => [dtype, 1] as const),
  ...["U16", "I16", "F16", "BF16"].map((dtype) => [dtype, 2] as const),
  ...["U32", "I32", "F32"].map((dtype) => [dtype, 4] as const),
  ...["U64", "I64", "F64"].map((dtype) => [dtype, 8] as const),
])

export function parseSafetensors(source: ByteSource): SafetensorsEntry[] {
  const headerBytes = readHeaderLength(source)
  const header = readObject(source.read(8, headerBytes), `the header of ${source.path}`)
  const dataStart = 8 + headerBytes
  const entries: SafetensorsEntry[] = []
  for (const [name, value] of Object.entries(header))
    if (name !== "__metadata__") entries.push(readEntry(source, dataStart, name, value))
  checkCoverage(source, dataStart, entries)
  return entries
}

function readHeaderLength(source: ByteSource): number {
  if (source.bytes < 8)
    throw damaged(source, `has ${source.bytes} bytes`, "at least 8 for the length of its header")
  const start = source.read(0, 8)
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true)
  const got = `has a header of ${counted(length)} bytes`
  if (length > BigInt(maxHeaderBytes)) throw damaged(source, got, `at most ${counted(maxHeaderBytes)}`)
  if (length > BigInt(source.bytes - 8))
    throw damaged(source, got, `at most the file's ${counted(source.bytes)}`)
  return Number(length)
}

function readEntry(source: ByteSource, dataStart: number, name: string, value: Json): SafetensorsEntry {
  const wrong = (got: string, wanted: string) =>
    damaged(source, `has tensor ${shown(name)} with ${got}`, wanted)
  if (!isObject(value)) throw wrong(shown(value), "an object of dtype, shape and data_offsets")
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== "string") throw wrong(`dtype ${shown(dtype)}`, "a type's name")
  if (!isCounts(shape) || shape.length > maxDimensions)
    throw wrong(`shape ${shown(shape)}`, `at most ${maxDimensions} sizes that are integers of at least 0`)
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[1] < offsets[0])
    throw wrong(`data_offsets ${shown(offsets)}`, "[begin, end], two integers of at least 0 in order")
  const [begin, end] = offsets
  const dataBytes = source.bytes - dataStart
  if (end > dataBytes)
    throw wrong(`data up to byte ${counted(end)}`, `at most the ${counted(dataBytes)} bytes after the header`)
  const bytes = valueBytes.get(dtype)
  const wantedBytes = shape.reduce((product, size) => product * size, bytes ?? 0)
  if (bytes !== undefined && wantedBytes !== end - begin)
    throw wrong(
      `${counted(end - begin)} bytes`,
      `${counted(wantedBytes)} for ${dtype} of shape ${shown(shape)}`,
    )
  return { name, dtype, shape, offset: dataStart + begin, bytes: end - begin }
}

/** A name given twice shows here as well: the earlier one's bytes belong to no tensor. */
function checkCoverage(source: ByteSource, dataStart: number, entries: readonly SafetensorsEntry[]): void {
  const inOrder = [...entries].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)
  let end = dataStart
  let last = "the header"
  for (const { name, offset, bytes } of inOrder) {
    if (offset < end)
      throw damaged(
        source,
        `has tensor ${shown(name)} at byte ${counted(offset)}`,
        `none before the end of ${last}`,
      )
    if (offset > end)
      throw damaged(
        source,
        `has ${counted(offset - end)} bytes of no tensor before ${shown(name)}`,
        "no holes",
      )
    end = offset + bytes
    last = shown(name)
  }
  if (end !== source.bytes)
    throw damaged(source, `has ${counted(source.bytes)} bytes`, `${counted(end)}, where its last tensor ends`)
}

function isCounts(value: Json | undefined): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && Number(item) >= 0)
}

/** A JSON value for a message: short, and never deeper than an array of plain values. */
function shown(value: Json | undefined): string {
  if (isObject(value)) return "an object"
  if (!Array.isArray(value)) return cut(JSON.stringify(value) ?? "none")
  const flat = value.slice(0, 20).map((item) => (Array.isArray(item) ? "an array" : shown(item)))
  return cut(`[${flat.join(", ")}]`)
}

function cut(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}...` : text
}

function damaged(source: ByteSource, got: string, wanted: string): UserError {
  return new UserError(
    "bad-file",
    `${source.path} ${got}; wanted ${wanted}: the file is cut short or damaged, download it again`,
  )
}
