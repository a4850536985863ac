// Step 6. Causal grouped-query attention over packed sequences and its gradients in float64, one query at a time: the
// oracle of the blocked kernels.

import type { AttentionDone, AttentionGradients, AttentionShape, Values } from "./ops.ts"

/** One query: which head of which row, where its values and those of its keys lie. */
interface Query {
  /** Of lse. */
  index: number
  /** Of q and out. */
  at: number
  first: number
  last: number
  /** Where key or value `row` begins. */
  key(row: number): number
}

function eachQuery({ heads, kvHeads, headDim, starts }: AttentionShape, visit: (query: Query) => void): void {
  for (let s = 0; s + 1 < starts.length; s++)
    for (let row = starts[s]; row < starts[s + 1]; row++)
      for (let head = 0; head < heads; head++) {
        const kvHead = Math.floor((head * kvHeads) / heads)
        const index = row * heads + head
        const key = (other: number) => (other * kvHeads + kvHead) * headDim
        visit({ index, at: index * headDim, first: starts[s], last: row, key })
      }
}

function dot(a: Values, from: number, b: Values, other: number, n: number): number {
  let sum = 0
  for (let i = 0; i < n; i++) sum += a[from + i] * b[other + i]
  return sum
}

function addScaled(y: Values, to: number, scale: number, x: Values, from: number, n: number): void {
  for (let i = 0; i < n; i++) y[to + i] += scale * x[from + i]
}

export function attend(
  out: Values,
  lse: Values,
  q: Values,
  k: Values,
  v: Values,
  shape: AttentionShape,
): void {
  const d = shape.headDim
  out.fill(0)
  eachQuery(shape, ({ index, at, first, last, key }) => {
    const scores = new Float64Array(last + 1 - first)
    for (let row = first; row <= last; row++) scores[row - first] = dot(q, at, k, key(row), d) / Math.sqrt(d)
    const largest = scores.reduce((most, score) => Math.max(most, score), -Infinity)
    const total = scores.reduce((sum, score) => sum + Math.exp(score - largest), 0)
    lse[index] = largest + Math.log(total)
    for (let row = first; row <= last; row++)
      addScaled(out, at, Math.exp(scores[row - first] - lse[index]), v, key(row), d)
  })
}

export function attendBack(
  { dq, dk, dv }: AttentionGradients,
  dOut: Values,
  { out, lse, q, k, v }: AttentionDone,
  shape: AttentionShape,
): void {
  const d = shape.headDim
  const scale = 1 / Math.sqrt(d)
  for (const gradient of [dq, dk, dv]) gradient.fill(0)
  eachQuery(shape, ({ index, at, first, last, key }) => {
    const mean = dot(dOut, at, out, at, d)
    for (let row = first; row <= last; row++) {
      const weight = Math.exp(dot(q, at, k, key(row), d) * scale - lse[index])
      const dScore = weight * (dot(dOut, at, v, key(row), d) - mean) * scale
      addScaled(dv, key(row), weight, dOut, at, d)
      addScaled(dq, at, dScore, k, key(row), d)
      addScaled(dk, key(row), dScore, q, at, d)
    }
  })
}
