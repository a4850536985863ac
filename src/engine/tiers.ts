// Step 4. How each KV page is kept, and the bytes that makes: in 16 bits while a window may touch it, then by its tier,
// and by lower tiers, oldest pages first, when there are more bytes than the budget. Knows page numbers; never ids.

import { kvPageBytes, kvTiers, kvWindow } from "../backend/backend.ts"
import type { Backend, CodedTier, KvCache, KvTier } from "../backend/backend.ts"
import type { KvUsage } from "../types.ts"

/** How a cache is kept. */
export interface KvPolicy {
  /** Of a full page, once no window touches it; T0 keeps everything in 16 bits. */
  tier: KvTier
  /** The lowest that pages are demoted to when bytes run out. */
  floor: KvTier
  /** For the pages of all sequences. */
  budgetBytes: number
  /** Tokens up to a query that are always read in 16 bits. */
  window: number
  /** Generated tokens from this position on choose which coded pages they read; none does where left out. */
  selectiveFrom?: number
}

export const plainPolicy: KvPolicy = { tier: 0, floor: 0, budgetBytes: Infinity, window: kvWindow }

export type PageForm = "exact" | "codes"

export interface TiersOptions extends KvPolicy {
  /** Pages in all. */
  count: number
  /** Of one page in all layers, by tier. */
  pageBytes: readonly number[]
  /** Tells the backend what need not be held any more. */
  trim: (page: number, keep: CodedTier | "nothing") => void
}

export class Tiers {
  readonly policy: KvPolicy
  readonly pageBytes: readonly number[]
  readonly #forget: TiersOptions["trim"]
  /** [count] */
  readonly #tiers: Uint8Array
  /** [count] What a page holds now, one of `held`. */
  readonly #held: Uint8Array
  /** [count] Running sequences that have the page and have not left it behind. */
  readonly #readers: Uint16Array
  /** [count] When the page was taken, as a count of all that were. */
  readonly #born: Float64Array
  #numBorn = 0
  #bytes = 0

  constructor({ count, pageBytes, trim, ...policy }: TiersOptions) {
    this.policy = policy
    this.pageBytes = pageBytes
    this.#forget = trim
    this.#tiers = new Uint8Array(count)
    this.#held = new Uint8Array(count)
    this.#readers = new Uint16Array(count)
    this.#born = new Float64Array(count)
  }

  /** Of a cache, whose backend is told what need not be held any more. */
  static of(cache: KvCache, policy: KvPolicy, backend: Pick<Backend, "trimKv">): Tiers {
    const trim: TiersOptions["trim"] = (page, keep) => backend.trimKv(cache, page, keep)
    return new Tiers({ ...policy, count: cache.shape.pages, pageBytes: pageBytesByTier(cache), trim })
  }

  get bytes(): number {
    return this.#bytes
  }

  get overBudget(): boolean {
    return this.#bytes > this.policy.budgetBytes
  }

  /** A page is taken: pinned ones stay in 16 bits. */
  begin(page: number, kind: "pinned" | "plain"): void {
    this.#born[page] = this.#numBorn++
    this.#set(page, kind === "pinned" ? 0 : this.policy.tier, held.exact)
  }

  /** A page that was begun gets what one was elsewhere; codes are of a tier above 0. */
  adopt(page: number, tier: KvTier, form: PageForm): void {
    this.#set(page, tier, held[form])
  }

  end(page: number): void {
    this.#set(page, 0, held.nothing)
    if (this.policy.tier !== 0) this.#forget(page, "nothing")
  }

  /** A running sequence's window touches the page, or will. */
  enterWindow(page: number): void {
    this.#readers[page]++
  }

  /** It does no more; `trim` does what there is to do then. */
  leaveWindow(page: number): void {
    this.#readers[page]--
  }

  /** The 16-bit values of a page go, if they have not, unless it is pinned or a window touches it. */
  trim(page: number): void {
    const tier = this.of(page)
    if (tier === 0 || this.formOf(page) === "codes" || this.#readers[page] > 0) return
    this.#set(page, tier, held.codes)
    this.#forget(page, tier)
  }

  /** Lowers the oldest quarter of the pages that can be by one tier; false where none can. */
  demote(): boolean {
    const pages = [...this.#held.keys()].filter(
      (page) => this.#held[page] === held.codes && this.#tiers[page] < this.policy.floor,
    )
    pages.sort((a, b) => this.#born[a] - this.#born[b])
    for (const page of pages.slice(0, Math.ceil(pages.length / 4))) {
      const lower = (this.of(page) + 1) as CodedTier // below the floor, which is one
      this.#set(page, lower, held.codes)
      this.#forget(page, lower)
    }
    return pages.length > 0
  }

  /** What a taken page holds; one in 16 bits may have codes beside them. */
  formOf(page: number): PageForm {
    return this.#held[page] === held.codes ? "codes" : "exact"
  }

  of(page: number): KvTier {
    return this.#tiers[page] as KvTier // only tiers are ever stored
  }

  /** What these pages, or all that are taken, are kept by, and in how many bytes; one in a window is in 16 bits. */
  usage(pages: Iterable<number> = this.#held.keys()): KvUsage {
    const usage: KvUsage = { tiers: { T0: 0, T1: 0, T2: 0, T3: 0 }, bytes: 0, savedBytes: 0 }
    for (const page of pages) {
      if (this.#held[page] === held.nothing) continue
      usage.tiers[kvTiers[this.#held[page] === held.codes ? this.#tiers[page] : 0].name]++
      usage.bytes += this.#bytesOf(page)
      usage.savedBytes += this.pageBytes[0] - this.#bytesOf(page)
    }
    return usage
  }

  #set(page: number, tier: KvTier, what: number): void {
    this.#bytes -= this.#bytesOf(page)
    this.#tiers[page] = tier
    this.#held[page] = what
    this.#bytes += this.#bytesOf(page)
  }

  #bytesOf(page: number): number {
    if (this.#held[page] === held.nothing) return 0
    return this.pageBytes[this.#held[page] === held.codes ? this.#tiers[page] : 0]
  }
}

const held = { nothing: 0, exact: 1, codes: 2 } as const

/** Of one page in all layers. */
export function pageBytesByTier({ shape: { layers, kvHeads, headDim } }: KvCache): number[] {
  return kvTiers.map((_, tier) => layers * kvHeads * kvPageBytes(tier as KvTier, headDim)) // its own index
}
