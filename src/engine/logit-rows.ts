// Steps 5 and 6. Which of a step's logits leave the backend: the few largest of each row where no sequence needs more,
// whole rows for those that change logits, want probabilities, or draw from all of them.

import type { Backend, Tensor } from "../backend/backend.ts"
import { maxLargest } from "../backend/backend.ts"
import { assert } from "../util/errors.ts"
import type { Sequence } from "./sequence.ts"

export interface LargestLogits {
  /** [k] Best first. */
  ids: Float32Array
  /** [k] */
  logits: Float32Array
}

export class LogitRows {
  readonly #backend: Pick<Backend, "read" | "largest">
  /** Ids from here on are padding. */
  readonly #size: number
  #logits: Tensor | undefined
  #largest: Tensor | undefined
  /** [rows, vocab] and [rows, 2 k] of the step, once they were asked for. */
  #whole: Float32Array | undefined
  #found: Float32Array | undefined
  /** What `#whole` lies in; the next step reads into it again. */
  #room = new Float32Array(0)

  constructor(backend: Pick<Backend, "read" | "largest">, size: number) {
    this.#backend = backend
    this.#size = size
  }

  /** Within a step, when its logits [rows, vocab] are recorded: what these sequences draw from. */
  record(logits: Tensor, sequences: readonly Sequence[]): void {
    this.#logits = logits
    this.#whole = this.#found = undefined
    const k = Math.max(0, ...sequences.map((sequence) => numDrawnFrom(sequence, this.#size)))
    this.#largest = k > 0 && logits.rows > 0 ? this.#backend.largest(logits, this.#size, k) : undefined
  }

  /** After the step: what the sequence draws this row's id from, where that is few; not where a logit is not finite. */
  largest(row: number, sequence: Sequence): LargestLogits | undefined {
    if (!this.#largest || numDrawnFrom(sequence, this.#size) === 0) return undefined
    const found = (this.#found ??= this.#backend.read(this.#largest))
    const k = this.#largest.columns / 2
    const [ids, logits] = [0, 1].map((i) => found.subarray((2 * row + i) * k, (2 * row + i + 1) * k))
    return ids[0] >= 0 ? { ids, logits } : undefined
  }

  /** After the step: all logits of a row, which may be changed and are valid until the next step. */
  whole(row: number): Float32Array {
    assert(this.#logits, "a row before any step")
    const { columns } = this.#logits
    this.#whole ??= this.#readWhole(this.#logits)
    return this.#whole.subarray(row * columns, (row + 1) * columns)
  }

  #readWhole(logits: Tensor): Float32Array {
    const size = logits.rows * logits.columns
    if (this.#room.length < size) this.#room = new Float32Array(size)
    return this.#backend.read(logits, this.#room.subarray(0, size))
  }
}

/** Of how many of the largest of `size` logits the sequence's next id is drawn; 0 where it needs all. */
function numDrawnFrom(sequence: Sequence, size: number): number {
  const { wants, adjustments, constrained, logprobs, sampling } = sequence
  if (wants === "every" || adjustments || constrained || logprobs) return 0
  if (sampling.temperature === 0) return 1
  return sampling.topK <= maxLargest ? Math.min(sampling.topK, size) : 0
}
