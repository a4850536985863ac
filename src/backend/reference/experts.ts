// Step 5, reference backend. Which experts a row goes to, and the sum of what they make of it.

import { softmax } from "./attention.ts"
import { dot, rowOf } from "./dense.ts"
import type { Matrix } from "./dense.ts"
import type { Work } from "./run.ts"
import type { DecodedMatrix } from "./weights.ts"

/** Both [rows, topK], the likeliest expert first. */
export interface Routes {
  readonly topK: number
  readonly experts: Int32Array
  readonly weights: Float64Array
}

export interface ExpertMatrices {
  readonly gate: DecodedMatrix
  readonly up: DecodedMatrix
  readonly down: DecodedMatrix
}

export function* route(out: Routes, x: Matrix, router: DecodedMatrix, normalise: boolean): Work {
  for (let row = 0; row < x.rows; row++) {
    const p = Float64Array.from({ length: router.rows }, (_, e) => dot(rowOf(x, row), router.row(0, e)))
    softmax(p)
    // A stable sort: equal probabilities keep the order of the experts.
    const chosen = [...p.keys()].sort((a, b) => p[b] - p[a]).slice(0, out.topK)
    const sum = normalise ? chosen.reduce((total, e) => total + p[e], 0) : 1
    for (const [i, e] of chosen.entries()) {
      out.experts[row * out.topK + i] = e
      out.weights[row * out.topK + i] = p[e] / sum
    }
    yield
  }
}

/** `counts` [experts] grows by the rows that each is given. */
export function* addExperts(
  y: Matrix,
  x: Matrix,
  routes: Routes,
  experts: ExpertMatrices,
  counts: Float64Array,
): Work {
  const sums = new Float64Array(y.values.length)
  for (let expert = 0; expert < experts.gate.experts; expert++) {
    const visits = [...routes.experts.keys()].filter((i) => routes.experts[i] === expert)
    const rows = visits.map((i) => Math.floor(i / routes.topK))
    const weights = visits.map((i) => routes.weights[i])
    counts[expert] += rows.length
    if (rows.length > 0) yield* addExpert(sums, x, experts, { expert, rows, weights })
  }
  for (let i = 0; i < sums.length; i++) y.values[i] += sums[i]
}

/** The rows that one expert gets, and the weights of its answers. */
interface Visits {
  expert: number
  rows: number[]
  weights: number[]
}

function* addExpert(
  sums: Float64Array,
  x: Matrix,
  { gate, up, down }: ExpertMatrices,
  { expert, rows, weights }: Visits,
): Work {
  const inner = { rows: rows.length, columns: gate.rows, values: new Float32Array(rows.length * gate.rows) }
  for (let i = 0; i < gate.rows; i++) {
    const wGate = gate.row(expert, i)
    const wUp = up.row(expert, i)
    for (const [visit, row] of rows.entries()) {
      const from = rowOf(x, row)
      inner.values[visit * inner.columns + i] = silu(dot(from, wGate)) * dot(from, wUp)
    }
    yield
  }
  for (let i = 0; i < down.rows; i++) {
    const wDown = down.row(expert, i)
    for (const [visit, row] of rows.entries())
      sums[row * down.rows + i] += weights[visit] * dot(rowOf(inner, visit), wDown)
    yield
  }
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x))
}
