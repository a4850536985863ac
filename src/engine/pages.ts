// Step 4. A fixed number of KV pages: which are free, and how many hold each of the others. Knows page numbers; never
// who holds them.

import { pageTokens } from "../backend/backend.ts"
import { assert } from "../util/errors.ts"
import type { Tiers } from "./tiers.ts"

/** Pages that hold so many tokens. */
export function pagesFor(numTokens: number): number {
  return Math.ceil(numTokens / pageTokens)
}

export class Pages {
  readonly count: number
  readonly tiers: Tiers | undefined
  /** [numFree] A stack: the page freed last is taken first, so memory that was never written stays so. */
  readonly #free: Int32Array
  #numFree: number
  /** [count] Of a free page none. */
  readonly #holders: Int32Array

  /** Tells `tiers`, where given, which pages are taken and freed. */
  constructor(count: number, tiers?: Tiers) {
    assert(Number.isSafeInteger(count) && count > 0, `${count} pages`)
    this.count = count
    this.tiers = tiers
    this.#free = Int32Array.from({ length: count }, (_, i) => count - 1 - i)
    this.#numFree = count
    this.#holders = new Int32Array(count)
  }

  get numFree(): number {
    return this.#numFree
  }

  /** For one holder. A pinned page stays in 16 bits. */
  allocate(kind: "pinned" | "plain" = "plain"): number {
    assert(this.#numFree > 0, "a page was asked for when none is free")
    const page = this.#free[--this.#numFree]
    this.#holders[page] = 1
    this.tiers?.begin(page, kind)
    return page
  }

  holdersOf(page: number): number {
    return this.#holders[page]
  }

  /** One more holds it, and none of them writes to it any more. */
  retain(page: number): void {
    assert(this.#holders[page] > 0, `page ${page} is to be held, but it is free`)
    this.#holders[page]++
  }

  /** One holds it no more; the last one frees it. */
  release(page: number): void {
    assert(this.#holders[page] > 0, `page ${page} is let go, but it is free`)
    if (--this.#holders[page] > 0) return
    this.#free[this.#numFree++] = page
    this.tiers?.end(page)
  }

  /** Every page must be free, or in as many of these tables as hold it. */
  checkIntegrity(tables: Iterable<Int32Array>): void {
    const held = new Int32Array(this.count)
    for (const table of tables) for (const page of table) held[page]++
    for (const [page, count] of held.entries())
      assert(
        count === this.#holders[page],
        `page ${page} is in ${count} tables and has ${this.#holders[page]} holders`,
      )
    const numHeld = held.reduce((sum, count) => sum + Math.min(count, 1), 0)
    assert(numHeld + this.#numFree === this.count, `${this.count - numHeld - this.#numFree} pages leaked`)
  }
}
