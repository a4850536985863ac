// Steps 4 to 6, the loop around them: ids in, ids out, many sequences at once. Runs while there is work and sleeps
// without a timer when there is none. Knows ids; never text, roles, JSON, or which backend runs.

import { pageTokens } from "../backend/backend.ts"
import type { KvUsage } from "../types.ts"
import { assert } from "../util/errors.ts"
import { numLogitRows } from "./batch.ts"
import type { BatchModel } from "./batch-model.ts"
import { asError, cancelled, checkIds, checkPriority, freed, isCancelled } from "./failures.ts"
import type { Health } from "./failures.ts"
import { Generation } from "./generation.ts"
import { LogitRows } from "./logit-rows.ts"
import { prepareMasks } from "./masks.ts"
import { Sampler } from "./sampler.ts"
import { checkSampling, plainSampling } from "./sampling.ts"
import { Scheduler } from "./scheduler.ts"
import type { SequenceOptions } from "./sequence.ts"
import { Sequence } from "./sequence.ts"
import { Sessions, type Session } from "./sessions.ts"
import { plainPolicy, Tiers } from "./tiers.ts"
import type { KvPolicy } from "./tiers.ts"

export interface EngineOptions {
  /** Most tokens of a sequence, prompt and reply together. */
  maxContext: number
  /** Pages for all sequences; at least those of one of maxContext tokens. */
  kvPages: number
  /** Most rows of a step: more make prefill faster, and other sequences' next tokens later. */
  chunkTokens: number
  /** Most sequences that run at once; others wait. */
  maxSequences?: number
  /** How keys and values are kept; all in 16 bits where left out. */
  kv?: KvPolicy
  /** What keys and values depend on beside the cache: sessions of another model are refused by it. */
  fingerprint?: string
  /** Ids from here on are padding of the embedding and are never sampled. */
  tokenizerSize: number
}

export interface GenerateOptions extends SequenceOptions {
  signal?: AbortSignal
}

export class Engine {
  readonly #model: BatchModel
  readonly #options: EngineOptions
  readonly #scheduler: Scheduler
  readonly #tiers: Tiers
  readonly #sessions: Sessions
  readonly #sampler: Sampler
  readonly #rows: LogitRows
  /** Logits asked for at every position, by sequence. */
  readonly #collected = new Map<Sequence, Float32Array[]>()
  #abort = new AbortController()
  #loop: Promise<void> | undefined
  #state: "open" | "freed" = "open"
  #health: Health = "sound"
  #numPrefilled = 0
  #numGenerated = 0

