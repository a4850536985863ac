// Step 6. The training ops in float64, one loop after the other: slow and obviously right, the oracle of the native
// ones. Knows nothing of models.

import { attend, attendBack } from "./reference-attention.ts"
import type { AdamWStep, Linear, Norm, Ops, Places, RopeHeads, Values, Write } from "./ops.ts"

/** Calls `visit` for every group's rows, with where its weights begin. */
function eachGroup(shape: Linear, visit: (row: number, weights: number) => void): void {
  const { inputs, outputs, groups } = shape
  for (let g = 0; g + 1 < groups.length; g++)
    for (let row = groups[g]; row < groups[g + 1]; row++) visit(row, g * inputs * outputs)
}

function linear(y: Values, x: Values, w: Values, shape: Linear, write: Write): void {
  const { inputs, outputs } = shape
  eachGroup(shape, (row, weights) => {
    for (let o = 0; o < outputs; o++) {
      let sum = 0
      for (let i = 0; i < inputs; i++) sum += x[row * inputs + i] * w[weights + o * inputs + i]
      y[row * outputs + o] = (write === "add" ? y[row * outputs + o] : 0) + sum
    }
  })
}

function linearBack(dx: Values, dy: Values, w: Values, shape: Linear, write: Write): void {
  const { inputs, outputs } = shape
  eachGroup(shape, (row, weights) => {
    for (let i = 0; i < inputs; i++) {
      let sum = 0
      for (let o = 0; o < outputs; o++) sum += dy[row * outputs + o] * w[weights + o * inputs + i]
      dx[row * inputs + i] = (write === "add" ? dx[row * inputs + i] : 0) + sum
    }
  })
}

function linearGradient(dw: Values, dy: Values, x: Values, shape: Linear): void {
  const { inputs, outputs } = shape
  eachGroup(shape, (row, weights) => {
    for (let o = 0; o < outputs; o++)
      for (let i = 0; i < inputs; i++)
        dw[weights + o * inputs + i] += dy[row * outputs + o] * x[row * inputs + i]
  })
}

/** 1 / the root mean square of x[from .. from + n]. */
function rmsFactor(x: Values, from: number, n: number, epsilon: number): number {
  let squares = 0
  for (let i = from; i < from + n; i++) squares += x[i] * x[i]
  return 1 / Math.sqrt(squares / n + epsilon)
}

function rmsNorm(y: Values, x: Values, w: Values, { rows, columns, epsilon }: Norm): void {
  for (let at = 0; at < rows * columns; at += columns) {
    const factor = rmsFactor(x, at, columns, epsilon)
    for (let i = 0; i < columns; i++) y[at + i] = x[at + i] * factor * w[i]
  }
}

function rmsNormBack(dx: Values, dw: Values, dy: Values, x: Values, w: Values, shape: Norm): void {
  const { rows, columns, epsilon } = shape
  for (let at = 0; at < rows * columns; at += columns) {
    const factor = rmsFactor(x, at, columns, epsilon)
    let along = 0
    for (let i = 0; i < columns; i++) along += dy[at + i] * w[i] * x[at + i]
    for (let i = 0; i < columns; i++) {
      dx[at + i] += factor * dy[at + i] * w[i] - (x[at + i] * factor ** 3 * along) / columns
      dw[i] += dy[at + i] * x[at + i] * factor
    }
  }
}

/** Turns the pairs of every head of x by their angles; "back" is the inverse, which is also the transposed. */
function rotate(x: Values, shape: RopeHeads, direction: "on" | "back"): void {
  const { rows, heads, headDim, cos, sin, positions } = shape
  const half = headDim / 2
  for (let head = 0; head < rows * heads; head++) {
    const angle = positions[Math.floor(head / heads)] * half
    for (let i = 0; i < half; i++) {
      const a = x[head * headDim + i]
      const b = x[head * headDim + half + i]
      const c = cos[angle + i]
      const s = direction === "on" ? sin[angle + i] : -sin[angle + i]
      x[head * headDim + i] = a * c - b * s
      x[head * headDim + half + i] = b * c + a * s
    }
  }
}

function headNorm({ rows, heads, headDim, epsilon }: RopeHeads): Norm {
  return { rows: rows * heads, columns: headDim, epsilon }
}

function normRope(y: Values, x: Values, w: Values, shape: RopeHeads): void {
  rmsNorm(y, x, w, headNorm(shape))
  rotate(y, shape, "on")
}

