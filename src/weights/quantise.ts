// float32 rows in, source blocks of Q8_0, Q4_K, Q6_K or our own Q4_S out; deterministic. Knows values and blocks; never files,
// names or panels. Per group the scale (and minimum) is found by least squares: quantise with each of a few trial
// scales, fit the best line through what came out, keep the line with the least error.

import { assert } from "../util/errors.ts"
import { halves, toHalf } from "./half.ts"
import { sourceBytes } from "./layout.ts"

export type QuantisedFormat = "q8_0" | "q4_k" | "q6_k" | "q4_s"

/** Trial scales span one quantisation step less to one more than the range over the steps: Q4_K. */
const minMaxTrials = Float64Array.from({ length: 11 }, (_, i) => 15 + (i - 5) / 5)
/** A symmetric code: `trials` are what the largest value may map to, most of them near the level without a twin. */
interface Symmetric {
  values: number
  least: number
  trials: Float64Array
  /** How much an error counts: by the square of its value, or the same everywhere. */
  weights: "square" | "even"
}

const sixBits: Symmetric = {
  values: 16,
  least: -32,
  trials: Float64Array.from({ length: 7 }, (_, i) => -32 - (i - 3) / 5),
  weights: "square",
}
const fourBits: Symmetric = {
  values: 32,
  least: -8,
  trials: Float64Array.from({ length: 22 }, (_, i) => (i < 15 ? -9.4 + i / 5 : 6.3 + (i - 15) / 4)),
  weights: "even",
}

const quants = new Uint8Array(256)
const weights = new Float64Array(32)
const scales = new Float64Array(16)
const mins = new Float64Array(8)
/** One group's range and weighted sums, and the best line so far: kept here, for they change too often to be made. */
const sums = { least: 0, most: 0, w: 0, wx: 0, wxx: 0 }
const line = { scale: 0, min: 0, error: 0 }

/** Largest magnitude that may be quantised: every scale then fits an f16. */
export const largestWeight = 65504

/**
 * Quantises whole rows; a row whose columns are no whole blocks is filled up with zeros. Values are finite and no
 * larger than `largestWeight`.
 */
export function quantiseRows(
  format: QuantisedFormat,
  values: Float32Array,
  rows: number,
  columns: number,
  blocks: Uint8Array,
): void {
  assert(values.length >= rows * columns, `${rows} x ${columns} values, got ${values.length}`)
  assert(blocks.length >= sourceBytes(format, rows, columns), `${format} blocks for ${rows} x ${columns}`)
  const blockValues = format === "q8_0" ? 32 : 256
  const blockBytes = sourceBytes(format, 1, blockValues)
  const quantise = { q8_0: quantiseQ80, q4_k: quantiseQ4K, q6_k: quantiseQ6K, q4_s: quantiseQ4S }[format]
  const padded = new Float32Array(blockValues)
  let to = 0
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < columns; k += blockValues, to += blockBytes) {
      const from = row * columns + k
      const count = Math.min(blockValues, columns - k)
      if (count === blockValues) {
        quantise(values, from, blocks, to)
        continue
      }
      padded.fill(0).set(values.subarray(from, from + count))
      quantise(padded, 0, blocks, to)
    }
  }
}

/** Stores a half and returns what it stands for. */
function putHalf(value: number, blocks: Uint8Array, to: number): number {
  const bits = toHalf(value)
  blocks[to] = bits & 255
  blocks[to + 1] = bits >> 8
  return halves[bits]
}

function quantiseQ80(values: Float32Array, from: number, blocks: Uint8Array, to: number): void {
  let largest = 0
  for (let i = from; i < from + 32; i++) largest = Math.max(largest, Math.abs(values[i]))
  const scale = putHalf(largest / 127, blocks, to)
  const inverse = scale === 0 ? 0 : 1 / scale
  for (let i = 0; i < 32; i++) {
    // A scale rounded down can push the largest value to 128.
    blocks[to + 2 + i] = Math.max(-127, Math.min(127, Math.round(values[from + i] * inverse)))
  }
}

