// Step 5, reference backend. The ops on rows of one matrix: products, norms and rotary embedding. Values are stored
// as float32; every sum is taken in float64.

import type { Rope } from "../backend.ts"
import type { Work } from "./run.ts"
import type { DecodedMatrix } from "./weights.ts"

/** Row-major [rows, columns]. */
export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly values: Float32Array
}

export function rowOf(x: Matrix, row: number): Float32Array {
  return x.values.subarray(row * x.columns, (row + 1) * x.columns)
}

export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

export function* embed(out: Matrix, table: DecodedMatrix, ids: Int32Array): Work {
  for (let row = 0; row < out.rows; row++) {
    rowOf(out, row).set(table.row(0, ids[row]))
    yield
  }
}

export function* addLinear(y: Matrix, x: Matrix, weight: DecodedMatrix): Work {
  for (let column = 0; column < weight.rows; column++) {
    const w = weight.row(0, column)
    for (let row = 0; row < x.rows; row++) y.values[row * y.columns + column] += dot(rowOf(x, row), w)
    yield
  }
}

export function* rmsNorm(out: Matrix, x: Matrix, weight: DecodedMatrix, epsilon: number): Work {
  const w = weight.row(0, 0)
  for (let row = 0; row < x.rows; row++) {
    const from = rowOf(x, row)
    const to = rowOf(out, row)
    const scale = inverseRms(from, epsilon)
    for (let i = 0; i < to.length; i++) to[i] = from[i] * scale * w[i]
    yield
  }
}

/** In place, head by head. */
export function* normRope(
  x: Matrix,
  weight: DecodedMatrix,
  rope: Rope,
  epsilon: number,
  positions: Int32Array,
): Work {
  const w = weight.row(0, 0)
  for (let row = 0; row < x.rows; row++) {
    const heads = rowOf(x, row)
    for (let start = 0; start < heads.length; start += w.length)
      normRopeHead(heads.subarray(start, start + w.length), w, rope, epsilon, positions[row])
    yield
  }
}

/** Pair i is (i, i + half): "rotate half", the order of Hugging Face checkpoints. */
function normRopeHead(
  head: Float32Array,
  w: Float32Array,
  rope: Rope,
  epsilon: number,
  position: number,
): void {
  const half = head.length / 2
  const rms = inverseRms(head, epsilon)
  for (let i = 0; i < half; i++) {
    const angle = position * rope.frequencies[i]
    const cos = Math.cos(angle) * rope.scale
    const sin = Math.sin(angle) * rope.scale
    const a = head[i] * rms * w[i]
    const b = head[i + half] * rms * w[i + half]
    head[i] = a * cos - b * sin
    head[i + half] = b * cos + a * sin
  }
}

function inverseRms(x: Float32Array, epsilon: number): number {
  return 1 / Math.sqrt(dot(x, x) / x.length + epsilon)
}

export function* pickRows(out: Matrix, x: Matrix, rows: Int32Array): Work {
  for (let row = 0; row < out.rows; row++) rowOf(out, row).set(rowOf(x, rows[row]))
  yield
}

export function* largest(out: Matrix, x: Matrix, size: number): Work {
  const k = out.columns / 2
  for (let row = 0; row < x.rows; row++) {
    const values = rowOf(x, row).subarray(0, size)
    const best = Array.from(values, (_, column) => column)
      .sort((a, b) => values[b] - values[a])
      .slice(0, k)
    rowOf(out, row).set([...best, ...best.map((column) => values[column])])
    if (!values.every(Number.isFinite)) rowOf(out, row)[0] = -1
    yield
  }
}
