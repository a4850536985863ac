// Step 4. The page tables of running sequences: what was computed before is shared, what is written is one's own, what a
// window has left is kept in fewer bits. Knows pages and what they hold; never whose turn it is.

import { pagesBehind, pageTokens } from "../backend/backend.ts"
import { Pages, pagesFor } from "./pages.ts"
import { Prefixes } from "./prefix.ts"
import type { Kept } from "./prefix.ts"
import type { Sequence } from "./sequence.ts"
import type { Tiers } from "./tiers.ts"

export interface PageTablesOptions {
  /** In all; one sequence can have them. */
  kvPages: number
  tiers: Tiers
  /** Makes one page hold, in 16 bits, what another does. */
  copyPage: (from: number, to: number) => void
}

/** Fills the page that is taken for the one at `index` of a sequence. */
export type Fill = (page: number, index: number) => void

export class PageTables {
  readonly #tiers: Tiers
  readonly #pages: Pages
  readonly #prefixes: Prefixes
  readonly #copyPage: PageTablesOptions["copyPage"]

  constructor({ kvPages, tiers, copyPage }: PageTablesOptions) {
    this.#tiers = tiers
    this.#pages = new Pages(kvPages, tiers)
    this.#prefixes = new Prefixes(this.#pages)
    this.#copyPage = copyPage
  }

  /** Pages that are free, or are as soon as someone needs them. */
  get numAvailable(): number {
    return this.#pages.numFree + this.#prefixes.numIdle
  }

  /** Pages of running sequences. */
  get numUsed(): number {
    return this.#pages.count - this.numAvailable
  }

