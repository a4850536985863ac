// Step 3. A text in, its ids out; added tokens written in the text become their ids and none is put in unasked.
// Knows the vocabulary; never roles, templates or what a token means.

import { UserError } from "../util/errors.ts"
import { Bpe, MergeTable } from "./bpe.ts"
import { byteCharacters } from "./bytes.ts"
import type { Definition } from "./definition.ts"

const maxCached = 65_536
// V8 copies a slice of up to 12 characters; a longer one would keep its whole document alive in the cache.
const maxCachedLength = 12

export class Encoder {
  readonly #definition: Definition
  readonly #added: { pattern: RegExp; ids: ReadonlyMap<string, number> } | undefined
  readonly #bpe: Bpe
  readonly #byteIds: Int32Array // [256]
  readonly #utf8 = new TextEncoder()
  readonly #cache = new Map<string, Int32Array>()
  #bytes = new Uint8Array(0)
  #symbols = new Int32Array(0)
  #ids = new Int32Array(0)
  #numIds = 0

  constructor(definition: Definition) {
    this.#definition = definition
    this.#added = matcher(definition)
    this.#bpe = new Bpe(new MergeTable(definition.merges, definition.vocabulary))
    this.#byteIds = Int32Array.from(byteCharacters, (character, byte) => {
      const id = definition.vocabulary.get(character)
      if (id !== undefined) return id
      throw new UserError(
        "bad-file",
        `tokenizer.json: the vocabulary has no token for byte ${byte}: fetch it again`,
      )
    })
  }

  encode(text: string): Int32Array {
    refuseLoneSurrogates(text)
    this.#ids = new Int32Array(16 + (text.length >> 1))
    this.#numIds = 0
    let end = 0
    if (this.#added)
      for (const match of text.matchAll(this.#added.pattern)) {
        this.#encodeSection(text.slice(end, match.index))
        this.#append(this.#added.ids.get(match[0])!) // the pattern is made of these keys
        end = match.index + match[0].length
      }
    this.#encodeSection(text.slice(end))
    return this.#ids.slice(0, this.#numIds)
  }

  #encodeSection(section: string) {
    const text = this.#definition.normalise(section)
    let end = 0
    for (const match of text.matchAll(this.#definition.split)) {
      if (match.index > end) this.#encodePiece(text.slice(end, match.index))
      end = match.index + match[0].length
      if (match[0] !== "") this.#encodePiece(match[0])
    }
    if (end < text.length) this.#encodePiece(text.slice(end))
  }

  #encodePiece(piece: string) {
    const cached = this.#cache.get(piece)
    if (cached) {
      for (let i = 0; i < cached.length; i++) this.#append(cached[i])
      return
    }
    if (this.#bytes.length < piece.length * 3) {
      this.#bytes = new Uint8Array(piece.length * 3)
      this.#symbols = new Int32Array(piece.length * 3)
    }
    const { written } = this.#utf8.encodeInto(piece, this.#bytes)
    for (let i = 0; i < written; i++) this.#symbols[i] = this.#byteIds[this.#bytes[i]]
    const count = this.#bpe.merge(this.#symbols, written)
    for (let i = 0; i < count; i++) this.#append(this.#symbols[i])
    if (piece.length <= maxCachedLength) this.#remember(piece, this.#symbols.slice(0, count))
  }

  #append(id: number) {
    if (this.#numIds === this.#ids.length) {
      const grown = new Int32Array(this.#ids.length * 2)
      grown.set(this.#ids)
      this.#ids = grown
    }
    this.#ids[this.#numIds++] = id
  }

  #remember(piece: string, ids: Int32Array) {
    if (this.#cache.size === maxCached) this.#cache.clear()
    this.#cache.set(piece, ids)
  }
}

/** Finds added tokens leftmost and longest first. */
function matcher({ added }: Definition) {
  if (added.length === 0) return undefined
  const escaped = added
    .map((token) => token.content)
    .sort((a, b) => b.length - a.length)
    .map((content) => content.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"))
  return {
    pattern: new RegExp(escaped.join("|"), "g"),
    ids: new Map(added.map((token) => [token.content, token.id])),
  }
}

function refuseLoneSurrogates(text: string) {
  const at = text.search(/\p{Surrogate}/u)
  if (at < 0) return
  const code = text.charCodeAt(at).toString(16)
  throw new UserError(
    "bad-request",
    `the text has half a character (lone surrogate U+${code.toUpperCase()}) at position ${at}: ` +
      `send whole Unicode characters`,
  )
}
