// One GGUF file (version 2 or 3) in, its metadata and its tensors' names, types, sizes and places out. Every number is
// untrusted. Knows the container; never which architecture it holds.
//
// Layout: magic, version, counts of tensors and keys, the keys with their typed values, the tensors' descriptions,
// padding to the alignment, the tensors' bytes.

import { UserError } from "../util/errors.ts"
import { counted, quoted, type ByteSource } from "./file.ts"
import { GgufCursor } from "./gguf-cursor.ts"

export type GgufNumbers =
  Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array

export type GgufValue = string | number | boolean | string[] | GgufNumbers

export interface GgufTensor {
  name: string
  /** ggml's number of the type. */
  type: number
  /** In ggml's order: the length of a row first. */
  sizes: number[]
  /** Of the first byte, in the file. */
  offset: number
}

export interface Gguf {
  metadata: Map<string, GgufValue>
  tensors: GgufTensor[]
}

const magic = 0x46554747 // "GGUF"
const maxArrayItems = 1 << 24
const maxDimensions = 4
const defaultAlignment = 32
const maxAlignment = 1 << 20
/** Bytes of the shortest key with a value: its length, the type, a byte. */
const minKeyBytes = 13
/** Bytes of the shortest description of a tensor: name length, dimensions, one size, type, offset. */
const minTensorBytes = 32

export function parseGguf(source: ByteSource): Gguf {
  const cursor = new GgufCursor(source)
  readVersion(cursor)
  const numTensors = cursor.size("the number of tensors")
  const numKeys = cursor.size("the number of metadata keys")
  cursor.expect(numKeys, minKeyBytes, "metadata keys")
  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < numKeys; i++) readKey(cursor, metadata)
  const alignment = readAlignment(cursor, metadata.get("general.alignment") ?? defaultAlignment)
  cursor.expect(numTensors, minTensorBytes, "tensors")
  const tensors = new Map<string, GgufTensor>()
  for (let i = 0; i < numTensors; i++) readTensor(cursor, alignment, tensors)
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment
  for (const tensor of tensors.values()) tensor.offset += dataStart
  return { metadata, tensors: [...tensors.values()] }
}

function readVersion(cursor: GgufCursor): void {
  const { path } = cursor.source
  if (cursor.source.bytes < 24 || cursor.u32() !== magic)
    throw new UserError(
      "bad-file",
      `${path} does not begin as a GGUF file: name a GGUF file or a model folder`,
    )
  const version = cursor.u32()
  if (version === 2 || version === 3) return
  const got = (version & 0xffff) === 0 ? "is a big-endian GGUF file" : `is GGUF version ${version}`
  throw new UserError(
    "unsupported",
    `${path} ${got}; wanted little-endian version 2 or 3: convert it again with a current llama.cpp`,
  )
}

function readKey(cursor: GgufCursor, metadata: Map<string, GgufValue>): void {
  const key = cursor.string("a metadata key")
  if (metadata.has(key)) throw cursor.error(`has the metadata key ${quoted(key)} twice`, "each once")
  metadata.set(key, readValue(cursor, key))
}

const stringType = 8
const arrayType = 9
const boolType = 7

type NumberReader = (cursor: GgufCursor) => number
type NumberArray = new (length: number) => GgufNumbers

/** By GGUF's number of the type. 64-bit integers lose what a float64 cannot hold: none that is used comes near. */
const numberTypes: ReadonlyMap<number, { bytes: number; read: NumberReader; Items: NumberArray }> = new Map([
  [0, { bytes: 1, read: (cursor) => cursor.u8(), Items: Uint8Array }],
  [1, { bytes: 1, read: (cursor) => cursor.i8(), Items: Int8Array }],
  [2, { bytes: 2, read: (cursor) => cursor.u16(), Items: Uint16Array }],
  [3, { bytes: 2, read: (cursor) => cursor.i16(), Items: Int16Array }],
  [4, { bytes: 4, read: (cursor) => cursor.u32(), Items: Uint32Array }],
  [5, { bytes: 4, read: (cursor) => cursor.i32(), Items: Int32Array }],
  [6, { bytes: 4, read: (cursor) => shortest(cursor.f32()), Items: Float32Array }],
  [10, { bytes: 8, read: (cursor) => Number(cursor.u64()), Items: Float64Array }],
  [11, { bytes: 8, read: (cursor) => Number(cursor.i64()), Items: Float64Array }],
  [12, { bytes: 8, read: (cursor) => cursor.f64(), Items: Float64Array }],
])