function quantiseQ4K(values: Float32Array, from: number, blocks: Uint8Array, to: number): void {
  for (let group = 0; group < 8; group++) {
    fitMinMax(values, from + group * 32)
    scales[group] = line.scale
    mins[group] = line.min
  }
  const d = putHalf(largestOf(scales, 8) / 63, blocks, to)
  const dmin = putHalf(largestOf(mins, 8) / 63, blocks, to + 2)
  for (let group = 0; group < 8; group++) {
    scales[group] = d === 0 ? 0 : Math.min(63, Math.round(scales[group] / d))
    mins[group] = dmin === 0 ? 0 : Math.min(63, Math.round(mins[group] / dmin))
    const scale = d * scales[group]
    const inverse = scale === 0 ? 0 : 1 / scale
    const offset = dmin * mins[group] * inverse + 0.5
    for (let i = group * 32; i < group * 32 + 32; i++) {
      quants[i] = Math.max(0, Math.min(15, Math.floor(values[from + i] * inverse + offset)))
    }
  }
  putQ4K(blocks, to)
}

/** Scales, mins and nibbles in GGUF's order. */
function putQ4K(blocks: Uint8Array, to: number): void {
  for (let i = 0; i < 4; i++) {
    blocks[to + 4 + i] = scales[i] | ((scales[i + 4] >> 4) << 6)
    blocks[to + 8 + i] = mins[i] | ((mins[i + 4] >> 4) << 6)
    blocks[to + 12 + i] = (scales[i + 4] & 15) | ((mins[i + 4] & 15) << 4)
  }
  for (let i = 0; i < 128; i++) {
    const low = (i >> 5) * 64 + (i & 31)
    blocks[to + 16 + i] = quants[low] | (quants[low + 32] << 4)
  }
}

/** The line value = scale * q - min, q in 0 .. 15 and min >= 0, nearest to 32 values where large ones weigh more. */
function fitMinMax(values: Float32Array, from: number): void {
  weigh(values, from)
  const { least, most } = sums
  line.scale = (most - least) / 15
  line.min = -least
  line.error = Infinity
  if (!(most > least)) return
  for (let trial = 0; trial < minMaxTrials.length; trial++) {
    tryScale(values, from, minMaxTrials[trial] / (most - least))
  }
}

/** Weights and their sums: rms + |x| stands for how much a weight's error matters when inputs are not known. */
function weigh(values: Float32Array, from: number): void {
  let least = 0
  let most = 0
  let squares = 0
  for (let i = from; i < from + 32; i++) {
    const x = values[i]
    if (x < least) least = x
    if (x > most) most = x
    squares += x * x
  }
  const rms = Math.sqrt(squares / 32)
  let w = 0
  let wx = 0
  let wxx = 0
  for (let i = 0; i < 32; i++) {
    const x = values[from + i]
    const weight = rms + Math.abs(x)
    weights[i] = weight
    w += weight
    wx += weight * x
    wxx += weight * x * x
  }
  sums.least = least
  sums.most = most
  sums.w = w
  sums.wx = wx
  sums.wxx = wxx
}

/** Quantises with one trial scale, fits a line through what came out and keeps it in `line` if it is nearer. */
function tryScale(values: Float32Array, from: number, inverse: number): void {
  const offset = 0.5 - sums.least * inverse
  let q1 = 0
  let q2 = 0
  let qx = 0
  for (let i = 0; i < 32; i++) {
    const x = values[from + i]
    let q = (x * inverse + offset) | 0
    if (q > 15) q = 15
    const wq = weights[i] * q
    q1 += wq
    q2 += wq * q
    qx += wq * x
  }
  const { w, wx, wxx } = sums
  const determinant = w * q2 - q1 * q1
  if (!(determinant > 0)) return
  let scale = (w * qx - wx * q1) / determinant
  let min = (q1 * qx - q2 * wx) / determinant
  if (min < 0) {
    min = 0
    scale = qx / q2
  }
  const error = wxx + scale * (scale * q2 - 2 * qx) + min * (min * w + 2 * wx) - 2 * scale * min * q1
  if (error >= line.error) return
  line.error = error
  line.scale = scale
  line.min = min
}