  constructor(model: BatchModel, options: EngineOptions) {
    const { maxContext, kvPages, chunkTokens, maxSequences = 16, kv = plainPolicy, tokenizerSize } = options
    assert(kvPages * pageTokens >= maxContext, `${kvPages} pages cannot hold ${maxContext} tokens`)
    assert(chunkTokens > 0 && maxSequences > 0, "a step needs rows and a sequence")
    assert(tokenizerSize <= model.config.vocab, "the tokenizer has ids without logits")
    this.#model = model
    this.#options = options
    const { backend } = model
    const cache = model.kvCache(kvPages, kv.window)
    this.#tiers = Tiers.of(cache, kv, backend)
    this.#scheduler = new Scheduler({
      kvPages,
      chunkTokens,
      maxSequences,
      tiers: this.#tiers,
      copyPage: (from, to) => backend.importPage(cache, to, 0, backend.exportPage(cache, from, 0)),
    })
    this.#sessions = new Sessions(backend, cache, this.#tiers, this.#scheduler, {
      model: options.fingerprint ?? "",
      maxContext,
      vocab: model.config.vocab,
    })
    this.#rows = new LogitRows(backend, tokenizerSize)
    this.#sampler = new Sampler(tokenizerSize)
  }

  /** Whether it can be trusted. */
  get health(): Health {
    return this.#health
  }

  /** How busy it is: sequences and pages. */
  get load(): { running: number; waiting: number; usedPages: number; pages: number } {
    const { running, waiting, numUsedPages } = this.#scheduler
    const { kvPages } = this.#options
    return { running: running.length, waiting: waiting.length, usedPages: numUsedPages, pages: kvPages }
  }

  /** How all taken pages are kept, and the tokens so far: of prompts, computed and found computed; generated. */
  get status(): { kv: KvUsage; tokens: { prefilled: number; reused: number; generated: number } } {
    const tokens = {
      prefilled: this.#numPrefilled,
      reused: this.#scheduler.numReused,
      generated: this.#numGenerated,
    }
    return { kv: this.#tiers.usage(), tokens }
  }

  /** Refuses at once what cannot be done; begins when the first id is asked for. */
  generate(prompt: Int32Array, options: GenerateOptions): Generation {
    const { maxContext, tokenizerSize } = this.#options
    // A reply needs room for at least one id.
    checkIds(prompt, this.#model.config.vocab, { most: maxContext - 1, context: maxContext })
    checkSampling(options.sampling, tokenizerSize)
    checkPriority(options.priority)
    const sequence = new Sequence(prompt, "next", maxContext, tokenizerSize, options)
    return new Generation(
      sequence,
      () => this.#begin(sequence, options.signal),
      () => this.#cancel(sequence),
    )
  }

  /** The logits after each of the ids: [ids][vocab]. */
  async logits(ids: Int32Array, signal?: AbortSignal): Promise<Float32Array[]> {
    const { maxContext, tokenizerSize } = this.#options
    checkIds(ids, this.#model.config.vocab, { most: maxContext, context: maxContext })
    const options = { sampling: plainSampling, stopIds: new Set<number>() }
    const sequence = new Sequence(ids, "every", maxContext, tokenizerSize, options)
    const rows: Float32Array[] = []
    this.#collected.set(sequence, rows)
    this.#begin(sequence, signal)
    while (sequence.status === "live") await sequence.changed()
    this.#collected.delete(sequence)
    if (sequence.error) throw sequence.error
    return rows
  }

  /** A copy of what the latest ended sequence that begins with these ids computed, made at once; else `not-found`. */
  save(ids: Int32Array): Session {
    if (this.#state === "freed") throw freed()
    checkIds(ids, this.#model.config.vocab)
    return this.#sessions.save(ids)
  }

  /** Makes a saved sequence one that ended here: prompts that begin with its ids go on from it, to the same bits. */
  restore(session: Session): void {
    if (this.#state === "freed") throw freed()
    this.#sessions.restore(session)
  }

  /** Cancels what runs and waits; resolves when no step is under way and the backend may go. */
  async free(): Promise<void> {
    this.#state = "freed"
    for (const sequence of [...this.#scheduler.waiting, ...this.#scheduler.running]) this.#cancel(sequence)
    await this.#loop
  }

  // ---- the loop

  async #run(): Promise<void> {
    // Sequences that begin in the same turn of the event loop share the first step.
    await Promise.resolve()
    try {
      while (this.#scheduler.running.length + this.#scheduler.waiting.length > 0) await this.#step()
    } catch (error) {
      return this.#break(asError(error))
    }
    this.#loop = undefined
    this.#scheduler.checkIntegrity()
  }

  async #step(): Promise<void> {
    if (this.#abort.signal.aborted) this.#abort = new AbortController()
    const batch = this.#scheduler.schedule() // sequences -> batch
    try {
      const logits = this.#model.forward(batch) // batch -> logits handle
      this.#rows.record(logits, this.#scheduler.running)
      const start = performance.now()
      const { signal } = this.#abort
      const masks = prepareMasks(this.#scheduler.running, signal)
      await Promise.all([this.#model.backend.submit(signal), masks])
      this.#scheduler.took(performance.now() - start)
      this.#sample() // logits -> ids
    } catch (error) {
      this.#interrupted(error)
    }
    this.#postprocess()
  }

  /** Appends the next id of each sequence whose last token was in the batch. */
  #sample(): void {
    let row = 0
    for (const sequence of this.#scheduler.running) {
      const end = row + numLogitRows(sequence)
      // A token whose next id cannot be drawn yet is computed again.
      const numDone = sequence.numScheduled - (sequence.canDraw ? 0 : end - row)
      this.#numPrefilled += Math.max(0, Math.min(numDone, sequence.numPrompt - sequence.numComputed))
      sequence.numComputed += numDone
      if (!sequence.canDraw) row = end
      for (; row < end; row++) {
        const position = sequence.numComputed - (end - row)
        this.#advance(sequence, position, row)
      }
    }
  }

  /** The logits after `position`: the next id, or the ids that end a thought in its place. */
  #advance(sequence: Sequence, position: number, row: number): void {
    const { thought } = sequence
    const collected = this.#collected.get(sequence)
    if (collected) {
      // By position: a sequence that was set back comes by here again.
      collected[position] = this.#rows.whole(row).slice()
      return
    }
    const stopIds = thought?.takeStopIds()
    if (stopIds) {
      for (const id of stopIds) sequence.append(id)
      this.#numGenerated += stopIds.length
      return
    }
    try {
      sequence.append(this.#draw(sequence, row))
      this.#numGenerated++
    } catch (error) {
      sequence.fail(asError(error))
    }
  }

  /** The next id, by the logits as the sequence's options change them. */
  #draw(sequence: Sequence, row: number): number {
    const { thought, adjustments, constrained, logprobs, sampling, random } = sequence
    const largest = this.#rows.largest(row, sequence)
    if (largest) return this.#sampler.sampleLargest(largest.ids, largest.logits, sampling, random)
    const logits = this.#rows.whole(row)
    logprobs?.keep(logits)
    adjustments?.apply(logits)
    constrained?.apply(logits, thought)
    const id = this.#sampler.sample(logits, sampling, random)
    constrained?.accept(id, thought)
    logprobs?.drawn(sequence.numTokens, id)
    return id
  }

  /** Ended sequences leave and give their pages back; the readers of the others are woken. */
  #postprocess(): void {
    for (const sequence of [...this.#scheduler.running]) {
      sequence.numScheduled = 0
      if (sequence.isOver) this.#leave(sequence)
      else sequence.wake()
    }
  }

  // ---- beginnings and ends

  #begin(sequence: Sequence, signal: AbortSignal | undefined): void {
    if (this.#state === "freed") sequence.fail(freed())
    if (this.#health === "broken") sequence.fail(new Error("the engine is broken and takes no work"))
    if (signal?.aborted) sequence.fail(cancelled(signal.reason))
    if (sequence.error) return sequence.end()
    const cancel = () => this.#cancel(sequence, signal?.reason)
    signal?.addEventListener("abort", cancel)
    sequence.onEnd = () => signal?.removeEventListener("abort", cancel)
    this.#scheduler.add(sequence)
    this.#loop ??= this.#run()
  }

  #cancel(sequence: Sequence, reason?: unknown): void {
    if (sequence.status === "ended") return
    sequence.fail(cancelled(reason))
    // In the step under way: that step is cut short, and what the others had in it is simply run again.
    if (sequence.numScheduled > 0) this.#abort.abort()
    else this.#leave(sequence)
  }

  /** A step that did not finish: cancelled by us, or failed, which ends all that ran. */
  #interrupted(error: unknown): void {
    if (this.#abort.signal.aborted && isCancelled(error)) return
    this.#health = "suspect"
    for (const sequence of this.#scheduler.running) sequence.fail(asError(error))
    // What the pages hold after a failure is not known.
    this.#scheduler.forget()
  }

  /** A bug of ours: who holds which page is no longer known, so that nothing can go on. */
  #break(error: Error): void {
    this.#health = "broken"
    for (const sequence of [...this.#scheduler.running, ...this.#scheduler.waiting]) {
      sequence.fail(error)
      sequence.end()
    }
  }

  #leave(sequence: Sequence): void {
    const sound = sequence.error === undefined || isCancelled(sequence.error)
    this.#scheduler.remove(sequence, sound ? "keep" : "drop")
    sequence.end()
  }
}
