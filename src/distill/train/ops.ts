// Step 6. The contract between the model's mathematics and the arithmetic that runs it: some twenty ops on flat arrays,
// each done when it returns. Knows rows and columns; never layers, names of parameters or batches.

/** float32 where speed counts, float64 where truth does. All arrays given to an `Ops` are of its own kind. */
export type Values = Float32Array | Float64Array

/** Whether a result takes the place of what was there or is added to it. */
export type Write = "set" | "add"

/**
 * What native ops round the factors of products to; sums, parameters and all else stay float32. The fastest is bf16
 * where the processor has AVX512_BF16, else f32.
 */
export type Products = "f32" | "bf16" | "fastest"

/**
 * A linear map of rows, weights [outputs, inputs]. With more than one group the weights are stacked, and group g
 * takes the rows groups[g] to groups[g + 1].
 */
export interface Linear {
  inputs: number
  outputs: number
  /** First row of every group, and the end. */
  groups: Int32Array
  /** Where ops may round factors to fewer bits, this product's are left as they are. */
  factors?: "exact"
}

export interface Norm {
  rows: number
  columns: number
  epsilon: number
}

/** Rotary embedding of rows of heads: row r turns by the angles of cos and sin [positions, headDim / 2]. */
export interface RopeHeads {
  rows: number
  heads: number
  headDim: number
  epsilon: number
  cos: Values
  sin: Values
  /** [rows] */
  positions: Int32Array
}

/** Causal attention within each sequence, scaled by headDim^-0.5. */
export interface AttentionShape {
  heads: number
  kvHeads: number
  headDim: number
  /** First row of every sequence, and the end. */
  starts: Int32Array
}

/** Row r of a result belongs to the rows places[r * topK + j] of another tensor. */
export interface Places {
  rows: number
  topK: number
  columns: number
  /** [rows, topK] */
  places: Int32Array
}

/** One step of AdamW (Loshchilov and Hutter 2019); `step` counts from 1. */
export interface AdamWStep {
  learningRate: number
  beta1: number
  beta2: number
  epsilon: number
  decay: number
  step: number
  /** Multiplies the gradient: what clipping leaves of it. */
  gradientScale: number
}

export interface Ops {
  readonly name: "reference" | "native"
  /** Instruction set, for people. */
  readonly device: string
  readonly threads: number

  /** Zeros. */
  values(length: number): Values

  /** y = or += x W^T */
  linear(y: Values, x: Values, w: Values, shape: Linear, write: Write): void
  /** dx = or += dy W */
  linearBack(dx: Values, dy: Values, w: Values, shape: Linear, write: Write): void
  /** dW += dy^T x */
  linearGradient(dw: Values, dy: Values, x: Values, shape: Linear): void

  /** y = x * rsqrt(mean(x^2) + epsilon) * w, per row */
  rmsNorm(y: Values, x: Values, w: Values, shape: Norm): void
  /** dx += ..., dw += ... */
  rmsNormBack(dx: Values, dw: Values, dy: Values, x: Values, w: Values, shape: Norm): void
  /** Per head: RMS norm with w [headDim], then rotation of the pairs (i, i + headDim / 2). */
  normRope(y: Values, x: Values, w: Values, shape: RopeHeads): void
  /** dx = ..., dw += ... */
  normRopeBack(dx: Values, dw: Values, dy: Values, x: Values, w: Values, shape: RopeHeads): void

  /** out [rows, heads, headDim]; lse [rows, heads] keeps log-sum-exp of the scores for the way back. */
  attend(out: Values, lse: Values, q: Values, k: Values, v: Values, shape: AttentionShape): void
  attendBack(gradients: AttentionGradients, dOut: Values, done: AttentionDone, shape: AttentionShape): void

  /** out = silu(gate) * up */
  siluMultiply(out: Values, gate: Values, up: Values): void
  siluMultiplyBack(dGate: Values, dUp: Values, dOut: Values, gate: Values, up: Values): void

  /** out[r] = x[rows[r]] */
  gather(out: Values, x: Values, rows: Int32Array, columns: number): void
  /** table[rows[r]] += x[r], in the order of r */
  scatter(table: Values, x: Values, rows: Int32Array, columns: number): void
  /** y[r] += sum over j of weights[r, j] * x[place(r, j)]; all weights are 1 where there are none. */
  mix(y: Values, x: Values, shape: Places, weights?: Values): void
  /** dx[place(r, j)] = weights[r, j] * dy[r]; dWeights[r, j] = dy[r] . x[place(r, j)] */
  mixBack(dx: Values, dWeights: Values, dy: Values, x: Values, shape: Places, weights: Values): void

  /** Rows of logits become weights[r] * (softmax - one-hot); losses[r] = -weights[r] * log softmax[targets[r]]. */
  crossEntropy(logits: Values, losses: Values, targets: Int32Array, weights: Values): void
  /**
   * Rows of logits become the gradient of losses[r] = weights[r] * ((1 - mix) * KL(teacher || student) + mix *
   * KL(student || teacher)).
   */
  divergence(logits: Values, losses: Values, teacher: Values, weights: Values, mix: number): void

  adamW(values: Values, gradient: Values, first: Values, second: Values, rule: AdamWStep): void
  sumOfSquares(x: Values): number
}

export interface AttentionGradients {
  dq: Values
  dk: Values
  dv: Values
}

/** What the way forward was given and made. */
export interface AttentionDone {
  out: Values
  lse: Values
  q: Values
  k: Values
  v: Values
}

/** One group of all rows. */
export function allRows(inputs: number, outputs: number, rows: number): Linear {
  return { inputs, outputs, groups: Int32Array.of(0, rows) }
}
