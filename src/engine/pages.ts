// Step 4. A fixed number of KV pages: which are free, which are taken. Knows page numbers; never who holds them.

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
  /** [count] */
  readonly #taken: Uint8Array

  /** Tells `tiers`, where given, which pages are taken and freed. */
  constructor(count: number, tiers?: Tiers) {
    assert(Number.isSafeInteger(count) && count > 0, `${count} pages`)
    this.count = count
    this.tiers = tiers
    this.#free = Int32Array.from({ length: count }, (_, i) => count - 1 - i)
    this.#numFree = count
    this.#taken = new Uint8Array(count)
  }

  get numFree(): number {
    return this.#numFree
  }

  /** A pinned page stays in 16 bits. */
  allocate(kind: "pinned" | "plain" = "plain"): number {
    assert(this.#numFree > 0, "a page was asked for when none is free")
    const page = this.#free[--this.#numFree]
    this.#taken[page] = 1
    this.tiers?.begin(page, kind)
    return page
  }

  free(page: number): void {
    assert(this.#taken[page] === 1, `page ${page} freed, but it is not taken`)
    this.#taken[page] = 0
    this.#free[this.#numFree++] = page
    this.tiers?.end(page)
  }

  /** Every page must be free or in exactly one of these tables. */
  checkIntegrity(tables: Iterable<Int32Array>): void {
    const held = new Uint8Array(this.count)
    let numHeld = 0
    for (const table of tables) {
      for (const page of table) {
        assert(this.#taken[page] === 1, `page ${page} is held, but it is free`)
        assert(held[page] === 0, `page ${page} is held twice`)
        held[page] = 1
        numHeld++
      }
    }
    assert(numHeld + this.#numFree === this.count, `${this.count - numHeld - this.#numFree} pages leaked`)
  }
}
