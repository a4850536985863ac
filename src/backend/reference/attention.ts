// Step 5, reference backend. Writing keys and values, and causal attention over them: in full within a query's window,
// by their page's tier before it; over all of them, or over the blocks that a query chooses.

import { pagesBehind, pageTokens, selection } from "../backend.ts"
import type { Attention, BatchSequence, CodedTier, KvTier } from "../backend.ts"
import { rowOf } from "./dense.ts"
import type { Matrix } from "./dense.ts"
import { estimate, nearest, scanQuery } from "./estimate.ts"
import { rotate } from "./hadamard.ts"
import type { KvPages } from "./kv-pages.ts"
import type { Work } from "./run.ts"
import { allBlocks, codedPages, eachToken } from "./seen.ts"
import type { Blocks, Seen } from "./seen.ts"
import { chooseBlocks } from "./selection.ts"

const { fround } = Math

export function* storeKv(
  kv: KvPages,
  layer: number,
  k: Matrix,
  v: Matrix,
  slots: Int32Array,
  sequences: readonly BatchSequence[],
): Work {
  for (let row = 0; row < k.rows; row++) kv.write(layer, slots[row], rowOf(k, row), rowOf(v, row))
  yield
  for (const sequence of sequences)
    for (const [page, tier] of pagesToEncode(sequence, kv.window))
      for (let kvHead = 0; kvHead < kv.shape.kvHeads; kvHead++) {
        kv.encode(page, layer, kvHead, tier)
        yield
      }
}

/** Pages with a coded tier that this step's last query leaves behind and no query before this step did. */
function pagesToEncode(
  { numTokens, contextTokens, pages, tiers }: BatchSequence,
  window: number,
): [number, CodedTier][] {
  const due: [number, CodedTier][] = []
  const from = pagesBehind(contextTokens - numTokens - 1, window)
  for (let i = from; i < pagesBehind(contextTokens - 1, window); i++) {
    const tier = (tiers?.[i] ?? 0) as KvTier // checked when the step began
    if (tier !== 0) due.push([pages[i], tier])
  }
  return due
}

export function* attend(
  out: Matrix,
  q: Matrix,
  kv: KvPages,
  layer: number,
  sequences: readonly BatchSequence[],
  attention: Attention,
): Work {
  const { headDim, kvHeads } = kv.shape
  const width = q.columns / kvHeads
  for (const sequence of sequences)
    for (let token = 0; token < sequence.numTokens; token++) {
      const position = sequence.contextTokens - sequence.numTokens + token
      for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
        const group = (x: Matrix) =>
          headsOf(rowOf(x, sequence.firstRow + token).subarray(kvHead * width, (kvHead + 1) * width), headDim)
        const seen = { kv, layer, kvHead, sequence, position }
        const chooses = attention === "selective" && position >= (sequence.selectiveFrom ?? Infinity)
        const blocks = chooses ? yield* chosenBlocks(group(q), seen) : allBlocks(seen)
        const queries = group(q)
        for (const [head, sum] of group(out).entries()) yield* attendHead(sum, queries[head], seen, blocks)
      }
    }
}

function headsOf(row: Float32Array, headDim: number): Float32Array[] {
  return Array.from({ length: row.length / headDim }, (_, head) =>
    row.subarray(head * headDim, (head + 1) * headDim),
  )
}

function* attendHead(out: Float32Array, q: Float32Array, seen: Seen, blocks: Blocks): Work {
  const weights = yield* logitsOf(q, seen, blocks)
  softmax(weights)
  const wholes = yield* valueWeights(weights, seen, blocks)
  const [plain, rotated] = [new Float64Array(out.length), new Float64Array(out.length)]
  yield* eachToken(seen, blocks, "value", (token, { values, coded }, start) => {
    for (let i = 0; i < out.length; i++) {
      if (!coded) plain[i] += weights[token] * values[start + i]
      else {
        const half = i < out.length / 2 ? 0 : 1
        const step = coded.steps[2 * (token % pageTokens) + half]
        const level = step === 0 ? 0 : (values[start + i] - coded.mean[i]) / step
        rotated[i] += weights[token] * coded.mean[i] + wholes[half][token] * level
      }
    }
  })
  const turnedBack = rotate(Float32Array.from(rotated))
  for (let i = 0; i < out.length; i++) out[i] = plain[i] + turnedBack[i]
}

