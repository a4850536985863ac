// Step 5, reference backend. A full page of one key/value head in, nested codes out, and back. Keys and values are
// rotated (hadamard.ts) and centred by their page's mean; a token's key codes share a scale, its value codes two. A code
// of fewer bits is the upper bits of the 8-bit one, so a page gets smaller by losing planes. All arithmetic is float32,
// in an order that sixteen lanes can keep: other backends make the same bytes.

import { halfAt, halves, toHalf } from "../../weights/half.ts"
import { kvPageBytes, kvTiers, pageTokens } from "../backend.ts"
import type { CodedTier } from "../backend.ts"
import { rotate } from "./hadamard.ts"
import { PartLayout, writeHalf } from "./planes.ts"

const { fround } = Math

/** The scale is the best for so many bits; more bits refine what fewer say. */
const scaleBits = { key: 4, value: 3 } as const
/** Parts of the largest magnitude that the outermost level is tried at: some clipping buys finer steps. */
const clips = [0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1]
const lanes = 16
/** From 2^23 on a float32 has no fraction: adding it rounds to the nearest integer, ties to even. */
const fractionless = 2 ** 23

/** Codes of keys and values [128, headDim] of one head: kvPageBytes(tier, headDim) bytes, a function of these alone. */
export function encodePage(
  keys: Float32Array,
  values: Float32Array,
  headDim: number,
  tier: CodedTier,
): Uint8Array {
  const page = new Uint8Array(kvPageBytes(tier, headDim))
  const { keyBits, valueBits } = kvTiers[tier]
  encodeRows(keys, page, new PartLayout("key", headDim), scaleBits.key, keyBits)
  encodeRows(values, page, new PartLayout("value", headDim), scaleBits.value, valueBits)
  return page
}

/** What the codes of keys or of values stand for, still rotated and exact. */
export interface Decoded {
  /** [128, headDim] Mean included. */
  rows: Float64Array
  /** [headDim] */
  mean: Float64Array
  /** [128, 1 or 2] The steps between levels, of a token or of either half of its channels. */
  steps: Float64Array
}

export function decodePage(
  page: Uint8Array,
  headDim: number,
  tier: CodedTier,
): { keys: Decoded; values: Decoded } {
  const { keyBits, valueBits } = kvTiers[tier]
  return {
    keys: decodeRows(page, new PartLayout("key", headDim), keyBits),
    values: decodeRows(page, new PartLayout("value", headDim), valueBits),
  }
}

/** The same page at a tier of fewer planes. */
export function demotePage(page: Uint8Array, headDim: number, tier: CodedTier): Uint8Array {
  return page.slice(0, kvPageBytes(tier, headDim))
}

function encodeRows(
  rows: Float32Array,
  page: Uint8Array,
  layout: PartLayout,
  bestBits: number,
  bits: number,
): void {
  const { headDim, group } = layout
  const x = rows.slice()
  for (let start = 0; start < x.length; start += headDim) rotate(x.subarray(start, start + headDim))
  subtractMean(x, page, layout)
  for (let start = 0; start < x.length; start += group) {
    const values = x.subarray(start, start + group)
    const scale = writeHalf(page, layout.step(start), bestScale(values, bestBits))
    const inverse = inverseOf(scale)
    for (let i = 0; i < group; i++) layout.write(page, bits, start + i, codeOf(values[i], inverse, 8))
  }
}

/** What all tokens of a page have in common is kept apart: what is left is smaller, and its errors cancel in a mean. */
function subtractMean(x: Float32Array, page: Uint8Array, { headDim, mean }: PartLayout): void {
  for (let channel = 0; channel < headDim; channel++) {
    let sum = 0
    for (let at = channel; at < x.length; at += headDim) sum = fround(sum + x[at])
    const middle = writeHalf(page, mean + 2 * channel, sum / pageTokens)
    for (let at = channel; at < x.length; at += headDim) x[at] -= middle
  }
}

function decodeRows(page: Uint8Array, layout: PartLayout, bits: number): Decoded {
  const { headDim, group } = layout
  const mean = Float64Array.from({ length: headDim }, (_, i) => halfAt(page, layout.mean + 2 * i))
  const coarser = 2 ** (8 - bits)
  const steps = Float64Array.from({ length: (pageTokens * headDim) / group }, (_, i) => {
    return halfAt(page, layout.step(i * group)) * coarser
  })
  const rows = new Float64Array(pageTokens * headDim)
  for (let at = 0; at < rows.length; at++) {
    const level = layout.read(page, bits, at) - middle(bits)
    rows[at] = level * steps[Math.floor(at / group)] + mean[at % headDim]
  }
  return { rows, mean, steps }
}

/** The 8-bit step, as a half, whose codes of `bits` bits leave the smallest squared error; the first among equals. */
function bestScale(x: Float32Array, bits: number): number {
  let largest = 0
  for (let i = 0; i < x.length; i++) largest = Math.abs(x[i]) > largest ? Math.abs(x[i]) : largest
  const coarser = 2 ** (8 - bits)
  let best = 0
  let least = Infinity
  for (const clip of clips) {
    const outermost = fround(largest * fround(clip / middle(bits)))
    const scale = halves[toHalf(outermost / coarser)]
    const error = squaredError(x, scale * coarser, bits)
    if (!(error < least)) continue
    least = error
    best = scale
  }
  return best
}

/** Summed in sixteen lanes, which are then folded by halves. */
function squaredError(x: Float32Array, step: number, bits: number): number {
  const inverse = inverseOf(step)
  const sums = new Float32Array(lanes)
  for (let i = 0; i < x.length; i++) {
    const level = codeOf(x[i], inverse, bits) - middle(bits)
    const off = fround(fround(level * step) - x[i])
    sums[i % lanes] += fround(off * off)
  }
  for (let width = lanes / 2; width >= 1; width /= 2)
    for (let i = 0; i < width; i++) sums[i] += sums[i + width]
  return sums[0]
}

/** The level nearest to a value, counted from the lowest; levels lie at half steps around zero. */
function codeOf(value: number, inverse: number, bits: number): number {
  const place = fround(fround(value * inverse) + middle(bits))
  const inside = place > 0 ? Math.min(place, 2 * middle(bits)) : 0
  return fround(inside + fractionless) - fractionless
}

/** A row of zeros has the scale zero. */
function inverseOf(step: number): number {
  return step > 0 ? fround(1 / step) : 0
}

function middle(bits: number): number {
  return ((1 << bits) - 1) / 2
}
