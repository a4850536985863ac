// Step 6. Texts in, a byte-level BPE vocabulary out: byte pairs merged by how often they meet, most frequent first.
// Pair counts are kept up to date over the distinct pre-tokens, so that a merge costs as much as it changes.
// Knows bytes and pre-tokens; never files or what special tokens mean.

import { UserError, assert } from "../util/errors.ts"
import { byteCharacters } from "../tokenizer/bytes.ts"
import { splitPattern } from "../weights/tokenizer-json.ts"
import { PairHeap } from "./bpe-heap.ts"

export interface Bpe {
  /** Tokens in the byte alphabet; a token's place is its id. */
  readonly tokens: readonly string[]
  /** Pairs of tokens, first merge first. */
  readonly merges: readonly (readonly [string, string])[]
}

/** One distinct pre-token: its ids so far, and how often it occurs. */
interface Word {
  ids: number[]
  readonly count: number
}

/** Qwen's split for JavaScript, which has no group without case. */
const split = new RegExp(
  splitPattern.replace(
    /^\(\?i:([^)]*)\)/,
    (_, endings: string) =>
      `(?:${endings.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)})`,
  ),
  "gu",
)

/** How often each pre-token occurs. */
export class PreTokenCounts {
  readonly #counts = new Map<string, number>()

  /** `text` must not hold special tokens: they are no part of what is merged. */
  add(text: string): void {
    for (const [piece] of text.normalize("NFC").matchAll(split))
      this.#counts.set(piece, (this.#counts.get(piece) ?? 0) + 1)
  }

  entries(): IterableIterator<[string, number]> {
    return this.#counts.entries()
  }
}

/** Longer tokens would be whole phrases of the generators: four Chinese characters are enough, as are twelve letters. */
const mostBytes = 12

/** `size` counts the 256 bytes as well. Ends sooner where no pair is left that occurs twice. */
export function trainBpe(counts: PreTokenCounts, size: number): Bpe {
  if (!Number.isInteger(size) || size < 256)
    throw new UserError(
      "bad-argument",
      `the vocabulary has ${size} entries; a byte-level one needs 256 or more: pass a larger size`,
    )
  const training = new Training(counts)
  while (training.tokens.length < size && training.mergeNext() !== "none-left");
  return { tokens: training.tokens, merges: training.merges }
}

class Training {
  readonly tokens: string[] = [...byteCharacters]
  readonly merges: [string, string][] = []
  readonly #ids = new Map(byteCharacters.map((token, id) => [token, id]))
  readonly #words: Word[] = []
  readonly #pairs = new PairHeap()
  /** The words that a pair was seen in; some may have lost it since. */
  readonly #places = new Map<number, Set<number>>()

  constructor(counts: PreTokenCounts) {
    const utf8 = new TextEncoder()
    // Sorted, so that nothing depends on the order of the texts.
    for (const [piece, count] of [...counts.entries()].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const word = { ids: [...utf8.encode(piece)], count }
      this.#words.push(word)
      this.#count(this.#words.length - 1, word, 1)
    }
    this.#pairs.settle()
  }

  mergeNext(): "merged" | "too-long" | "none-left" {
    const best = this.#pairs.takeBest()
    if (best === undefined || best.count < 2) return "none-left"
    const [left, right] = PairHeap.idsOf(best.pair)
    if (this.tokens[left].length + this.tokens[right].length > mostBytes) return "too-long"
    const merged = this.#idOf(this.tokens[left] + this.tokens[right])
    this.merges.push([this.tokens[left], this.tokens[right]])
    const places = this.#places.get(best.pair)
    assert(places, `the pair ${left} ${right} has a count but no place`)
    this.#places.delete(best.pair)
    for (const place of places) this.#merge(place, left, right, merged)
    this.#pairs.settle()
    return "merged"
  }

  /** Two pairs may make the same token: `a` with `bc`, `ab` with `c`. */
  #idOf(token: string): number {
    const known = this.#ids.get(token)
    if (known !== undefined) return known
    this.#ids.set(token, this.tokens.length)
    return this.tokens.push(token) - 1
  }

  #merge(place: number, left: number, right: number, merged: number): void {
    const word = this.#words[place]
    const ids: number[] = []
    for (let i = 0; i < word.ids.length; i++) {
      const isPair = word.ids[i] === left && word.ids[i + 1] === right
      ids.push(isPair ? merged : word.ids[i])
      if (isPair) i++
    }
    if (ids.length === word.ids.length) return
    this.#count(place, word, -1)
    word.ids = ids
    this.#count(place, word, 1)
  }

  /** Adds or takes away what a word gives to the counts of its pairs. */
  #count(place: number, { ids, count }: Word, sign: 1 | -1): void {
    for (let i = 1; i < ids.length; i++) {
      const pair = PairHeap.pairOf(ids[i - 1], ids[i])
      this.#pairs.change(pair, sign * count)
      if (sign < 0) continue
      const places = this.#places.get(pair)
      if (places) places.add(place)
      else this.#places.set(pair, new Set([place]))
    }
  }
}
