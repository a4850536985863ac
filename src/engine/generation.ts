// Step 6. The reader's end of a sequence: an async iterator of generated ids, and what there is to say at the end.
// Work begins at the first `next`; leaving early (`break`, `return`) cancels and waits until the pages are free.

import type { Usage } from "../types.ts"
import type { IdLogprobs } from "./logprobs.ts"
import type { Sequence } from "./sequence.ts"
import type { ThoughtState } from "./thought.ts"

export class Generation implements AsyncIterableIterator<number> {
  readonly #sequence: Sequence
  readonly #begin: () => void
  readonly #cancel: () => void
  #state: "new" | "begun" | "over" = "new"
  #numRead = 0

  constructor(sequence: Sequence, begin: () => void, cancel: () => void) {
    this.#sequence = sequence
    this.#begin = begin
    this.#cancel = cancel
  }

  /** Why it ended; undefined while it goes on and after a failure. */
  get finishReason(): "stop" | "length" | undefined {
    return this.#sequence.finishReason
  }

  /** The id that ended the reply, which is not among those read. */
  get stopId(): number | undefined {
    const { finishReason, tokens, numTokens } = this.#sequence
    return finishReason === "stop" ? tokens[numTokens - 1] : undefined
  }

  get thought(): ThoughtState {
    return this.#sequence.thought?.state ?? "none"
  }

  /** What it took so far; the id that ended the reply counts as one of it. */
  get usage(): Usage {
    const { numPrompt, numCached, numGenerated, thought, prefillMs, decodeMs, kv } = this.#sequence
    return {
      promptTokens: numPrompt,
      cachedTokens: numCached,
      completionTokens: numGenerated,
      reasoningTokens: thought?.numTokens ?? 0,
      prefillMs,
      decodeMs,
      ...(kv && { kv }),
    }
  }

  /** Of the id read last, where they were asked for and it was drawn; can be taken once. */
  takeLogprobs(): IdLogprobs | undefined {
    return this.#sequence.logprobs?.take(this.#sequence.numPrompt + this.#numRead - 1)
  }

  async next(): Promise<IteratorResult<number, undefined>> {
    const sequence = this.#sequence
    if (this.#state === "new") {
      this.#state = "begun"
      this.#begin()
    }
    while (this.#state === "begun") {
      if (sequence.error) {
        this.#state = "over"
        throw sequence.error
      }
      if (this.#numRead < sequence.numReadable) {
        return { value: sequence.tokens[sequence.numPrompt + this.#numRead++], done: false }
      }
      if (sequence.status === "ended") this.#state = "over"
      else await sequence.changed()
    }
    return { value: undefined, done: true }
  }

  async return(): Promise<IteratorResult<number, undefined>> {
    const hasBegun = this.#state === "begun"
    this.#state = "over"
    if (hasBegun) {
      this.#cancel()
      while (this.#sequence.status === "live") await this.#sequence.changed()
    }
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
