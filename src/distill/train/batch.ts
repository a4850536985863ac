// Step 6. Packed rows of several sequences to learn from, checked, and what is reported of them. Knows ids; never text
// or parameters.

import { assert } from "../../util/errors.ts"

/** Rows of sequences, one after the other. */
export interface TrainBatch {
  /** [rows] */
  ids: Int32Array
  /** [rows] the id that shall follow; -1: none */
  targets: Int32Array
  /** [rows] how much a row's loss counts */
  weights: Float32Array
  /** First row of every sequence, and the end. */
  starts: Int32Array
}

/** What was learned from a batch. */
export interface Outcome {
  /** Weighted mean of cross-entropy or divergence, in nats. */
  loss: number
  /** Rows that were learned from. */
  tokens: number
  /** Mean of the layers' load-balancing losses; 1 where all experts are equally busy. */
  auxiliary: number
  /** Rows of each layer's experts, [layers][experts]. */
  load: Int32Array[]
}

export interface StepReport extends Outcome {
  /** From 1. */
  step: number
  /** Before clipping. */
  gradientNorm: number
}

/** The rows that are learned from. */
export interface Lessons {
  rows: Int32Array
  targets: Int32Array
  /** Sum 1. */
  weights: Float64Array
}

export function checkBatch(
  { ids, targets, weights, starts }: TrainBatch,
  vocab: number,
  maxPositions: number,
): void {
  const rows = ids.length
  assert(targets.length === rows && weights.length === rows, `${rows} ids, other targets or weights`)
  assert(starts[0] === 0 && starts[starts.length - 1] === rows, `sequences do not cover the ${rows} rows`)
  for (let i = 0; i + 1 < starts.length; i++) {
    const length = starts[i + 1] - starts[i]
    assert(length > 0 && length <= maxPositions, `sequence ${i} has ${length} rows of ${maxPositions}`)
  }
  for (let row = 0; row < rows; row++) {
    assert(ids[row] >= 0 && ids[row] < vocab, `id ${ids[row]} of ${vocab}`)
    assert(targets[row] >= -1 && targets[row] < vocab, `target ${targets[row]} of ${vocab}`)
    assert(weights[row] >= 0, `weight ${weights[row]}`)
  }
}

export function positions(starts: Int32Array): Int32Array {
  const places = new Int32Array(starts[starts.length - 1])
  for (let i = 0; i + 1 < starts.length; i++)
    for (let row = starts[i]; row < starts[i + 1]; row++) places[row] = row - starts[i]
  return places
}

/** Rows of weight and target, weights as shares of their sum. */
export function lessons({ targets, weights }: TrainBatch): Lessons {
  const rows = Int32Array.from(targets.keys()).filter((row) => targets[row] >= 0 && weights[row] > 0)
  const total = rows.reduce((sum, row) => sum + weights[row], 0)
  return {
    rows,
    targets: rows.map((row) => targets[row]),
    weights: Float64Array.from(rows, (row) => weights[row] / total),
  }
}
