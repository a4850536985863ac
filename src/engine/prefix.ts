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
  /** The others of so many of the first are no longer there in 16 bits, but for those of the branch. */
  numTrimmed: number
}

/** Pages from one place in a sequence up to another, which is not among them. */
export interface PageRange {
  from: number
  to: number
}

export function isWithin({ from, to }: PageRange, page: number): boolean {
  return page >= from && page < to
}

interface Kept extends Prefix {
  /** Pages that were not trimmed, though a window had left them behind. */
  branch: PageRange
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
  keep(tokens: Int32Array, prefix: Omit<Kept, "tokens">): void {
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
    if (!best) return { numTokens: 0, pages: new Int32Array(0), numPinned, numTrimmed: 0 }
    this.#remove(best)
    const pages = this.#trim(best.pages, numTokens)
    // From the branch on, what is to be trimmed is found anew.
    return {
      numTokens,
      pages,
      numPinned,
      numTrimmed: Math.min(best.numTrimmed, best.branch.from, pages.length),
    }
  }

  /** What the latest query's window touches must be there in 16 bits: else only what is pinned is of use. */
  #usable({ numPinned, numTrimmed, branch }: Kept, common: number): number {
    const window = this.#pages.tiers?.policy.window ?? kvWindow
    const first = Math.max(numPinned, pagesBehind(common - 1, window))
    for (let page = first; page < Math.min(numTrimmed, pagesFor(common)); page++)
      if (!isWithin(branch, page)) return Math.min(common, numPinned * pageTokens)
    return common
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