/** The shortest decimal that is this float32, so that 1e-6 reads as 1e-6. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits))
    if (Math.fround(rounded) === value) return rounded
  }
  return value
}

function readValue(cursor: GgufCursor, key: string): GgufValue {
  const type = cursor.u32()
  if (type === stringType) return cursor.string(`the value of ${quoted(key)}`)
  if (type === arrayType) return readArray(cursor, key)
  if (type === boolType) return readBool(cursor, key)
  const number = numberTypes.get(type)
  if (number === undefined)
    throw cursor.error(`gives ${quoted(key)} the value type ${type}`, "one of 0 to 12")
  return number.read(cursor)
}

function readBool(cursor: GgufCursor, key: string): boolean {
  const byte = cursor.u8()
  if (byte > 1) throw cursor.error(`gives ${quoted(key)} the truth value ${byte}`, "0 or 1")
  return byte === 1
}

function readArray(cursor: GgufCursor, key: string): GgufValue {
  const type = cursor.u32()
  const count = cursor.size(`the number of items of ${quoted(key)}`)
  if (count > maxArrayItems)
    throw cursor.error(`gives ${quoted(key)} ${counted(count)} items`, `at most ${counted(maxArrayItems)}`)
  if (type === stringType) {
    cursor.expect(count, 8, "strings")
    const what = `an item of ${quoted(key)}`
    return Array.from({ length: count }, () => cursor.string(what))
  }
  if (type === boolType) {
    cursor.expect(count, 1, "truth values")
    return Uint8Array.from({ length: count }, () => Number(readBool(cursor, key)))
  }
  const number = numberTypes.get(type)
  if (number === undefined)
    throw cursor.error(`gives ${quoted(key)} items of type ${type}`, "numbers, strings or truth values")
  cursor.expect(count, number.bytes, "numbers")
  const items = new number.Items(count)
  for (let i = 0; i < count; i++) items[i] = number.read(cursor)
  return items
}

function readAlignment(cursor: GgufCursor, value: GgufValue): number {
  const inRange = typeof value === "number" && value >= 8 && value <= maxAlignment
  if (inRange && Number.isInteger(value) && (value & (value - 1)) === 0) return value
  throw cursor.error(
    "has a general.alignment that is none",
    `a power of two from 8 to ${counted(maxAlignment)}`,
  )
}

function readTensor(cursor: GgufCursor, alignment: number, tensors: Map<string, GgufTensor>): void {
  const name = cursor.string("a tensor's name")
  const wrong = (got: string, wanted: string) => cursor.error(`has tensor ${quoted(name)} ${got}`, wanted)
  if (tensors.has(name)) throw wrong("twice", "each once")
  const dimensions = cursor.u32()
  if (dimensions < 1 || dimensions > maxDimensions)
    throw wrong(`with ${counted(dimensions)} dimensions`, `1 to ${maxDimensions}`)
  const what = `a size of ${quoted(name)}`
  // Their product is compared with the file's size once the type is known.
  const sizes = Array.from({ length: dimensions }, () => cursor.size(what, Number.MAX_SAFE_INTEGER))
  if (sizes.includes(0)) throw wrong("with a size of 0", "sizes above 0")
  const type = cursor.u32()
  const offset = cursor.size(`the offset of ${quoted(name)}`)
  if (offset % alignment !== 0)
    throw wrong(`at offset ${counted(offset)}`, `a multiple of the alignment, ${alignment}`)
  tensors.set(name, { name, type, sizes, offset })
}