/** Of tokens in codes, for either half of the channels: weights times the values' steps, rounded page by page. */
function* valueWeights(
  weights: Float64Array,
  seen: Seen,
  blocks: Blocks,
): Generator<void, [lower: Float64Array, upper: Float64Array]> {
  const halves: [Float64Array, Float64Array] = [weights.slice().fill(0), weights.slice().fill(0)]
  yield* eachToken(seen, blocks, "value", (token, { coded }) => {
    const place = token % pageTokens
    for (const i of [0, 1]) if (coded) halves[i][token] = weights[token] * coded.steps[2 * place + i]
  })
  for (const half of halves)
    for (let page = 0; page < half.length; page += pageTokens)
      half.set(roundToWholes(half.subarray(page, page + pageTokens)), page)
  return halves
}

/** Of the tokens of those blocks; nothing has minus infinity. */
function* logitsOf(q: Float32Array, seen: Seen, blocks: Blocks): Generator<void, Float64Array> {
  const logits = new Float64Array(seen.position + 1).fill(-Infinity)
  const scaled = scaledQuery(q)
  const rotated = rotate(scaled.slice())
  const wholes = roundToWholes(rotated)
  yield* eachToken(seen, blocks, "key", (token, { values, coded }, start) => {
    let sum = 0
    for (let i = 0; i < q.length; i++)
      sum += coded
        ? rotated[i] * coded.mean[i] + wholes[i] * (values[start + i] - coded.mean[i])
        : scaled[i] * values[start + i]
    logits[token] = sum
  })
  return logits
}

function scaledQuery(q: Float32Array): Float32Array {
  const scale = fround(1 / fround(q.length ** 0.5))
  return q.map((x) => x * scale)
}

/** What meets codes are whole numbers of 16 bits: their products are exact in any order. */
const mostWhole = 32639

/** Multiples of the largest one's part in `mostWhole`, ties to even. */
function roundToWholes(x: ArrayLike<number>): Float64Array {
  let largest = 0
  for (let i = 0; i < x.length; i++) largest = Math.max(largest, Math.abs(x[i]))
  if (!(largest > 1e-30)) return new Float64Array(x.length) // its reciprocal would overflow
  const inverse = fround(mostWhole / fround(largest))
  return Float64Array.from(x, (each) => (nearest(fround(fround(each) * inverse)) * largest) / mostWhole)
}

/** What the queries of a key/value head read, all that is not in codes included. */
function* chosenBlocks(queries: readonly Float32Array[], seen: Seen): Generator<void, Blocks> {
  const { kv, layer, kvHead, sequence } = seen
  const blocks = allBlocks(seen)
  const coded = codedPages(seen)
  if (coded.length * pageTokens <= selection.most) return blocks
  for (const { index } of coded) blocks[index] = 0
  const others: number[] = []
  for (const q of queries) others.push(log2OfSum(yield* logitsOf(q, seen, blocks)))
  const scan = queries.map((q) => scanQuery(rotate(scaledQuery(q))))
  const estimates = scan.map((): ReturnType<typeof estimate>[] => [])
  for (const { index, tier } of coded) {
    const sketch = kv.sketch(sequence.pages[index], layer, kvHead, tier)
    scan.forEach((query, head) => estimates[head].push(estimate(query, sketch)))
    yield
  }
  const choice = chooseBlocks(estimates, others)
  kv.countChoice(choice)
  if (choice.blocks === "all") return allBlocks(seen)
  const perPage = pageTokens / selection.blockTokens
  for (const block of choice.blocks)
    blocks[coded[Math.floor(block / perPage)].index] |= 1 << (block % perPage)
  return blocks
}

/** log2 of the sum of exp(x). */
function log2OfSum(x: Float64Array): number {
  const largest = x.reduce((a, b) => Math.max(a, b), -Infinity)
  const sum = x.reduce((all, each) => all + Math.exp(each - largest), 0)
  return largest * Math.LOG2E + Math.log2(sum)
}

/** In place; the largest is taken off first so that exp cannot overflow. */
export function softmax(x: Float64Array): void {
  const largest = x.reduce((a, b) => Math.max(a, b), -Infinity)
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i] = Math.exp(x[i] - largest)
  for (let i = 0; i < x.length; i++) x[i] /= sum
}
