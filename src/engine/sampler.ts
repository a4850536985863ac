// Step 6. One row of logits and a `Sampling` in, one id out. The order is that of Transformers: bias and penalties
// (adjustments.ts), temperature, top-k, top-p, min-p, draw. Knows ids; never text, never tensors.

import type { Sampling } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { Candidates } from "./candidates.ts"
import { expNegative } from "./exp.ts"
import type { Random } from "./random.ts"

/** With top-p or min-p alone it is not known how many will be kept: this many are tried first. */
const firstCandidates = 64
/** The bits of float32 infinity; those of NaN are larger still. */
const infinityBits = 0x7f800000

export class Sampler {
  /** Ids from here on are padding rows of the embedding and are never sampled. */
  readonly #size: number
  readonly #candidates: Candidates
  /** Unnormalised probabilities, 1 for the best: of the candidates, or of all ids. */
  readonly #weights: Float64Array

  constructor(size: number) {
    this.#size = size
    this.#candidates = new Candidates(size)
    this.#weights = new Float64Array(size)
  }

  sample(logits: Float32Array, sampling: Sampling, random: Random): number {
    const best = bestOf(logits, this.#size)
    const { temperature, topK, topP, minP } = sampling
    if (temperature === 0) return best
    if (topK === 0 && topP === 1 && minP === 0) {
      return draw(this.#weights, this.#weighAll(logits, logits[best], temperature), random)
    }
    const sum = this.#keep(logits, logits[best], sampling)
    return this.#candidates.ids[draw(this.#weights, sum, random)]
  }

  /** The id that `sample` draws, from the largest logits alone, best first, topK of them or more; one is enough at temperature 0. */
  sampleLargest(ids: Float32Array, logits: Float32Array, sampling: Sampling, random: Random): number {
    const { temperature, topK, topP, minP } = sampling
    if (temperature === 0) return ids[0]
    const k = Math.min(topK, ids.length)
    const all = weigh(logits, k, logits[0], temperature, this.#weights)
    const kept = cut(this.#weights, k, topP < 1 ? topP * all : Infinity, minP)
    return ids[draw(this.#weights, sumOf(this.#weights, kept), random)]
  }

  /** Fills candidates and weights, best first; returns the weight of those that pass top-k, top-p and min-p. */
  #keep(logits: Float32Array, top: number, sampling: Sampling): number {
    const { temperature, topK, topP, minP } = sampling
    const most = topK > 0 ? Math.min(topK, this.#size) : this.#size
    // The nucleus is a share of what top-k left; of everything where there is no top-k.
    const all = topK === 0 && topP < 1 ? this.#weighAll(logits, top, temperature) : 0
    for (let k = topK > 0 ? most : Math.min(firstCandidates, most); ; k = Math.min(16 * k, most)) {
      this.#candidates.select(logits, this.#size, k)
      const sum = weigh(this.#candidates.logits, k, top, temperature, this.#weights)
      const kept = cut(this.#weights, k, topP < 1 ? topP * (all || sum) : Infinity, minP)
      if (kept < k || k === most) return sumOf(this.#weights, kept)
    }
  }

  #weighAll(logits: Float32Array, top: number, temperature: number): number {
    return weigh(logits, this.#size, top, temperature, this.#weights)
  }
}

/** The id of the largest logit, the lowest of equals; refuses a row that is not all finite. */
function bestOf(logits: Float32Array, size: number): number {
  const bits = new Int32Array(logits.buffer, logits.byteOffset, size)
  let best = 0
  let top = logits[0]
  let largest = 0
  for (let id = 0; id < size; id++) {
    if (logits[id] > top) top = logits[(best = id)]
    const magnitude = bits[id] & 0x7fffffff
    if (magnitude > largest) largest = magnitude
  }
  if (largest >= infinityBits) throw notFinite(logits, size)
  return best
}

function notFinite(logits: Float32Array, size: number): UserError {
  const id = logits.subarray(0, size).findIndex((logit) => !Number.isFinite(logit))
  const what = `the model's logit of id ${id} is ${logits[id]}, not a finite number`
  return new UserError("bad-file", `${what}: check the weights with "a3b verify"`)
}

/** weights[i] = exp((values[i] - top) / temperature); returns their sum. */
function weigh(
  values: Float32Array,
  count: number,
  top: number,
  temperature: number,
  weights: Float64Array,
): number {
  let sum = 0
  for (let i = 0; i < count; i++) sum += weights[i] = expNegative((values[i] - top) / temperature)
  return sum
}

/** How many of the descending weights are kept: each starts below the nucleus's mass and is at least minP. */
function cut(weights: Float64Array, count: number, mass: number, minP: number): number {
  let before = weights[0]
  let kept = 1
  while (kept < count && before < mass && weights[kept] >= minP) before += weights[kept++]
  return kept
}

function sumOf(weights: Float64Array, count: number): number {
  let sum = 0
  for (let i = 0; i < count; i++) sum += weights[i]
  return sum
}

/** An index drawn in proportion to weights that add up, in this order, to `sum`: so the walk ends before it. */
function draw(weights: Float64Array, sum: number, random: Random): number {
  const target = random.next() * sum
  let i = 0
  for (let upTo = weights[0]; upTo <= target; upTo += weights[i]) i++
  return i
}
