// Step 6. Texts with a weight per token in, batches of a fixed number of rows out: one text after the other, each
// row's target the next id of its text. Knows ids; never what they say.

import { UserError } from "../util/errors.ts"
import type { TrainBatch } from "./train/batch.ts"

export interface Example {
  readonly ids: Int32Array
  /** [ids] How much predicting each id counts; the first is never predicted. */
  readonly weights: Float32Array
}

/** Collects examples until its rows are full. */
export class Packer {
  readonly #rows: number
  readonly #examples: Example[] = []
  #numRows = 0

  constructor(rows: number) {
    this.#rows = rows
  }

  get isFull(): boolean {
    return this.#numRows === this.#rows
  }

  get isEmpty(): boolean {
    return this.#numRows === 0
  }

  /** How many rows an example takes: its last id is only a target. */
  fits({ ids }: Example): boolean {
    return this.#numRows + ids.length - 1 <= this.#rows
  }

  /** Takes as much of the example as there is room for: a text's beginning is a text too. */
  add({ ids, weights }: Example): void {
    const length = Math.min(ids.length, this.#rows - this.#numRows + 1)
    if (length < 2) return
    this.#examples.push({ ids: ids.subarray(0, length), weights: weights.subarray(0, length) })
    this.#numRows += length - 1
  }

  /** Everything so far as one batch; begins anew. */
  take(): TrainBatch {
    const ids = new Int32Array(this.#numRows)
    const targets = new Int32Array(this.#numRows)
    const weights = new Float32Array(this.#numRows)
    const starts = new Int32Array(this.#examples.length + 1)
    let row = 0
    for (const [i, example] of this.#examples.entries()) {
      ids.set(example.ids.subarray(0, -1), row)
      targets.set(example.ids.subarray(1), row)
      weights.set(example.weights.subarray(1), row)
      row += example.ids.length - 1
      starts[i + 1] = row
    }
    for (let i = 0; i < row; i++) if (weights[i] === 0) targets[i] = -1
    this.#examples.length = this.#numRows = 0
    return { ids, targets, weights, starts }
  }
}

/** Whether a batch of so many rows has something to learn from it: a long question may leave no room for its answer. */
export function teaches({ weights }: Example, rows: number): boolean {
  return weights.subarray(1, rows + 1).some((weight) => weight > 0)
}

/** All that teach something, in order; none is cut, but for one longer than a whole batch. */
export function* packed(examples: Iterable<Example>, rows: number): Generator<TrainBatch> {
  const packer = new Packer(rows)
  for (const example of examples) {
    if (!teaches(example, rows)) continue
    if (!packer.fits(example) && !packer.isEmpty) yield packer.take()
    packer.add(example)
  }
  if (!packer.isEmpty) yield packer.take()
}

export function nothingToLearn(rows: number): UserError {
  return new UserError(
    "bad-argument",
    `no sample has anything to learn within ${rows} tokens: raise the stage's batchTokens`,
  )
}
