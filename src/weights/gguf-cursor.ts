// Reads the little-endian scalars and strings of a GGUF header in order, through a window over the file. Every length
// is checked against the file and the header's limit before memory is taken. Knows bytes; never keys or tensors.

import { UserError } from "../util/errors.ts"
import { counted, type ByteSource } from "./file.ts"
import { utf8 } from "./json.ts"

/** Longest header that is read: Qwen3's, with its 151,936 tokens, has 6 MB. */
export const maxHeaderBytes = 100_000_000

const windowBytes = 1 << 20

export class GgufCursor {
  readonly source: ByteSource
  readonly #end: number
  #offset = 0
  #window: DataView = new DataView(new ArrayBuffer(0))
  #windowStart = 0

  constructor(source: ByteSource) {
    this.source = source
    this.#end = Math.min(source.bytes, maxHeaderBytes)
  }

  get offset(): number {
    return this.#offset
  }

  /** Fails unless `count` items of at least `itemBytes` each can still follow. */
  expect(count: number, itemBytes: number, what: string): void {
    const left = this.#end - this.#offset
    if (count * itemBytes <= left) return
    throw this.error(
      `announces ${counted(count)} ${what} at byte ${counted(this.#offset)}`,
      `no more than fit the ${counted(left)} bytes left`,
    )
  }

  u8(): number {
    return this.#view(1).getUint8(this.#take(1))
  }

  u16(): number {
    return this.#view(2).getUint16(this.#take(2), true)
  }

  u32(): number {
    return this.#view(4).getUint32(this.#take(4), true)
  }

  u64(): bigint {
    return this.#view(8).getBigUint64(this.#take(8), true)
  }

  i8(): number {
    return this.#view(1).getInt8(this.#take(1))
  }

  i16(): number {
    return this.#view(2).getInt16(this.#take(2), true)
  }

  i32(): number {
    return this.#view(4).getInt32(this.#take(4), true)
  }

  i64(): bigint {
    return this.#view(8).getBigInt64(this.#take(8), true)
  }

  f32(): number {
    return this.#view(4).getFloat32(this.#take(4), true)
  }

  f64(): number {
    return this.#view(8).getFloat64(this.#take(8), true)
  }

  /** A u64 of at most `max`, by default the file's size: it counts or places something in this file. */
  size(what: string, max = this.source.bytes): number {
    const value = this.u64()
    if (value <= BigInt(max)) return Number(value)
    throw this.error(`has ${counted(value)} as ${what}`, `at most ${counted(max)}`)
  }

  string(what: string): string {
    const bytes = this.size(`the length of ${what}`)
    this.expect(bytes, 1, `bytes of ${what}`)
    const { buffer } = this.#view(bytes)
    return utf8(
      new Uint8Array(buffer, this.#take(bytes) + this.#window.byteOffset, bytes),
      `${what} in ${this.source.path}`,
    )
  }

  error(got: string, wanted: string): UserError {
    return new UserError(
      "bad-file",
      `${this.source.path} ${got}; wanted ${wanted}: the file is cut short or damaged, download it again`,
    )
  }

  /** A view that holds the next `bytes` bytes. */
  #view(bytes: number): DataView {
    const inWindow = this.#offset - this.#windowStart
    if (inWindow + bytes <= this.#window.byteLength) return this.#window
    this.expect(bytes, 1, "more bytes of header")
    const length = Math.min(Math.max(bytes, windowBytes), this.#end - this.#offset)
    const read = this.source.read(this.#offset, length)
    this.#window = new DataView(read.buffer, read.byteOffset, read.byteLength)
    this.#windowStart = this.#offset
    return this.#window
  }

  /** Where the cursor is in the window; it moves on by `bytes`. */
  #take(bytes: number): number {
    const at = this.#offset - this.#windowStart
    this.#offset += bytes
    return at
  }
}
