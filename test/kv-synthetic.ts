// Keys, queries and values in the likeness of a trained model's, made up for tests of compressed pages, and the
// measures taken on them, in float64. Shares no code with the package.

import { softmax } from "./formulas.ts"

export type Rows = Float64Array[]

export function gaussian(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

export function rowsOf(count: number, width: number, value: (row: number, i: number) => number): Rows {
  return Array.from({ length: count }, (_, row) =>
    Float64Array.from({ length: width }, (_, i) => value(row, i)),
  )
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

/** Entry of the orthonormal Hadamard matrix in Sylvester's order: the parity of the bits that both indices share. */
export function hadamard(row: number, column: number, size: number): number {
  let shared = row & column
  let sign = 1
  for (; shared > 0; shared &= shared - 1) sign = -sign
  return sign / Math.sqrt(size)
}

/** The matrix halves into sums and differences of halves, again and again. */
export function rotated(rows: Rows): Rows {
  return rows.map((row) => {
    const out = row.slice()
    for (let width = 1; width < out.length; width *= 2)
      for (let i = 0; i < out.length; i++) {
        if ((i & width) !== 0) continue
        const [a, b] = [out[i], out[i + width]]
        out[i] = a + b
        out[i + width] = a - b
      }
    return out.map((value) => value / Math.sqrt(out.length))
  })
}

export function scaled(rows: Rows, by: ArrayLike<number>): Rows {
  return rows.map((row) => row.map((value, i) => value * by[i]))
}

function unitRms(row: Float64Array): Float64Array {
  const rms = Math.sqrt(dot(row, row) / row.length)
  return row.map((value) => value / rms)
}

/** Rotary embedding with base 10^7. */
export function turned(row: Float64Array, position: number): Float64Array {
  const half = row.length / 2
  return row.map((value, i) => {
    const angle = position * 1e7 ** (-(i % half) / half)
    return value * Math.cos(angle) + (i < half ? -row[i + half] : row[i - half]) * Math.sin(angle)
  })
}

/** How the outlier channels of queries go with those of keys. */
export type Outliers = "opposed" | "independent" | "together"

export interface Head {
  /** [32][128], which stand where the last key does */
  queries: Rows
  /** [tokens][128] */
  keys: Rows
  queryNorm: Float32Array
  keyNorm: Float32Array
}

/**
 * A head of 128 channels: topics of 32 tokens each, log-normal norm weights with six outliers of 4 to 10 among the slow
 * pairs, a bias there, and queries so sharp that the largest logit lies 14 above the median.
 */
export function makeHead(random: () => number, tokens: number, outliers: Outliers): Head {
  const [size, half] = [128, 64]
  const normal = () => gaussian(random)
  const topics = rowsOf(64, size, normal)
  const topicOf = Array.from({ length: tokens / 32 }, () => Math.floor(random() * 64))
  const topic = (token: number) => topics[topicOf[token >> 5]]
  const [keyNorm, queryNorm] = [0, 1].map(() =>
    Float32Array.from({ length: size }, () => Math.exp(0.25 * normal())),
  )
  const bias = new Float64Array(size)
  for (const pair of drawn(random, 36, 64, 6)) {
    const by = 4 + 6 * random()
    const [one, other] = random() < 0.5 ? [pair, pair + half] : [pair + half, pair]
    keyNorm[one] *= by
    keyNorm[other] *= by ** 0.5
    if (outliers === "together") queryNorm[one] *= by ** 0.7
    if (outliers === "opposed") {
      queryNorm[one] *= by ** -0.8
      queryNorm[other] *= by ** -0.4
    }
    bias[pair] = random() < 0.5 ? 1.5 : -1.5
  }
  const raw = rowsOf(tokens, size, (token, i) => 0.8 * topic(token)[i] + normal())
  const keys = raw.map((row, token) =>
    turned(scaled([unitRms(row.map((x, i) => x + bias[i]))], keyNorm)[0], token),
  )
  const plain = Array.from({ length: 32 }, () => {
    const token = Math.floor(random() * tokens)
    const seen = raw[token].map((x, i) => 0.8 * topic(token)[i] + 0.5 * x + normal() + 0.3 * bias[i])
    return turned(scaled([unitRms(seen)], queryNorm)[0], tokens - 1)
  })
  const spread = median(plain.map((query) => spreadOf(logitsOf(query, keys))))
  const queries = plain.map((query) => query.map((x) => (x * 14) / spread))
  return { queries, keys, queryNorm, keyNorm }
}

function drawn(random: () => number, from: number, to: number, count: number): number[] {
  const left = Array.from({ length: to - from }, (_, i) => from + i)
  return Array.from({ length: count }, () => left.splice(Math.floor(random() * left.length), 1)[0])
}

export function logitsOf(query: ArrayLike<number>, keys: Rows): number[] {
  return keys.map((key) => dot(query, key) / Math.sqrt(query.length))
}

function spreadOf(logits: number[]): number {
  return Math.max(...logits) - median(logits)
}

export function median(x: readonly number[]): number {
  return [...x].sort((a, b) => a - b)[x.length >> 1]
}

/** Mean over the queries of the Kullback-Leibler divergence of attention over `got` from that over `keys`. */
export function meanDivergence(queries: Rows, keys: Rows, gotQueries: Rows, got: Rows): number {
  let sum = 0
  for (const [i, query] of queries.entries()) {
    const [p, q] = [softmax(logitsOf(query, keys)), softmax(logitsOf(gotQueries[i], got))]
    for (let j = 0; j < p.length; j++) if (p[j] > 0) sum += p[j] * Math.log(p[j] / Math.max(q[j], 1e-300))
  }
  return sum / queries.length
}

/** llama.cpp's q4_0 and back: groups of 32 with a scale of their largest magnitude / -8. */
export function q4Groups(rows: Rows): Rows {
  return rows.map((row) => {
    const out = row.slice()
    for (let start = 0; start < row.length; start += 32) {
      const group = row.subarray(start, start + 32)
      const largest = group.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0)
      const scale = largest / -8
      for (const [i, x] of group.entries())
        out[start + i] = scale === 0 ? 0 : Math.min(7, Math.max(-8, Math.round(x / scale))) * scale
    }
    return out
  })
}