  /**
   * Goes on, at the end of a page, from what others computed of the same tokens; returns how many tokens that spares.
   * The last token is always computed.
   */
  reuse(sequence: Sequence): number {
    const { tokens, numTokens: all, numPinned, numComputed, numPages } = sequence
    if (sequence.wants === "every" || numComputed !== numPages * pageTokens) return 0
    const { numTokens, pages } = this.#prefixes.find(tokens, all - 1, numPinned)
    const numWhole = Math.floor(numTokens / pageTokens)
    for (const page of pages.slice(numPages, numWhole)) {
      this.#pages.retain(page)
      this.#add(sequence, page)
    }
    sequence.numComputed = Math.max(numComputed, numWhole * pageTokens)
    if (numTokens > sequence.numComputed && this.#addPart(sequence, pages[numWhole]) === "added")
      sequence.numComputed = numTokens
    return sequence.numComputed - numComputed
  }

  /** Shows others the whole pages of a prompt that are computed. */
  publish(sequence: Sequence): void {
    const { tokens, numPinned, numPrompt, numComputed, pageTable } = sequence
    const numWhole = Math.floor(Math.min(numPrompt, numComputed) / pageTokens)
    if (numWhole <= sequence.numPublished || sequence.wants === "every") return
    this.#prefixes.keep(tokens.subarray(0, numWhole * pageTokens), {
      pages: pageTable.subarray(0, numWhole),
      numPinned,
    })
    sequence.numPublished = numWhole
  }

  /** Gets the pages that the sequence's part of this step writes to, and bytes for them, in place of what is idle. */
  provide(sequence: Sequence): "provided" | "short" {
    const needed = pagesFor(sequence.numComputed + sequence.numScheduled)
    while (sequence.numPages < needed) {
      const page = this.#allocate(sequence)
      if (page === undefined) return "short"
      this.#add(sequence, page)
    }
    while (this.#tiers.overBudget) if (!this.#tiers.demote() && !this.#prefixes.evict()) return "short"
    return "provided"
  }

  /** What the latest query left behind its window has codes, and is kept as those where no other window touches it. */
  leaveWindow(sequence: Sequence): void {
    const { tier, window } = this.#tiers.policy
    if (tier === 0) return
    const behind = pagesBehind(sequence.numComputed - 1, window)
    for (; sequence.numTrimmed < behind; sequence.numTrimmed++)
      this.#tiers.leaveWindow(sequence.pageTable[sequence.numTrimmed])
    const branch = this.#branchOf(sequence)
    for (const [i, page] of sequence.pageTable.subarray(0, sequence.numTrimmed).entries())
      if (i < branch.from || i >= branch.to) this.#tiers.trim(page)
  }

  /** Takes all pages from a sequence; what it computed is kept for later prompts, or nothing is that it may have spoilt. */
  giveBack(sequence: Sequence, computed: "keep" | "drop"): void {
    const { tokens, numPinned, numPages, numTrimmed, numComputed } = sequence
    const pages = sequence.pageTable.subarray(0, numPages)
    for (const page of pages.subarray(numTrimmed)) this.#tiers.leaveWindow(page)
    if (computed === "drop") this.#prefixes.clear()
    else this.#prefixes.keep(tokens.subarray(0, numComputed), { pages, numPinned })
    for (const page of pages) this.#pages.release(page)
    sequence.numPages = sequence.numTrimmed = sequence.numPublished = sequence.numComputed = 0
  }

  /** The latest sequence in the cache that begins with these ids. */
  ended(ids: Int32Array): Readonly<Kept> | undefined {
    return this.#prefixes.whole(ids)
  }

  /**
   * Keeps what a sequence computed elsewhere as if it had ended here, in place of older ones if it must be. `full` where
   * the running sequences leave too little.
   */
  adopt({ tokens, numPinned }: Omit<Kept, "pages">, bytes: number, fill: Fill): "kept" | "full" {
    const numPages = pagesFor(tokens.length)
    if (numPages > this.numAvailable) return "full"
    while (this.#pages.numFree < numPages || this.#tiers.bytes + bytes > this.#tiers.policy.budgetBytes)
      if (!this.#prefixes.evict()) return "full"
    const pages = Int32Array.from({ length: numPages }, () => this.#pages.allocate())
    try {
      pages.forEach(fill)
      this.#prefixes.keep(tokens, { pages, numPinned })
    } finally {
      for (const page of pages) this.#pages.release(page)
    }
    return "kept"
  }

  /** Forgets what was computed, but for what running sequences have. */
  forget(): void {
    this.#prefixes.clear()
  }

  checkIntegrity(running: readonly Sequence[]): void {
    const tables = running.map(({ pageTable, numPages }) => pageTable.subarray(0, numPages))
    this.#pages.checkIntegrity([...tables, this.#prefixes.table])
  }

  #add(sequence: Sequence, page: number): void {
    this.#tiers.enterWindow(page)
    sequence.addPage(page)
  }

  /** A page that begins as this sequence goes on: a copy, or itself where there is no room and nobody else has it. */
  #addPart(sequence: Sequence, page: number): "added" | "no room" {
    // So that it is not the one which is evicted.
    this.#pages.retain(page)
    const own = this.#allocate(sequence)
    if (own !== undefined) {
      this.#copyPage(page, own)
      this.#add(sequence, own)
    } else if (this.#pages.holdersOf(page) === 2 && this.#prefixes.drop(page) === "dropped") {
      this.#add(sequence, page)
      return "added"
    }
    this.#pages.release(page)
    return own === undefined ? "no room" : "added"
  }

  #allocate({ numPages, numPinned }: Sequence): number | undefined {
    while (this.#pages.numFree === 0) if (!this.#prefixes.evict()) return undefined
    return this.#pages.allocate(numPages < numPinned ? "pinned" : "plain")
  }

  /**
   * The window at the prompt's end and a page before it, kept in 16 bits for a next turn: its template may leave out the
   * thoughts that the reply begins with, so that it goes on from about there.
   */
  #branchOf({ wants, numPrompt }: Sequence): { from: number; to: number } {
    const to = pagesFor(numPrompt)
    const from = pagesBehind(numPrompt - 1 - pageTokens, this.#tiers.policy.window)
    return { from: wants === "every" ? to : from, to }
  }
}
