// Steps 3 and 7. Text to ids and back, from a checkpoint's own tokenizer files.
// Knows tokens by name and id; never roles, thinking or which of them end a reply.

import { UserError } from "../util/errors.ts"
import { readDefinition } from "./definition.ts"
import { Encoder } from "./encoder.ts"
import { Decoder } from "./stream.ts"
import type { DecodeOptions, TextStream } from "./stream.ts"

export interface Tokenizer {
  /** Number of ids; the embedding may have more rows, which are never sampled. */
  readonly size: number
  /** Adds no token by itself; those written in the text (`<|im_start|>`) become their ids. */
  encode(text: string): Int32Array
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string
  stream(options?: DecodeOptions): TextStream
  /** The id of a token by its name as the vocabulary writes it. */
  idOf(token: string): number | undefined
  isSpecial(id: number): boolean
  /** UTF-8 of which a token may begin and end within a character. */
  bytesOf(id: number): Uint8Array
}

/** Reads `tokenizer.json` and, where there is one, `tokenizer_config.json`. */
export function loadTokenizer(files: ReadonlyMap<string, Uint8Array>): Tokenizer {
  const definition = readDefinition(files)
  const encoder = new Encoder(definition)
  const decoder = new Decoder(definition)
  const added = new Map(definition.added.map((token) => [token.content, token.id]))
  return {
    size: decoder.size,
    encode: (text) => encoder.encode(text),
    decode: (ids, options) => decoder.decode(ids, options),
    stream: (options) => decoder.stream(options),
    idOf: (token) => added.get(token) ?? definition.vocabulary.get(token),
    isSpecial: (id) => decoder.isSpecial(id),
    bytesOf: (id) => decoder.bytesOf(id),
  }
}

/** Refuses a tokenizer that names ids the model has no embedding for. */
export function checkRows(tokenizer: Tokenizer, rows: number): void {
  if (tokenizer.size <= rows) return
  throw new UserError(
    "bad-file",
    `the tokenizer has ids up to ${tokenizer.size - 1}, the embedding only ${rows} rows: ` +
      `they belong to different models, pass the right one (--tokenizer <folder>)`,
  )
}
