// Step 4. Ended sequences in, plain data out that can be kept, sent or stored, and back into an engine later: what each
// page holds, and what tells whether it is of use there. Knows pages and bytes; never files or text.

import { kvForm, kvTiers, pagesBehind, pageTokens } from "../backend/backend.ts"
import type { Backend, CodedTier, KvCache, KvTier } from "../backend/backend.ts"
import { UserError } from "../util/errors.ts"
import { pagesFor } from "./pages.ts"
import type { Kept } from "./prefix.ts"
import type { Scheduler } from "./scheduler.ts"
import type { Tiers } from "./tiers.ts"

/** What saving and restoring asks of a backend. */
export type SavedPages = Pick<Backend, "name" | "readKv" | "writeKv" | "exportPage" | "importPage">

/** A page in 16 bits, as codes, or both; of all layers. */
export interface SavedPage {
  readonly exact?: Uint8Array
  readonly codes?: { readonly tier: CodedTier; readonly bytes: Uint8Array }
}

/**
 * The keys and values of a conversation: plain data, which can be cloned and sent between threads. It shows what the
 * conversation says to whoever has the model. To restore it throws `bad-argument` where it is of another model or was
 * kept in another way, `context-exceeded` where it is too long, `bad-file` where it is damaged, `out-of-memory` where
 * running sequences leave too few pages.
 */
export interface Session {
  /** The fingerprint of the model. */
  readonly model: string
  /** How the cache is made and kept, in words. */
  readonly cache: string
  /** [numTokens] The ids whose keys and values these are. */
  readonly tokens: Int32Array
  /** Pages of the first tokens that stay in 16 bits. */
  readonly numPinned: number
  /** In position order. */
  readonly pages: readonly SavedPage[]
}

export interface SessionLimits {
  model: string
  maxContext: number
  vocab: number
}

export class Sessions {
  readonly #backend: SavedPages
  readonly #cache: KvCache
  readonly #tiers: Tiers
  readonly #scheduler: Scheduler
  readonly #limits: SessionLimits

  constructor(
    backend: SavedPages,
    cache: KvCache,
    tiers: Tiers,
    scheduler: Scheduler,
    limits: SessionLimits,
  ) {
    this.#backend = backend
    this.#cache = cache
    this.#tiers = tiers
    this.#scheduler = scheduler
    this.#limits = limits
  }

  save(ids: Int32Array): Session {
    const kept = this.#scheduler.ended(ids)
    if (!kept)
      throw new UserError(
        "not-found",
        `no ended sequence that begins with these ${ids.length} ids is in the cache: ` +
          "save it after its reply has ended, and before others need its pages",
      )
    const { tokens, numPinned } = kept
    const numCoded = this.#numCoded(tokens)
    this.#clearTail(kept)
    return {
      model: this.#limits.model,
      cache: this.#described,
      tokens: tokens.slice(),
      numPinned,
      pages: Array.from(kept.pages, (page, i) =>
        this.#savedPage(page, i < numCoded ? "behind" : "in window"),
      ),
    }
  }

  restore(session: Session): void {
    this.#check(session)
    const { numPinned, pages } = session
    const { pageBytes } = this.#tiers
    const bytes = pages.reduce((sum, { exact, codes }) => sum + pageBytes[exact ? 0 : (codes?.tier ?? 0)], 0)
    const outcome = this.#scheduler.adopt(session, bytes, (page, i) =>
      this.#fill(page, pages[i], i < numPinned),
    )
    if (outcome === "kept") return
    throw new UserError(
      "out-of-memory",
      `the saved conversation needs ${pages.length} pages of ${pageTokens} tokens, more than running sequences leave: ` +
        "restore it when they have ended, or raise --context or --kv-budget",
    )
  }

  get #described(): string {
    const { layers, kvHeads, headDim } = this.#cache.shape
    const { tier, window } = this.#tiers.policy
    const kept = tier === 0 ? "all in full" : `${kvTiers[tier].name} (form ${kvForm}) behind ${window} tokens`
    return `${this.#backend.name}, ${layers} layers of ${kvHeads} x ${headDim}, ${kept}`
  }

  /** So many of the first pages have codes, unless they are pinned: the latest query has left them behind. */
  #numCoded(tokens: Int32Array): number {
    const { tier, window } = this.#tiers.policy
    return tier === 0 ? 0 : pagesBehind(tokens.length - 1, window)
  }

  #savedPage(page: number, place: "behind" | "in window"): SavedPage {
    const tier = this.#tiers.of(page)
    const bytes = (of: KvTier) => this.#backend.exportPage(this.#cache, page, of)
    return {
      ...(this.#tiers.formOf(page) === "exact" && { exact: bytes(0) }),
      ...(place === "behind" && tier !== 0 && { codes: { tier, bytes: bytes(tier) } }),
    }
  }

  /** What others left in the last page, behind the sequence's end, is not saved with it. */
  #clearTail({ tokens, pages }: Readonly<Kept>): void {
    const used = tokens.length % pageTokens
    if (used === 0) return
    const page = pages[pages.length - 1]
    for (let layer = 0; layer < this.#cache.shape.layers; layer++) {
      const rows = this.#backend.readKv(this.#cache, layer, page)
      for (const values of [rows.keys, rows.values]) values.fill(0, (used * values.length) / pageTokens)
      this.#backend.writeKv(this.#cache, layer, page, rows, 0)
    }
  }

  #fill(page: number, { exact, codes }: SavedPage, pinned: boolean): void {
    if (exact) this.#backend.importPage(this.#cache, page, 0, exact)
    if (codes) this.#backend.importPage(this.#cache, page, codes.tier, codes.bytes)
    const tier = pinned ? 0 : (codes?.tier ?? this.#tiers.policy.tier)
    this.#tiers.adopt(page, tier, exact ? "exact" : "codes")
  }

  #check(session: Session): void {
    const { model, maxContext } = this.#limits
    const { tokens } = session
    if (session.model !== model)
      throw new UserError(
        "bad-argument",
        `the saved conversation is of model ${session.model}; this is ${model}: load the model that it was saved with`,
      )
    if (session.cache !== this.#described)
      throw new UserError(
        "bad-argument",
        `the saved keys and values were kept as "${session.cache}", here it is "${this.#described}": ` +
          "load the model with the same backend and --kv",
      )
    if (tokens.length > maxContext)
      throw new UserError(
        "context-exceeded",
        `context is ${maxContext} tokens; the saved conversation has ${tokens.length}: raise --context`,
      )
    if (!this.#isWhole(session))
      throw new UserError(
        "bad-file",
        "the saved conversation is damaged: its pages are not those of its tokens; save it again",
      )
  }

  /** Every page is there in the forms that a sequence of so many tokens has. */
  #isWhole({ tokens, numPinned, pages }: Session): boolean {
    const { vocab } = this.#limits
    if (tokens.length === 0 || pages.length !== pagesFor(tokens.length)) return false
    if (!Number.isSafeInteger(numPinned) || numPinned < 1) return false
    if (!tokens.every((id) => id >= 0 && id < vocab)) return false
    const numCoded = this.#numCoded(tokens)
    return pages.every(({ exact, codes }, page) => {
      if (page < numPinned || page >= numCoded) return exact !== undefined && codes === undefined
      return codes !== undefined && [1, 2, 3].includes(codes.tier)
    })
  }
}
