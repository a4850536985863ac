// Step 4. Waiting and running sequences in, one batch out. Knows ids, counters and pages; never text, never tensors.
//
// Each step holds one row for every sequence in decode and, up to chunkTokens rows in all, chunks of those in
// prefill: equal shares, so that a short prompt is not kept waiting behind a long one; fewer rows while there are
// replies, which would wait for them. Sequences enter in order of
// arrival once their prompt fits; when pages run out, the one that entered last gives up its own and waits again,
// to be computed anew. The oldest is never set back, so all of them come to an end.

import type { Batch } from "../backend/backend.ts"
import { pagesBehind, pageTokens } from "../backend/backend.ts"
import { assert } from "../util/errors.ts"
import { BatchBuilder } from "./batch.ts"
import { Pace } from "./pace.ts"
import { Pages, pagesFor } from "./pages.ts"
import { PrefixCache } from "./prefix.ts"
import type { Kept } from "./prefix.ts"
import type { Sequence } from "./sequence.ts"
import type { Tiers } from "./tiers.ts"

export interface SchedulerOptions {
  /** Pages of the KV cache; one sequence can have them all. */
  kvPages: number
  /** Most rows of a step. */
  chunkTokens: number
  /** Most sequences that run at once. */
  maxSequences: number
  /** How the pages are kept. */
  tiers: Tiers
}

/** Fills the page that is taken for the one at `index` of a sequence. */
type Fill = (page: number, index: number) => void

/** A sequence that wants the logits of every position takes at most so many rows, each a whole vocabulary wide. */
const maxLogitRows = 32

