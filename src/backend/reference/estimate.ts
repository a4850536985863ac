// Step 5, reference backend. What two bits of each channel say of a query's scores with the keys of a page: how much of
// its attention each block of 16 tokens gets. The two upper bits, read as the middles of four equal steps, need no
// correction: over keys as in test/kv-synthetic.ts the slope of true scores over estimated ones is 0.89 to 1.01. The dot
// products are of integers, and all else is float32 in an order that sixteen lanes can keep: backends get the same bits,
// so that they choose the same blocks.

import { halfAt } from "../../weights/half.ts"
import { pageTokens, selection } from "../backend.ts"
import { PartLayout } from "./planes.ts"

const { fround } = Math
const lanes = 16
const log2e = fround(Math.LOG2E)
/** Where scores must lie, in powers of two, for what follows to be finite. */
const mostLevel = 2 ** 20
/** Tokens so many powers of two below their page's likeliest count as just that. */
const leastLevel = -60
/** Queries whose largest value is smaller are taken for zeros: its reciprocal would overflow. */
const tiny = 1e-30

/** The two upper bits of a page's keys. */
export interface Sketch {
  /** [headDim] */
  mean: Float32Array
  /** [128] The 8-bit steps. */
  scales: Float32Array
  /** [128, headDim] 0 to 3. */
  codes: Uint8Array
}

export function sketchOf(page: Uint8Array, headDim: number): Sketch {
  const layout = new PartLayout("key", headDim)
  return {
    mean: Float32Array.from({ length: headDim }, (_, i) => halfAt(page, layout.mean + 2 * i)),
    scales: Float32Array.from({ length: pageTokens }, (_, t) => halfAt(page, layout.step(t * headDim))),
    codes: Uint8Array.from({ length: pageTokens * headDim }, (_, at) => layout.read(page, 2, at)),
  }
}

/** A query, scaled by headDim^-0.5 and rotated, and its values as whole multiples of a step. */
export interface ScanQuery {
  values: Float32Array
  codes: Int8Array
  /** What the middle between the upper and the lower two levels gives: 1.5 * sum of codes. */
  middle: number
  /** Powers of two that a unit of the integer dot product is worth, times an 8-bit step of the key. */
  unit: number
}

export function scanQuery(values: Float32Array): ScanQuery {
  const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  const inverse = largest > tiny ? fround(127 / largest) : 0
  const codes = Int8Array.from(values, (x) => nearest(fround(x * inverse)))
  const step = largest > tiny ? fround(largest / 127) : 0
  const stepsOfALevel = 64
  return {
    values,
    codes,
    middle: 1.5 * codes.reduce((sum, code) => sum + code, 0),
    unit: fround(step * fround(stepsOfALevel * log2e)),
  }
}

/** Block `b` gets masses[b] * 2^top: the sum of exp(score) over its tokens, estimated. */
export interface Estimate {
  /** [8] */
  masses: Float32Array
  top: number
}

export function estimate({ values, codes, middle, unit }: ScanQuery, sketch: Sketch): Estimate {
  const headDim = values.length
  const base = fround(log2e * meanProduct(values, sketch.mean))
  const levels = Float32Array.from(sketch.scales, (scale, token) => {
    let dot = 0
    for (let i = 0; i < headDim; i++) dot += codes[i] * sketch.codes[token * headDim + i]
    const level = fround(fround((dot - middle) * fround(scale * unit)) + base)
    return Math.min(Math.max(level, -mostLevel), mostLevel)
  })
  const top = nearest(levels.reduce((most, level) => Math.max(most, level), -mostLevel))
  const masses = new Float32Array(pageTokens / selection.blockTokens)
  for (let block = 0; block < masses.length; block++)
    masses[block] = folded(levels.subarray(block * lanes, (block + 1) * lanes).map((x) => power(x - top)))
  return { masses, top }
}

const bits = new Int32Array(1)
const asFloat = new Float32Array(bits.buffer)

/**
 * 2^x to 6 %, right in the mean: x becomes the exponent, and what is behind its point the fraction (Schraudolph 1999,
 * A fast, compact approximation of the exponential function). 0.0575 is log2 of the mean of (1 + f) / 2^f over f.
 */
function power(x: number): number {
  bits[0] = nearest(Math.max(fround(x), leastLevel) * 2 ** 23) + (127 << 23) - Math.round(0.0575 * 2 ** 23)
  return asFloat[0]
}

/** Summed in sixteen lanes. */
function meanProduct(values: Float32Array, mean: Float32Array): number {
  const sums = new Float32Array(lanes)
  for (let i = 0; i < values.length; i++) sums[i % lanes] += fround(values[i] * mean[i])
  return folded(sums)
}

/** The sum of a power of two of lanes, the upper half onto the lower again and again; in place. */
export function folded(x: Float32Array): number {
  for (let width = x.length / 2; width >= 1; width /= 2) for (let i = 0; i < width; i++) x[i] += x[i + width]
  return x[0]
}

/** The nearest integer, the even one of two. */
export function nearest(x: number): number {
  const below = Math.floor(x)
  const rest = x - below
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1
  return below % 2 === 0 ? below : below + 1
}
