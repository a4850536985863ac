// Step 4. Waiting and running sequences in, one batch out. Knows ids, counters and pages; never text, never tensors.
//
// Each step holds one row for every sequence in decode and, up to chunkTokens rows in all, chunks of those in
// prefill: equal shares, so that a short prompt is not kept waiting behind a long one; fewer rows while there are
// replies, which would wait for them; none for a prompt whose next page another one is about to compute. Sequences
// enter by priority and in order of arrival once their prompt fits; one that is less urgent makes room. When pages run
// out, the last one gives up its own and waits again, to be computed anew where they are gone. The first is never set
// back, so all of them come to an end.

import type { Batch } from "../backend/backend.ts"
import { pageTokens } from "../backend/backend.ts"
import { assert } from "../util/errors.ts"
import { BatchBuilder } from "./batch.ts"
import { Pace } from "./pace.ts"
import { PageTables } from "./page-tables.ts"
import type { Fill, PageTablesOptions } from "./page-tables.ts"
import { pagesFor } from "./pages.ts"
import type { Kept } from "./prefix.ts"
import type { Sequence } from "./sequence.ts"
import type { Tiers } from "./tiers.ts"

export interface SchedulerOptions extends PageTablesOptions {
  /** Most rows of a step. */
  chunkTokens: number
  /** Most sequences that run at once. */
  maxSequences: number
}

/** A sequence that wants the logits of every position takes at most so many rows, each a whole vocabulary wide. */
const maxLogitRows = 32