function quantiseQ6K(values: Float32Array, from: number, blocks: Uint8Array, to: number): void {
  quantiseSymmetric(sixBits, values, from, blocks, { d: to + 208, levels: to + 192 })
  putQ6K(blocks, to)
}

function quantiseQ4S(values: Float32Array, from: number, blocks: Uint8Array, to: number): void {
  quantiseSymmetric(fourBits, values, from, blocks, { d: to, levels: to + 2 })
  for (let i = 0; i < 128; i++) {
    const low = (i >> 5) * 64 + (i & 31)
    blocks[to + 10 + i] = quants[low] | (quants[low + 32] << 4)
  }
}

/** Puts d and the int8 levels of the groups' scales into the block, and the codes, from 0 up, into `quants`. */
function quantiseSymmetric(
  code: Symmetric,
  values: Float32Array,
  from: number,
  blocks: Uint8Array,
  at: { d: number; levels: number },
): void {
  const groups = 256 / code.values
  let largest = 0
  for (let group = 0; group < groups; group++) {
    const scale = fitSymmetric(code, values, from + group * code.values)
    scales[group] = scale
    if (Math.abs(scale) > Math.abs(largest)) largest = scale
  }
  // The largest scale becomes -128, the level of an int8 without a positive twin.
  const d = putHalf(largest / -128, blocks, at.d)
  const most = -2 * code.least - 1
  for (let group = 0; group < groups; group++) {
    const level = d === 0 ? 0 : Math.max(-128, Math.min(127, Math.round(scales[group] / d)))
    blocks[at.levels + group] = level
    const inverse = level === 0 ? 0 : 1 / (d * level)
    for (let i = group * code.values; i < (group + 1) * code.values; i++) {
      quants[i] = Math.max(0, Math.min(most, Math.floor(values[from + i] * inverse - code.least + 0.5)))
    }
  }
}

/** Low nibbles and upper bit pairs in GGUF's order. */
function putQ6K(blocks: Uint8Array, to: number): void {
  for (let i = 0; i < 128; i++) {
    const low = (i >> 6) * 128 + (i & 63)
    blocks[to + i] = (quants[low] & 15) | ((quants[low + 64] & 15) << 4)
  }
  for (let i = 0; i < 64; i++) {
    const first = (i >> 5) * 128 + (i & 31)
    const lower = (quants[first] >> 4) | ((quants[first + 32] >> 4) << 2)
    blocks[to + 128 + i] = lower | ((quants[first + 64] >> 4) << 4) | ((quants[first + 96] >> 4) << 6)
  }
}

/** The scale of value = scale * q, q from `least` up to one less than its opposite, nearest to a group of values. */
function fitSymmetric(
  { values: count, least, trials, weights: kind }: Symmetric,
  values: Float32Array,
  from: number,
): number {
  let largest = 0
  for (let i = from; i < from + count; i++) if (Math.abs(values[i]) > Math.abs(largest)) largest = values[i]
  let best = 0
  let bestGain = 0
  if (largest === 0) return best
  for (let trial = 0; trial < trials.length; trial++) {
    const inverse = trials[trial] / largest
    let sumQQ = 0
    let sumQX = 0
    for (let i = from; i < from + count; i++) {
      const x = values[i]
      const q = Math.max(least, Math.min(-least - 1, Math.floor(x * inverse + 0.5)))
      const wq = kind === "square" ? x * x * q : q
      sumQQ += wq * q
      sumQX += wq * x
    }
    // The weighted squared error falls by sumQX^2 / sumQQ.
    if (!(sumQQ > 0) || sumQX * sumQX <= bestGain * sumQQ) continue
    bestGain = (sumQX * sumQX) / sumQQ
    best = sumQX / sumQQ
  }
  return best
}

function largestOf(numbers: Float64Array, count: number): number {
  let largest = 0
  for (let i = 0; i < count; i++) largest = Math.max(largest, numbers[i])
  return largest
}