export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #pages: Pages
  readonly #tiers: Tiers
  readonly #prefixes: PrefixCache
  readonly #builder: BatchBuilder
  readonly #pace: Pace
  /** Of prompts in the latest step, where it has replies too; else 0. */
  #mixedRows = 0
  /** In order of arrival. */
  readonly #waiting: Sequence[] = []
  /** In order of admission. */
  readonly #running: Sequence[] = []
  #numReused = 0

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.#tiers = options.tiers
    this.#pages = new Pages(options.kvPages, options.tiers)
    this.#prefixes = new PrefixCache(this.#pages)
    this.#pace = new Pace(options.chunkTokens)
    this.#builder = new BatchBuilder(
      options.chunkTokens + options.maxSequences,
      options.kvPages,
      options.tiers,
    )
  }

  get waiting(): readonly Sequence[] {
    return this.#waiting
  }

  get running(): readonly Sequence[] {
    return this.#running
  }

  /** Pages of running sequences; those kept for later prompts are free to be used. */
  get numUsedPages(): number {
    return this.#pages.count - this.#available
  }

  /** Tokens so far that sequences found computed. */
  get numReused(): number {
    return this.#numReused
  }

  add(sequence: Sequence): void {
    this.#waiting.push(sequence)
  }

  /** The next step's batch; at least one sequence waits or runs. */
  schedule(): Batch {
    this.#admit()
    this.#share()
    // From the oldest on: whoever is set back has not had its turn yet.
    for (let i = 0; i < this.#running.length; i++) this.#provide(this.#running[i])
    const scheduled = this.#running.filter((sequence) => sequence.numScheduled > 0)
    assert(scheduled.length > 0, "a step without rows")
    return this.#builder.build(scheduled)
  }

  /** The latest step is over. */
  took(ms: number): void {
    if (this.#mixedRows > 0) this.#pace.took(ms, this.#mixedRows)
  }

  /** Takes a sequence out; what it computed is kept for later prompts, or dropped. */
  remove(sequence: Sequence, computed: "keep" | "drop"): void {
    const queue = this.#running.includes(sequence) ? this.#running : this.#waiting
    queue.splice(queue.indexOf(sequence), 1)
    const numKept = computed === "keep" ? sequence.numComputed : 0
    const { numPinned } = sequence
    const pages = sequence.pageTable.subarray(0, sequence.numPages)
    if (this.#tiers.policy.tier !== 0) sequence.kv = this.#tiers.usage(pages)
    this.#prefixes.keep(sequence.tokens.subarray(0, numKept), { pages, numPinned })
    sequence.numPages = sequence.numTrimmed = sequence.numComputed = sequence.numScheduled = 0
  }

  /** The latest ended sequence that begins with these ids. */
  ended(ids: Int32Array): Readonly<Kept> | undefined {
    return this.#prefixes.find(ids)
  }

  /**
   * Keeps what a sequence computed elsewhere as if it had ended here, in place of older ones if it must be: `fill` gets
   * each page that is taken for it. `full` where the running sequences leave too little.
   */
  adopt({ tokens, numPinned }: Omit<Kept, "pages">, bytes: number, fill: Fill): "kept" | "full" {
    const numPages = pagesFor(tokens.length)
    if (numPages > this.#available) return "full"
    while (this.#pages.numFree < numPages || this.#tiers.bytes + bytes > this.#tiers.policy.budgetBytes)
      if (!this.#prefixes.evict()) return "full"
    const pages = Int32Array.from({ length: numPages }, () => this.#pages.allocate())
    try {
      pages.forEach(fill)
    } catch (error) {
      for (const page of pages) this.#pages.free(page)
      throw error
    }
    this.#prefixes.keep(tokens, { pages, numPinned })
    return "kept"
  }

  /** Forgets what ended sequences computed. */
  forget(): void {
    while (this.#prefixes.evict());
  }

  checkIntegrity(): void {
    const running = this.#running.map((sequence) => sequence.pageTable.subarray(0, sequence.numPages))
    this.#pages.checkIntegrity([...running, ...this.#prefixes.tables])
  }

  get #available(): number {
    return this.#pages.numFree + this.#prefixes.numPages
  }

  /** Lets sequences in, first come first served, if all of their tokens fit and each has a page left to grow. */
  #admit(): void {
    let available = this.#available
    let bytes = this.#tiers.policy.budgetBytes
    for (const sequence of this.#running) {
      available -= pagesFor(sequence.numTokens) + 1 - sequence.numPages
      bytes -= this.#leastBytes(sequence)
    }
    while (this.#waiting.length > 0 && this.#running.length < this.#options.maxSequences) {
      const sequence = this.#waiting[0]
      available -= pagesFor(sequence.numTokens) + 1
      bytes -= this.#leastBytes(sequence)
      if ((available < 0 || bytes < 0) && this.#running.length > 0) return
      this.#waiting.shift()
      this.#running.push(sequence)
      this.#reuse(sequence)
    }
  }

  /** What a sequence's pages take with a page to grow, all that is behind its window at the lowest tier. */
  #leastBytes({ numTokens, numPinned }: Sequence): number {
    const { pageBytes, policy } = this.#tiers
    const pages = pagesFor(numTokens) + 1
    const windows = pagesFor(policy.window + this.#options.chunkTokens) + 1 + pagesFor(policy.window) + 2
    const exact = Math.min(pages, numPinned + windows)
    return pages * pageBytes[policy.floor] + (policy.floor === 0 ? 0 : exact * pageBytes[0])
  }

  /** Starts from the pages of an ended sequence that began alike; the last token is always computed. */
  #reuse(sequence: Sequence): void {
    if (sequence.wants === "every") return
    const { tokens, numPinned } = sequence
    const { numTokens, pages } = this.#prefixes.take(tokens, sequence.numTokens - 1, numPinned)
    for (const page of pages) sequence.addPage(page)
    sequence.numComputed = numTokens
    if (sequence.numGenerated === 0) sequence.numCached = numTokens
    this.#numReused += numTokens
  }

  /** One row for each decode; the rest of the step in equal shares for prefill, less where less is pending. */
  #share(): void {
    const decoding = this.#running.filter((sequence) => sequence.phase === "decode")
    for (const sequence of decoding) sequence.numScheduled = 1
    const prefilling = this.#running.filter((sequence) => sequence.phase === "prefill")
    prefilling.sort((a, b) => a.numPending - b.numPending)
    const most = decoding.length > 0 ? this.#pace.rows : Infinity
    let rows = Math.max(1, Math.min(most, this.#options.chunkTokens - decoding.length))
    this.#mixedRows = 0
    for (const [i, sequence] of prefilling.entries()) {
      const share = Math.ceil(rows / (prefilling.length - i))
      const limit = sequence.wants === "every" ? maxLogitRows : Infinity
      sequence.numScheduled = Math.min(share, limit, sequence.numPending)
      rows -= sequence.numScheduled
      if (decoding.length > 0) this.#mixedRows += sequence.numScheduled
    }
  }

  /** Gets the pages that the sequence's part of this step writes to, and bytes for them. */
  #provide(sequence: Sequence): void {
    this.#leaveWindow(sequence)
    const needed = pagesFor(sequence.numComputed + sequence.numScheduled)
    while (sequence.numPages < needed) {
      const kind = sequence.numPages < sequence.numPinned ? "pinned" : "plain"
      if (this.#pages.numFree > 0) sequence.addPage(this.#pages.allocate(kind))
      else if (!this.#prefixes.evict() && this.#preempt() === sequence) return
    }
    while (this.#tiers.overBudget)
      if (!this.#tiers.demote() && !this.#prefixes.evict() && this.#preempt() === sequence) return
  }

  /** What the latest query left behind its window has codes, and no later query of this sequence has it in its own. */
  #leaveWindow(sequence: Sequence): void {
    const { tier, window } = this.#tiers.policy
    if (tier === 0) return
    const branch = this.#branchOf(sequence)
    for (; sequence.numTrimmed < pagesBehind(sequence.numComputed - 1, window); sequence.numTrimmed++)
      if (sequence.numTrimmed < branch.from || sequence.numTrimmed >= branch.to)
        this.#tiers.leaveWindow(sequence.pageTable[sequence.numTrimmed])
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

  /** Sets back the sequence that was admitted last. */
  #preempt(): Sequence {
    const last = this.#running.pop()
    assert(last && this.#running.length > 0, "one sequence does not fit into the pages")
    for (let i = 0; i < last.numPages; i++) this.#pages.free(last.pageTable[i])
    last.numPages = last.numTrimmed = last.numComputed = last.numScheduled = 0
    this.#waiting.unshift(last)
    return last
  }
}
