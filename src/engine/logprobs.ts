// Step 6. One row of logits as the model gave it, before bias, penalties, constraint, temperature and truncation, in;
// the logarithm of the probability of the id that was drawn from it, and of the most probable ones, out.

import { Candidates } from "./candidates.ts"
import { expNegative } from "./exp.ts"

/** Of one position of a reply. */
export interface IdLogprobs {
  id: number
  /** Natural logarithm of the probability. */
  logprob: number
  /** The most probable ids, best first. */
  top: readonly { id: number; logprob: number }[]
}

export class Logprobs {
  readonly #numTop: number
  readonly #candidates: Candidates
  /** [size] The latest row. */
  readonly #logits: Float32Array
  readonly #byPosition = new Map<number, IdLogprobs>()

  /** `size`: ids of the tokenizer; the rows of logits beyond are padding. */
  constructor(numTop: number, size: number) {
    this.#numTop = Math.min(numTop, size)
    this.#candidates = new Candidates(this.#numTop)
    this.#logits = new Float32Array(size)
  }

  /** Keeps a row that is about to be changed. */
  keep(logits: Float32Array): void {
    this.#logits.set(logits.subarray(0, this.#logits.length))
  }

  /** The id that was drawn at this position from the row kept last. */
  drawn(position: number, id: number): void {
    const logits = this.#logits
    const logSum = logSumExp(logits)
    this.#candidates.select(logits, logits.length, this.#numTop)
    const ids = [...this.#candidates.ids.subarray(0, this.#numTop)]
    const top = ids.map((candidate) => ({ id: candidate, logprob: logits[candidate] - logSum }))
    this.#byPosition.set(position, { id, logprob: logits[id] - logSum, top })
  }

  /** Nothing for ids that were not drawn, such as those that end a thought by force. Forgets what it gives. */
  take(position: number): IdLogprobs | undefined {
    const taken = this.#byPosition.get(position)
    this.#byPosition.delete(position)
    return taken
  }
}

/** ln(sum of e^x), in float64. */
function logSumExp(logits: Float32Array): number {
  let top = -Infinity
  for (let id = 0; id < logits.length; id++) if (logits[id] > top) top = logits[id]
  let sum = 0
  for (let id = 0; id < logits.length; id++) sum += expNegative(logits[id] - top)
  return top + Math.log(sum)
}
