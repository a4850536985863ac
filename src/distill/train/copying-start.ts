// Step 6. New parameters in, the same with an induction head in their first two layers: attention that looks for what
// followed the present token before, and says it again (Olsson et al. 2022). A small model trained from random attention
// needs tens of millions of tokens to find it, and copies nothing until then; so it begins with it, in the manner of
// mimetic initialisation (Trockman and Kolter 2023), and training may keep it or not.

import type { ModelConfig } from "../../model/config.ts"
import { rotaryEmbedding } from "../../model/rope.ts"
import { embeddingName, layerNames } from "../../model/tensors.ts"
import { assert } from "../../util/errors.ts"
import { embeddingSpread } from "./parameters.ts"
import type { Parameters } from "./parameters.ts"

/** Query heads of the first key head that look; the others stay as they are. */
const numHeads = 2
/** Every embedding has this much, of its spread, in its last dimension: what depends on distance alone needs it. */
const constant = 4
/** Of the previous-token head's weights on it: far above the random ones beside them. */
const pull = 4
/** Of q_norm and k_norm: scores of up to gain^2 * sqrt(head_dim). */
const gain = 1.5
/** Of the match head's keys above the random rows beside them. */
const keyGain = 4
/** How strongly what is found is said: somewhat louder than the present token. */
const loudness = 1.5

export function startCopying(parameters: Parameters, config: ModelConfig): void {
  const { heads, kvHeads, layers } = config
  assert(
    layers >= 2 && heads / kvHeads >= numHeads,
    "copying takes two layers and two query heads to a key head",
  )
  markEmbeddings(parameters, config)
  previousTokenHead(parameters, config)
  matchHead(parameters, config)
}

function markEmbeddings(parameters: Parameters, { hidden, vocab }: ModelConfig): void {
  const embedding = parameters.value(embeddingName)
  for (let id = 0; id < vocab; id++) embedding[id * hidden + hidden - 1] = constant * embeddingSpread
}

/** Layer 0: keys with a constant in the fast pairs, queries with the same turned back by one position. */
function previousTokenHead(parameters: Parameters, config: ModelConfig): void {
  const { hidden, headDim } = config
  const { q, k, qNorm, kNorm } = attentionOf(parameters, 0)
  const { frequencies } = rotaryEmbedding(config)
  const half = headDim / 2
  const add = (to: typeof q, row: number, value: number) => (to[(row + 1) * hidden - 1] += value)
  for (let pair = 0; pair < headDim / 16; pair++) {
    add(k, pair, pull)
    for (let head = 0; head < numHeads; head++) {
      add(q, head * headDim + pair, pull * Math.cos(frequencies[pair]))
      add(q, head * headDim + half + pair, -pull * Math.sin(frequencies[pair]))
    }
  }
  for (const norm of [qNorm, kNorm]) norm.fill(gain)
}

/**
 * Layer 1: queries see the present token as layer 0's values do, keys what layer 0 wrote of the previous one, read by
 * the transpose of what wrote it; in the slow pairs, which hardly turn. What is found is written as it was embedded.
 */
function matchHead(parameters: Parameters, config: ModelConfig): void {
  const { hidden, headDim, heads } = config
  const [before, here] = [attentionOf(parameters, 0), attentionOf(parameters, 1)]
  const half = headDim / 2
  const wide = heads * headDim
  const slowPairs = Array.from({ length: (7 * half) / 16 }, (_, i) => half - 1 - i)
  const slow = slowPairs.flatMap((pair) => [pair, pair + half])
  // The transpose is the inverse but for the length of the columns.
  let square = 0
  for (let i = 0; i < hidden; i++) square += before.out[i * wide] ** 2
  for (let head = 0; head < numHeads; head++)
    here.q.fill(0, head * headDim * hidden, (head + 1) * headDim * hidden)
  slow.forEach((row, i) => {
    for (let j = 0; j < hidden; j++) {
      const seen = before.v[i * hidden + j]
      for (let head = 0; head < numHeads; head++) here.q[(head * headDim + row) * hidden + j] = seen
      here.k[row * hidden + j] =
        (keyGain * (before.out[j * wide + i] + before.out[j * wide + headDim + i])) / (2 * square)
    }
  })
  for (let head = 0; head < numHeads; head++)
    for (let i = 0; i < headDim; i++)
      for (let j = 0; j < hidden; j++)
        here.out[j * wide + head * headDim + i] = (loudness / numHeads) * here.v[i * hidden + j]
  for (const norm of [here.qNorm, here.kNorm]) norm.fill(gain)
}

function attentionOf(parameters: Parameters, layer: number) {
  const names = layerNames(layer)
  const [q, k, v, out, qNorm, kNorm] = [names.q, names.k, names.v, names.out, names.qNorm, names.kNorm].map(
    (name) => parameters.value(name),
  )
  return { q, k, v, out, qNorm, kNorm }
}