function normRopeBack(dx: Values, dw: Values, dy: Values, x: Values, w: Values, shape: RopeHeads): void {
  const turned = dy.slice()
  rotate(turned, shape, "back")
  dx.fill(0)
  rmsNormBack(dx, dw, turned, x, w, headNorm(shape))
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

function siluMultiply(out: Values, gate: Values, up: Values): void {
  for (let i = 0; i < out.length; i++) out[i] = gate[i] * sigmoid(gate[i]) * up[i]
}

function siluMultiplyBack(dGate: Values, dUp: Values, dOut: Values, gate: Values, up: Values): void {
  for (let i = 0; i < dOut.length; i++) {
    const s = sigmoid(gate[i])
    dUp[i] = dOut[i] * gate[i] * s
    dGate[i] = dOut[i] * up[i] * s * (1 + gate[i] * (1 - s))
  }
}

function gather(out: Values, x: Values, rows: Int32Array, columns: number): void {
  for (const [r, row] of rows.entries()) out.set(x.subarray(row * columns, (row + 1) * columns), r * columns)
}

function scatter(table: Values, x: Values, rows: Int32Array, columns: number): void {
  for (const [r, row] of rows.entries())
    for (let i = 0; i < columns; i++) table[row * columns + i] += x[r * columns + i]
}

function mix(y: Values, x: Values, { rows, topK, columns, places }: Places, weights?: Values): void {
  for (let at = 0; at < rows * topK; at++) {
    const row = Math.floor(at / topK)
    const weight = weights ? weights[at] : 1
    for (let i = 0; i < columns; i++) y[row * columns + i] += weight * x[places[at] * columns + i]
  }
}

function mixBack(
  dx: Values,
  dWeights: Values,
  dy: Values,
  x: Values,
  { rows, topK, columns, places }: Places,
  weights: Values,
): void {
  for (let at = 0; at < rows * topK; at++) {
    const row = Math.floor(at / topK)
    let sum = 0
    for (let i = 0; i < columns; i++) {
      sum += dy[row * columns + i] * x[places[at] * columns + i]
      dx[places[at] * columns + i] = weights[at] * dy[row * columns + i]
    }
    dWeights[at] = sum
  }
}

/** log softmax of one row. */
function logSoftmax(logits: Values): Float64Array {
  let largest = -Infinity
  for (const x of logits) largest = Math.max(largest, x)
  let sum = 0
  for (const x of logits) sum += Math.exp(x - largest)
  const shift = largest + Math.log(sum)
  return Float64Array.from(logits, (x) => x - shift)
}

function crossEntropy(logits: Values, losses: Values, targets: Int32Array, weights: Values): void {
  const vocab = logits.length / targets.length
  for (const [r, target] of targets.entries()) {
    const row = logits.subarray(r * vocab, (r + 1) * vocab)
    const logP = logSoftmax(row)
    losses[r] = -weights[r] * logP[target]
    for (let i = 0; i < vocab; i++) row[i] = weights[r] * (Math.exp(logP[i]) - (i === target ? 1 : 0))
  }
}

function divergence(logits: Values, losses: Values, teacher: Values, weights: Values, mix: number): void {
  const vocab = logits.length / weights.length
  for (let r = 0; r < weights.length; r++) {
    const row = logits.subarray(r * vocab, (r + 1) * vocab)
    const logP = logSoftmax(row)
    const logQ = logSoftmax(teacher.subarray(r * vocab, (r + 1) * vocab))
    let forward = 0
    let reverse = 0
    for (let i = 0; i < vocab; i++) {
      forward += Math.exp(logQ[i]) * (logQ[i] - logP[i])
      reverse += Math.exp(logP[i]) * (logP[i] - logQ[i])
    }
    losses[r] = weights[r] * ((1 - mix) * forward + mix * reverse)
    for (let i = 0; i < vocab; i++) {
      const p = Math.exp(logP[i])
      const back = p * (logP[i] - logQ[i] - reverse)
      row[i] = weights[r] * ((1 - mix) * (p - Math.exp(logQ[i])) + mix * back)
    }
  }
}

function adamW(values: Values, gradient: Values, first: Values, second: Values, rule: AdamWStep): void {
  const { learningRate, beta1, beta2, epsilon, decay, step, gradientScale } = rule
  for (let i = 0; i < values.length; i++) {
    const g = gradient[i] * gradientScale
    first[i] = beta1 * first[i] + (1 - beta1) * g
    second[i] = beta2 * second[i] + (1 - beta2) * g * g
    const root = Math.sqrt(second[i] / (1 - beta2 ** step))
    const update = first[i] / (1 - beta1 ** step) / (root + epsilon)
    values[i] -= learningRate * (decay * values[i] + update)
  }
}

function sumOfSquares(x: Values): number {
  let sum = 0
  for (const value of x) sum += value * value
  return sum
}

export const referenceOps: Ops = {
  name: "reference",
  device: "float64",
  threads: 1,
  values: (length) => new Float64Array(length),
  linear,
  linearBack,
  linearGradient,
  rmsNorm,
  rmsNormBack,
  normRope,
  normRopeBack,
  attend,
  attendBack,
  siluMultiply,
  siluMultiplyBack,
  gather,
  scatter,
  mix,
  mixBack,
  crossEntropy,
  divergence,
  adamW,
  sumOfSquares,
}
