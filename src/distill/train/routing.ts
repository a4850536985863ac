// Step 6. Router logits in, the experts of every row out, rows sorted by expert, and the way back with the
// load-balancing loss. Plain loops over few values, the same for all kinds of ops.

import type { Values } from "./ops.ts"

export interface RouteShape {
  rows: number
  experts: number
  topK: number
  /** Whether a row's weights are made to sum to 1. */
  normalise: boolean
}

export interface Routing {
  /** [rows, experts] softmax of the logits */
  probabilities: Values
  /** [rows, topK] the most probable experts, best first; ties go to the lower one */
  choices: Int32Array
  /** [rows, topK] */
  weights: Values
  /** [rows, topK] where a choice's row lies among the sorted ones */
  places: Int32Array
  /** [rows * topK] the row that each sorted one was */
  sources: Int32Array
  /** First sorted row of every expert, and the end. */
  groups: Int32Array
}

/** `probabilities` and `weights` are filled in. */
export function route(logits: Values, probabilities: Values, weights: Values, shape: RouteShape): Routing {
  const choices = new Int32Array(shape.rows * shape.topK)
  for (let row = 0; row < shape.rows; row++) {
    softmax(logits, probabilities, row * shape.experts, shape.experts)
    choose(probabilities, row, choices, shape)
    weigh(probabilities, row, choices, weights, shape)
  }
  return { probabilities, weights, choices, ...sortByExpert(choices, shape) }
}

function softmax(x: Values, out: Values, from: number, n: number): void {
  let largest = -Infinity
  for (let i = from; i < from + n; i++) largest = Math.max(largest, x[i])
  let sum = 0
  for (let i = from; i < from + n; i++) sum += Math.exp(x[i] - largest)
  for (let i = from; i < from + n; i++) out[i] = Math.exp(x[i] - largest) / sum
}

/** Insertion into the best so far: a later expert must be better, not equal. */
function choose(p: Values, row: number, choices: Int32Array, { experts, topK }: RouteShape): void {
  const at = row * experts
  const first = row * topK
  for (let expert = 0; expert < experts; expert++) {
    let place = Math.min(expert, topK)
    for (; place > 0 && p[at + expert] > p[at + choices[first + place - 1]]; place--)
      if (place < topK) choices[first + place] = choices[first + place - 1]
    if (place < topK) choices[first + place] = expert
  }
}

function weigh(p: Values, row: number, choices: Int32Array, weights: Values, shape: RouteShape): void {
  const { experts, topK, normalise } = shape
  let sum = 0
  for (let i = row * topK; i < (row + 1) * topK; i++) sum += p[row * experts + choices[i]]
  for (let i = row * topK; i < (row + 1) * topK; i++)
    weights[i] = p[row * experts + choices[i]] / (normalise ? sum : 1)
}

function sortByExpert(choices: Int32Array, { experts, topK }: RouteShape) {
  const groups = new Int32Array(experts + 1)
  for (const expert of choices) groups[expert + 1]++
  for (let expert = 0; expert < experts; expert++) groups[expert + 1] += groups[expert]
  const next = groups.slice()
  const places = choices.map((expert) => next[expert]++)
  const sources = new Int32Array(choices.length)
  for (let i = 0; i < choices.length; i++) sources[places[i]] = Math.floor(i / topK)
  return { groups, places, sources }
}

/** Share of the choices that fell on each expert. */
function loads({ groups }: Routing, { rows, topK }: RouteShape): Float64Array {
  return Float64Array.from(groups.subarray(1), (end, expert) => (end - groups[expert]) / (rows * topK))
}

/** experts * sum of share * mean probability (Fedus et al. 2021): 1 where all experts are equally busy. */
export function balanceLoss(routing: Routing, shape: RouteShape): number {
  const { rows, experts } = shape
  const share = loads(routing, shape)
  let sum = 0
  for (let i = 0; i < rows * experts; i++) sum += share[i % experts] * routing.probabilities[i]
  return (sum * experts) / rows
}

/**
 * The gradient of the logits from that of the weights, plus `balance` times that of the balance loss, whose shares
 * count as constants.
 */
export function routeBack(
  dLogits: Values,
  dWeights: Values,
  routing: Routing,
  shape: RouteShape,
  balance: number,
): void {
  const { rows, experts } = shape
  const pull = loads(routing, shape).map((share) => (balance * experts * share) / rows)
  const dP = new Float64Array(experts)
  for (let row = 0; row < rows; row++) {
    dP.set(pull)
    addChosen(dP, row, dWeights, routing, shape)
    const p = routing.probabilities.subarray(row * experts, (row + 1) * experts)
    let mean = 0
    for (let i = 0; i < experts; i++) mean += dP[i] * p[i]
    for (let i = 0; i < experts; i++) dLogits[row * experts + i] = p[i] * (dP[i] - mean)
  }
}

/** What a row's weights hand on to the probabilities of its experts. */
function addChosen(
  dP: Float64Array,
  row: number,
  dWeights: Values,
  routing: Routing,
  shape: RouteShape,
): void {
  const { choices, weights, probabilities } = routing
  const { experts, topK, normalise } = shape
  let mean = 0
  let sum = 0
  for (let i = row * topK; i < (row + 1) * topK; i++) {
    mean += dWeights[i] * weights[i]
    sum += probabilities[row * experts + choices[i]]
  }
  for (let i = row * topK; i < (row + 1) * topK; i++)
    dP[choices[i]] += normalise ? (dWeights[i] - mean) / sum : dWeights[i]
}