export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #tiers: Tiers
  readonly #tables: PageTables
  readonly #builder: BatchBuilder
  readonly #pace: Pace
  /** Of prompts in the latest step, where it has replies too; else 0. */
  #mixedRows = 0
  /** By priority, then in order of arrival. */
  readonly #waiting: Sequence[] = []
  /** By priority, then in order of admission. */
  readonly #running: Sequence[] = []
  #numReused = 0

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.#tiers = options.tiers
    this.#tables = new PageTables(options)
    this.#pace = new Pace(options.chunkTokens)
    this.#builder = new BatchBuilder(
      options.chunkTokens + options.maxSequences,
      // A page counts once for each sequence that has it.
      options.kvPages * options.maxSequences,
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
    return this.#tables.numUsed
  }

  /** Tokens so far that sequences found computed. */
  get numReused(): number {
    return this.#numReused
  }

  add(sequence: Sequence): void {
    enter(this.#waiting, sequence, "behind")
  }

  /** The next step's batch; at least one sequence waits or runs. */
  schedule(): Batch {
    for (const sequence of this.#running) this.#tables.publish(sequence)
    this.#admit()
    for (const sequence of this.#running) if (sequence.phase === "prefill") this.#reuse(sequence)
    this.#share()
    // From the first on: whoever is set back has not had its turn yet.
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
    const pages = sequence.pageTable.subarray(0, sequence.numPages)
    if (this.#tiers.policy.tier !== 0) sequence.kv = this.#tiers.usage(pages)
    this.#tables.giveBack(sequence, computed)
    sequence.numScheduled = 0
  }

  /** The latest ended sequence that begins with these ids. */
  ended(ids: Int32Array): Readonly<Kept> | undefined {
    return this.#tables.ended(ids)
  }

  /** As `PageTables.adopt`. */
  adopt(kept: Omit<Kept, "pages">, bytes: number, fill: Fill): "kept" | "full" {
    return this.#tables.adopt(kept, bytes, fill)
  }

  /** Forgets what ended sequences computed. */
  forget(): void {
    this.#tables.forget()
  }

  checkIntegrity(): void {
    this.#tables.checkIntegrity(this.#running)
  }

  /** Lets sequences in, as far as they fit, the most urgent first. */
  #admit(): void {
    while (this.#waiting.length > 0) {
      const [next] = this.#waiting
      if (this.#fits(next)) {
        this.#waiting.shift()
        enter(this.#running, next, "behind")
        if (next.numGenerated === 0) next.numCached = 0
        this.#reuse(next)
      } else if (this.#running[this.#running.length - 1].priority > next.priority) this.#setBack()
      else return
    }
  }

  /** All tokens of a sequence must fit beside those of the others, each with a page left to grow. */
  #fits(sequence: Sequence): boolean {
    if (this.#running.length === 0) return true
    if (this.#running.length === this.#options.maxSequences) return false
    let available = this.#tables.numAvailable
    let bytes = this.#tiers.policy.budgetBytes
    for (const one of [...this.#running, sequence]) {
      available -= pagesFor(one.numTokens) + 1 - one.numPages
      bytes -= this.#leastBytes(one)
    }
    return available >= 0 && bytes >= 0
  }

  /** What a sequence's pages take with a page to grow, all that is behind its window at the lowest tier. */
  #leastBytes({ numTokens, numPinned }: Sequence): number {
    const { pageBytes, policy } = this.#tiers
    const pages = pagesFor(numTokens) + 1
    const windows = pagesFor(policy.window + this.#options.chunkTokens) + 1 + pagesFor(policy.window) + 2
    const exact = Math.min(pages, numPinned + windows)
    return pages * pageBytes[policy.floor] + (policy.floor === 0 ? 0 : exact * pageBytes[0])
  }

  /** Goes on from what others computed. */
  #reuse(sequence: Sequence): void {
    const numTokens = this.#tables.reuse(sequence)
    this.#numReused += numTokens
    if (sequence.numGenerated === 0) sequence.numCached += numTokens
  }

  /**
   * One row for each decode; the rest of the step for prefill, the most urgent first and the equally urgent in equal
   * shares, less where less is pending.
   */
  #share(): void {
    const decoding = this.#running.filter((sequence) => sequence.phase === "decode")
    for (const sequence of decoding) sequence.numScheduled = 1
    const prefilling = this.#running.filter((sequence) => this.#computes(sequence))
    prefilling.sort((a, b) => a.priority - b.priority || a.numPending - b.numPending)
    const most = decoding.length > 0 ? this.#pace.rows : Infinity
    let rows = Math.max(1, Math.min(most, this.#options.chunkTokens - decoding.length))
    this.#mixedRows = 0
    for (const [i, sequence] of prefilling.entries()) {
      const equals = prefilling.slice(i).filter(({ priority }) => priority === sequence.priority)
      const share = Math.ceil(rows / equals.length)
      const limit = sequence.wants === "every" ? maxLogitRows : Infinity
      sequence.numScheduled = Math.min(share, limit, sequence.numPending)
      rows -= sequence.numScheduled
      if (decoding.length > 0) this.#mixedRows += sequence.numScheduled
    }
  }

  /** Whether it is in prefill and has to compute what is next itself: none before it is about to. */
  #computes(sequence: Sequence): boolean {
    if (sequence.phase !== "prefill") return false
    const before = this.#running.slice(0, this.#running.indexOf(sequence))
    return !before.some((other) => isComputing(other, sequence))
  }

  /** Sets others back, or in the end itself, until there is room for its part of this step. */
  #provide(sequence: Sequence): void {
    this.#tables.leaveWindow(sequence)
    while (this.#tables.provide(sequence) === "short") {
      assert(this.#running.length > 1, "one sequence does not fit into the pages")
      if (this.#setBack() === sequence) return
    }
  }

  /** The last one waits again. */
  #setBack(): Sequence {
    const last = this.#running.pop() as Sequence // only called while some run
    this.#tables.giveBack(last, "keep")
    last.numScheduled = 0
    enter(this.#waiting, last, "before")
    return last
  }
}

/** By priority; behind or before those that are as urgent. */
function enter(queue: Sequence[], sequence: Sequence, place: "behind" | "before"): void {
  const isAfter = ({ priority }: Sequence) =>
    place === "behind" ? priority > sequence.priority : priority >= sequence.priority
  const index = queue.findIndex(isAfter)
  queue.splice(index < 0 ? queue.length : index, 0, sequence)
}

/** Whether one is about to have the whole page that another needs next. */
function isComputing(one: Sequence, other: Sequence): boolean {
  const { tokens, numTokens, numComputed } = other
  const end = numComputed + pageTokens
  if (numComputed % pageTokens !== 0 || end > Math.min(numTokens, one.numPrompt)) return false
  if (one.numComputed < numComputed || one.numComputed >= end) return false
  if (one.numPinned !== other.numPinned || one.wants === "every" || other.wants === "every") return false
  for (let i = end - 1; i >= 0; i--) if (tokens[i] !== one.tokens[i]) return false
  return true
}
