// Steps 4 to 6. One prompt and what is generated after it, as ids and counters; everything else is derived.
// The scheduler moves the counters and the pages, the sampler appends ids, a `Generation` reads them.

import { pageTokens } from "../backend/backend.ts"
import type { FinishReason, KvUsage, Sampling } from "../types.ts"
import { Adjustments } from "./adjustments.ts"
import { ConstrainedReply } from "./constraint.ts"
import type { ConstraintOptions } from "./constraint.ts"
import { Logprobs } from "./logprobs.ts"
import { Random } from "./random.ts"
import type { ThinkingLimit } from "./thought.ts"
import { Thought } from "./thought.ts"

export interface SequenceOptions {
  sampling: Sampling
  /** Ids that end the reply. */
  stopIds: ReadonlySet<number>
  thinking?: ThinkingLimit
  /** What the reply must be, from the end of its thought on. */
  constraint?: ConstraintOptions
  /** The logarithm of each id's probability is wanted, and those of so many of the most probable ones. */
  logprobs?: number
  /** Lower numbers go first; 0 where left out. */
  priority?: number
  /** The pages of so many of the first tokens stay in 16 bits; the first page always does. */
  pinnedTokens?: number
}

/** `next`: the logits after the last id, to go on from; `every`: those at each position, and nothing generated. */
export type Wants = "next" | "every"

export class Sequence {
  readonly wants: Wants
  readonly sampling: Sampling
  readonly random: Random
  readonly adjustments: Adjustments | undefined
  readonly thought: Thought | undefined
  readonly constrained: ConstrainedReply | undefined
  readonly logprobs: Logprobs | undefined
  readonly priority: number
  readonly numPrompt: number
  /** Of its pages, so many of the first stay in 16 bits. */
  readonly numPinned: number
  /** Prompt and reply together. */
  readonly #maxTokens: number
  readonly #stopIds: ReadonlySet<number>

  /** [numTokens], with room behind. */
  tokens: Int32Array
  numTokens: number
  /** Tokens whose keys and values are in the pages. */
  numComputed = 0
  /** Tokens in the step that is under way. */
  numScheduled = 0
  /** Prompt tokens that did not need computing. */
  numCached = 0
  /** [numPages], with room behind; in position order. */
  pageTable: Int32Array = new Int32Array(16)
  numPages = 0
  /** Of the pages, so many of the first its window has left: those that are not pinned are kept as codes. */
  numTrimmed = 0
  /** Whole pages of its prompt that others can share. */
  numPublished = 0
  /** How its pages were kept when they were given back. */
  kv: KvUsage | undefined

  /** Runs once, when the sequence has ended. */
  onEnd: (() => void) | undefined

  #finishReason: Exclude<FinishReason, "tool_calls"> | undefined
  #error: Error | undefined
  #status: "live" | "ended" = "live"
  #changed: { promise: Promise<void>; resolve: () => void } | undefined
  readonly #startedAt = performance.now()
  #firstAt = 0
  #lastAt = 0

  /** `maxTokens` counts the prompt too; `size` is how many ids the tokenizer has. */
  constructor(prompt: Int32Array, wants: Wants, maxTokens: number, size: number, options: SequenceOptions) {
    this.wants = wants
    this.tokens = prompt.slice()
    this.numTokens = this.numPrompt = prompt.length
    // Attention of any later token goes to the first ones, whatever they say (arXiv 2309.17453).
    this.numPinned = Math.max(1, Math.ceil((options.pinnedTokens ?? 0) / pageTokens))
    this.priority = options.priority ?? 0
    this.sampling = options.sampling
    this.random = Random.seeded(options.sampling.seed ?? Math.floor(Math.random() * 2 ** 53))
    this.adjustments = Adjustments.of(options.sampling, prompt, size)
    this.thought = options.thinking && new Thought(options.thinking, prompt.length)
    const { constraint, logprobs, stopIds } = options
    this.constrained = constraint && new ConstrainedReply(constraint, stopIds)
    this.logprobs = logprobs === undefined ? undefined : new Logprobs(logprobs, size)
    this.#stopIds = stopIds
    this.#maxTokens = Math.min(maxTokens, prompt.length + (options.sampling.maxTokens ?? Infinity))
  }

  /** Tokens that still need keys and values: many in prefill, one in decode. */
  get numPending(): number {
    return this.numTokens - this.numComputed
  }

  get numGenerated(): number {
    return this.numTokens - this.numPrompt
  }

  /** Generated tokens without the id that ended the reply. */
  get numReadable(): number {
    return this.numGenerated - (this.#finishReason === "stop" ? 1 : 0)
  }

  get phase(): "prefill" | "decode" {
    return this.numPending > 1 ? "prefill" : "decode"
  }

  /** Why the reply ended, once it has. */
  get finishReason(): Exclude<FinishReason, "tool_calls"> | undefined {
    return this.#finishReason
  }

  get error(): Error | undefined {
    return this.#error
  }

  /** `ended`: finished or failed, and its pages given back. */
  get status(): "live" | "ended" {
    return this.#status
  }

  /** Whether its next id can be drawn: it can but for a constraint that is not ready. */
  get canDraw(): boolean {
    return this.constrained?.isReady(this.thought) ?? true
  }

  /** Nothing is left to do for it: it shall end. */
  get isOver(): boolean {
    const allComputed = this.wants === "every" && this.numPending === 0
    return this.#error !== undefined || this.#finishReason !== undefined || allComputed
  }

  get prefillMs(): number {
    return this.numGenerated > 0 ? this.#firstAt - this.#startedAt : 0
  }

  get decodeMs(): number {
    return this.#lastAt - this.#firstAt
  }

  /** Adds a generated id; the reply is finished if that was a stop id or the last that fits. */
  append(id: number): void {
    if (this.#finishReason !== undefined) return
    if (this.numTokens === this.tokens.length) this.tokens = grown(this.tokens, this.#maxTokens)
    this.tokens[this.numTokens] = id
    this.thought?.observe(this.tokens, this.numTokens)
    this.adjustments?.count(id)
    this.#lastAt = performance.now()
    if (this.numGenerated === 0) this.#firstAt = this.#lastAt
    this.numTokens++
    if (this.#stopIds.has(id)) this.#finishReason = "stop"
    else if (this.numTokens >= this.#maxTokens) this.#finishReason = "length"
  }

  /** Ends it early; the first error counts. */
  fail(error: Error): void {
    this.#error ??= error
  }

  addPage(page: number): void {
    if (this.numPages === this.pageTable.length) this.pageTable = grown(this.pageTable, Infinity)
    this.pageTable[this.numPages++] = page
  }

  end(): void {
    this.#status = "ended"
    this.onEnd?.()
    this.wake()
  }

  /** Resolves at the next `wake`, for however many wait. */
  changed(): Promise<void> {
    if (!this.#changed) {
      let resolve = () => {}
      const promise = new Promise<void>((done) => (resolve = done))
      this.#changed = { promise, resolve }
    }
    return this.#changed.promise
  }

  wake(): void {
    this.#changed?.resolve()
    this.#changed = undefined
  }
}

function grown(array: Int32Array, most: number): Int32Array {
  const larger = new Int32Array(Math.min(Math.max(64, 2 * array.length), most))
  larger.set(array)
  return larger
}
