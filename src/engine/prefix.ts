// Step 4. Ended sequences whose keys and values are kept for a prompt that begins alike: the next turn of a chat.
// Their pages count as available: the oldest gives its pages back as soon as someone needs them.

import { kvWindow, pagesBehind, pageTokens } from "../backend/backend.ts"
import type { Pages } from "./pages.ts"
import { pagesFor } from "./pages.ts"

/** The pages of a sequence's first tokens. */
export interface Prefix {
  /** In position order. */
  pages: Int32Array
  /** So many of the first are pinned: in 16 bits for good. */
  numPinned: number
}

export interface Kept extends Prefix {
  /** [numTokens] whose keys and values are in the pages. */
  tokens: Int32Array
}

export class PrefixCache {
  readonly #pages: Pages
  /** Oldest first. */
  readonly #kept: Kept[] = []
  #numPages = 0

  constructor(pages: Pages) {
    this.#pages = pages
  }

  get numPages(): number {
    return this.#numPages
  }

  get tables(): Int32Array[] {
    return this.#kept.map((kept) => kept.pages)
  }

  /** Takes over the pages of `tokens`; pages beyond them go free. */
  keep(tokens: Int32Array, prefix: Prefix): void {
    const kept = { ...prefix, tokens: tokens.slice(), pages: this.#trim(prefix.pages, tokens.length) }
    if (kept.pages.length === 0) return
    this.#kept.push(kept)
    this.#numPages += kept.pages.length
  }

  /**
   * Hands over the pages of the longest common prefix of at most `most` tokens that can be gone on from as if they had
   * just been computed, and how many tokens that is.
   */
  take(tokens: Int32Array, most: number, numPinned: number): Prefix & { numTokens: number } {
    let best: Kept | undefined
    let numTokens = 0
    for (const kept of this.#kept) {
      if (kept.numPinned !== numPinned) continue
      const common = this.#usable(kept, commonPrefix(kept.tokens, tokens, most))
      if (common <= numTokens) continue
      best = kept
      numTokens = common
    }
    if (!best) return { numTokens: 0, pages: new Int32Array(0), numPinned }
    this.#remove(best)
    return { numTokens, pages: this.#trim(best.pages, numTokens), numPinned }
  }

  /** What the latest query's window touches must be there in 16 bits: else only what is pinned is of use. */
  #usable({ pages, numPinned }: Kept, common: number): number {
    const { tiers } = this.#pages
    const first = Math.max(numPinned, pagesBehind(common - 1, tiers?.policy.window ?? kvWindow))
    const touched = pages.subarray(first, pagesFor(common))
    const isThere = touched.every((page) => tiers?.formOf(page) !== "codes")
    return isThere ? common : Math.min(common, numPinned * pageTokens)
  }

  /** The latest that begins with these ids; the last of them may be one that a reply ended with, and need not be there. */
  find(ids: Int32Array): Readonly<Kept> | undefined {
    const wanted = Math.max(1, ids.length - 1)
    return this.#kept.findLast(({ tokens }) => commonPrefix(tokens, ids, ids.length) >= wanted)
  }

  /** Frees the pages of the oldest; false when there is none. */
  evict(): boolean {
    const oldest = this.#kept[0]
    if (!oldest) return false
    this.#remove(oldest)
    this.#trim(oldest.pages, 0)
    return true
  }

  #remove(kept: Kept): void {
    this.#kept.splice(this.#kept.indexOf(kept), 1)
    this.#numPages -= kept.pages.length
  }

  /** The pages of the first `numTokens`; the others are freed. */
  #trim(pages: Int32Array, numTokens: number): Int32Array {
    const numPages = pagesFor(numTokens)
    for (const page of pages.subarray(numPages)) this.#pages.free(page)
    return pages.slice(0, numPages)
  }
}

function commonPrefix(a: Int32Array, b: Int32Array, most: number): number {
  const end = Math.min(a.length, most)
  let i = 0
  while (i < end && a[i] === b[i]) i++
  return i
}
