// Step 6. One sequence's logit bias and penalties: logits in, the same logits changed in place. Conventions as in
// vLLM and Transformers: the repetition penalty looks at prompt and output; presence and frequency at output only.

import type { Sampling } from "../types.ts"

export class Adjustments {
  readonly #biasIds: Int32Array
  readonly #biases: Float32Array
  readonly #penalties: Penalties | undefined

  private constructor(sampling: Sampling, penalties: Penalties | undefined) {
    const entries = Object.entries(sampling.logitBias ?? {})
    this.#biasIds = Int32Array.from(entries, ([id]) => Number(id))
    this.#biases = Float32Array.from(entries, ([, bias]) => bias)
    this.#penalties = penalties
  }

  /** Nothing where the sampling asks for neither: then no memory is taken. `size` is the tokenizer's. */
  static of(sampling: Sampling, prompt: Int32Array, size: number): Adjustments | undefined {
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias = {} } = sampling
    const penalised = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0
    if (!penalised && Object.keys(logitBias).length === 0) return undefined
    return new Adjustments(sampling, penalised ? new Penalties(sampling, prompt, size) : undefined)
  }

  /** Bias first, then penalties. */
  apply(logits: Float32Array): void {
    for (let i = 0; i < this.#biasIds.length; i++) logits[this.#biasIds[i]] += this.#biases[i]
    this.#penalties?.apply(logits)
  }

  /** Takes note of a generated id. */
  count(id: number): void {
    this.#penalties?.count(id)
  }
}

class Penalties {
  readonly #sampling: Sampling
  /** [size] 0: not seen; else 1 + how often it was generated. */
  readonly #marks: Int32Array
  /** [numSeen] The ids with a mark. */
  readonly #seen: Int32Array
  #numSeen = 0

  constructor(sampling: Sampling, prompt: Int32Array, size: number) {
    this.#sampling = sampling
    this.#marks = new Int32Array(size)
    this.#seen = new Int32Array(size)
    for (const id of prompt) this.#see(id)
  }

  apply(logits: Float32Array): void {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = this.#sampling
    for (let i = 0; i < this.#numSeen; i++) {
      const id = this.#seen[i]
      let logit = logits[id]
      logit = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty
      const times = this.#marks[id] - 1
      if (times > 0) logit -= presencePenalty + frequencyPenalty * times
      logits[id] = logit
    }
  }

  count(id: number): void {
    this.#see(id)
    this.#marks[id]++
  }

  /** Ids beyond the tokenizer's can be in a prompt but are never sampled, so they need no mark. */
  #see(id: number): void {
    if (id >= this.#marks.length || this.#marks[id] > 0) return
    this.#marks[id] = 1
    this.#seen[this.#numSeen++] = id
  }
}
