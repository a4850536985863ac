// Steps 4 to 6, twice. A reply that must call a tool: the model thinks as it likes, then finds that it has begun a
// call, and goes on from there. Ids in, ids out, those that it was given among them.

import type { GenerateOptions } from "./engine/engine.ts"
import type { Generation } from "./engine/generation.ts"
import type { ThinkingLimit, ThoughtState } from "./engine/thought.ts"
import type { Sampling, Usage } from "./types.ts"

type RunOptions = Partial<Pick<GenerateOptions, "thinking" | "stopIds">> & { sampling: Partial<Sampling> }

export interface ForcedCallOptions {
  prompt: Int32Array
  /** Most tokens of prompt and reply together. */
  context: number
  sampling: Partial<Sampling>
  /** Ids that end a reply. */
  stopIds: ReadonlySet<number>
  /** Where the model thinks first. */
  thinking?: ThinkingLimit
  /** The text that begins the call. */
  beginning: string
  encode: (text: string) => Int32Array
  generate: (ids: Int32Array, options: RunOptions) => Generation
}

export class ForcedCall implements AsyncIterable<number> {
  readonly #options: ForcedCallOptions
  /** Generated and given ids so far. */
  readonly #reply: number[] = []
  readonly #runs: Generation[] = []
  #room: "left" | "used-up" = "left"

  constructor(options: ForcedCallOptions) {
    this.#options = options
  }

  get finishReason(): "stop" | "length" | undefined {
    return this.#room === "used-up" ? "length" : this.#runs.at(-1)?.finishReason
  }

  get thought(): ThoughtState {
    return this.#options.thinking ? (this.#runs[0]?.thought ?? "none") : "none"
  }

  /** As of one generation; the ids that were given count as generated. */
  get usage(): Usage {
    const usages = this.#runs.map((run) => run.usage)
    const [first, ...rest] = usages
    return {
      promptTokens: this.#options.prompt.length,
      cachedTokens: first?.cachedTokens ?? 0,
      completionTokens: this.#reply.length + (this.finishReason === "stop" ? 1 : 0),
      reasoningTokens: this.#options.thinking ? (first?.reasoningTokens ?? 0) : 0,
      prefillMs: first?.prefillMs ?? 0,
      decodeMs: rest.reduce((ms, usage) => ms + usage.prefillMs + usage.decodeMs, first?.decodeMs ?? 0),
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number, void> {
    const { thinking, beginning, sampling, encode } = this.#options
    if (thinking) {
      if (thinking.starts === "outside") yield* this.#give(encode("<think>\n"))
      const stopIds = new Set([...this.#options.stopIds, thinking.closeId])
      yield* this.#run({ sampling, stopIds, thinking: { ...thinking, starts: "inside" } })
      if (this.finishReason === "length") return
      yield* this.#give([thinking.closeId])
    }
    yield* this.#give(encode(thinking ? `\n\n${beginning}` : beginning))
    yield* this.#run({ sampling })
  }

  get #numLeft(): number {
    const { prompt, context, sampling } = this.#options
    return Math.min(sampling.maxTokens ?? Infinity, context - prompt.length) - this.#reply.length
  }

  /** All of them or, where they do not fit, none. */
  *#give(ids: ArrayLike<number>): Generator<number, void> {
    if (ids.length > this.#numLeft) this.#room = "used-up"
    if (this.#room === "used-up") return
    this.#reply.push(...Array.from(ids))
    yield* Array.from(ids)
  }

  /** Goes on from all that stands there. */
  async *#run(options: RunOptions): AsyncGenerator<number, void> {
    const { prompt, sampling, generate } = this.#options
    const maxTokens = this.#numLeft
    if (maxTokens < 1) this.#room = "used-up"
    if (this.#room === "used-up") return
    const run = generate(Int32Array.from([...prompt, ...this.#reply]), {
      ...options,
      sampling: { ...sampling, maxTokens },
    })
    this.#runs.push(run)
    for await (const id of run) {
      this.#reply.push(id)
      yield id
    }
  }
}
