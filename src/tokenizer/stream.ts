// Step 7. Ids in, text out, whole characters only. A piece may end inside a character: its bytes wait until the
// character is complete. Bytes that cannot become one turn into U+FFFD as the WHATWG decoder does it, one per
// longest wrong prefix; `decode` and the stream share that decoder, so they agree for every sequence of ids.

import { UserError } from "../util/errors.ts"
import { bytesOfToken } from "./bytes.ts"
import type { Definition } from "./definition.ts"

export interface DecodeOptions {
  /** "yes" leaves out tokens marked special; `<think>` and `<tool_call>` are not and stay. Default "no". */
  skipSpecialTokens?: "yes" | "no"
}

export interface TextStream {
  /** The characters that `id` completes, often one piece, sometimes none. */
  push(id: number): string
  /** What is left: nothing, or U+FFFD for a character cut short. */
  end(): string
}

/** The bytes of every id in one block, so that a token costs one slice. */
export class Decoder {
  readonly size: number
  readonly #bytes: Uint8Array
  readonly #ends: Int32Array // [size + 1], id's bytes lie between its own end and the one before
  readonly #special: ReadonlySet<number>

  constructor({ vocabulary, added }: Definition) {
    const tokens: Uint8Array[] = []
    for (const [token, id] of vocabulary) tokens[id] = bytesOfToken(token)
    const utf8 = new TextEncoder()
    for (const { id, content } of added) tokens[id] = utf8.encode(content)
    this.size = tokens.length
    this.#ends = new Int32Array(this.size + 1)
    for (let id = 0; id < this.size; id++) this.#ends[id + 1] = this.#ends[id] + (tokens[id]?.length ?? 0)
    this.#bytes = new Uint8Array(this.#ends[this.size])
    for (const [id, bytes] of tokens.entries()) if (bytes) this.#bytes.set(bytes, this.#ends[id])
    this.#special = new Set(added.filter((token) => token.special).map((token) => token.id))
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id)
  }

  bytesOf(id: number): Uint8Array {
    return this.#bytesOf(id, {})
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    let numBytes = 0
    for (let i = 0; i < ids.length; i++) numBytes += this.#bytesOf(ids[i], options).length
    const bytes = new Uint8Array(numBytes)
    let at = 0
    for (let i = 0; i < ids.length; i++) {
      const token = this.#bytesOf(ids[i], options)
      bytes.set(token, at)
      at += token.length
    }
    return utf8Decoder().decode(bytes)
  }

  stream(options: DecodeOptions = {}): TextStream {
    const decoder = utf8Decoder()
    return {
      push: (id) => decoder.decode(this.#bytesOf(id, options), { stream: true }),
      end: () => decoder.decode(),
    }
  }

  #bytesOf(id: number, options: DecodeOptions): Uint8Array {
    if (!(id >= 0 && id < this.size))
      throw new UserError(
        "bad-argument",
        `there is no token ${id}: the tokenizer knows ids 0 to ${this.size - 1}`,
      )
    if (options.skipSpecialTokens === "yes" && this.#special.has(id)) return this.#bytes.subarray(0, 0)
    return this.#bytes.subarray(this.#ends[id], this.#ends[id + 1])
  }
}

/** A byte order mark is text like any other: it must come back as it went in. */
function utf8Decoder() {
  return new TextDecoder("utf-8", { ignoreBOM: true })
}
