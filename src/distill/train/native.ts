// Step 6. The training ops in float32, by the addon on threads of its own; a call returns when its result is there.
// Checks lengths, since the addon only checks kinds; knows nothing of models.

import { loadAddon } from "../../backend/cpu/native.ts"
import { assert, messageOf, UserError } from "../../util/errors.ts"
import type {
  AdamWStep,
  AttentionDone,
  AttentionGradients,
  AttentionShape,
  Linear,
  Norm,
  Ops,
  Places,
  Products,
  RopeHeads,
  Values,
  Write,
} from "./ops.ts"

type NativeTrainer = object & { readonly trainer: unique symbol }

/** native/train_addon.cc, one to one. */
interface TrainAddon {
  trainer(threads: number, isa: string, products: Products): NativeTrainer
  trainerIsa(trainer: NativeTrainer): string
  trainerProducts(trainer: NativeTrainer): "f32" | "bf16"
  train(trainer: NativeTrainer, op: string, numbers: Float64Array, ...arrays: (Values | Int32Array)[]): void
}

/** Values that one task of the addon sums. */
const sumBlock = 1 << 16

export interface NativeOptions {
  threads: number
  /** avx512, avx2, neon or scalar; A3B_ISA, or else the best one here where absent. */
  isa?: string
  /** f32 where absent. */
  products?: Products
}

export class NativeOps implements Ops {
  readonly name = "native"
  readonly device: string
  readonly threads: number
  readonly products: "f32" | "bf16"
  readonly #addon: TrainAddon
  readonly #trainer: NativeTrainer

  constructor({ threads, isa = process.env.A3B_ISA ?? "", products = "f32" }: NativeOptions) {
    this.#addon = loadAddon() as unknown as TrainAddon // the same module's other half: its shape is stated above
    this.#trainer = create(this.#addon, threads, isa, products)
    this.products = this.#addon.trainerProducts(this.#trainer)
    const set = this.#addon.trainerIsa(this.#trainer)
    this.device = this.products === "f32" ? set : `${set} with bf16 products`
    if (products === "bf16" && this.products === "f32") throw noBfloat(set)
    this.threads = threads
  }

  values(length: number): Float32Array {
    return new Float32Array(length)
  }

  #run(op: string, numbers: readonly number[], ...arrays: (Values | Int32Array)[]): void {
    this.#addon.train(this.#trainer, op, Float64Array.from(numbers), ...arrays)
  }

  #product(kind: 0 | 1 | 2, arrays: Values[], shape: Linear, write: Write): void {
    const { inputs, outputs, groups, factors } = shape
    const rows = groups[groups.length - 1]
    const x = rows * inputs
    const y = rows * outputs
    const w = (groups.length - 1) * inputs * outputs
    const sizes = { 0: [y, x, w], 1: [x, y, w], 2: [w, y, x] }[kind]
    checkLengths("linear", arrays, sizes)
    const numbers = [kind, inputs, outputs, write === "add" ? 1 : 0, factors === "exact" ? 1 : 0]
    this.#run("products", numbers, ...arrays, groups)
  }

  linear(y: Values, x: Values, w: Values, shape: Linear, write: Write): void {
    this.#product(0, [y, x, w], shape, write)
  }

  linearBack(dx: Values, dy: Values, w: Values, shape: Linear, write: Write): void {
    this.#product(1, [dx, dy, w], shape, write)
  }

  linearGradient(dw: Values, dy: Values, x: Values, shape: Linear): void {
    this.#product(2, [dw, dy, x], shape, "add")
  }

  rmsNorm(y: Values, x: Values, w: Values, { rows, columns, epsilon }: Norm): void {
    checkLanes("rmsNorm", columns)
    const n = rows * columns
    checkLengths("rmsNorm", [y, x, w], [n, n, columns])
    this.#run("rmsNorm", [rows, columns, epsilon], y, x, w)
  }

  rmsNormBack(dx: Values, dw: Values, dy: Values, x: Values, w: Values, shape: Norm): void {
    const { rows, columns, epsilon } = shape
    checkLanes("rmsNormBack", columns)
    const n = rows * columns
    checkLengths("rmsNormBack", [dx, dw, dy, x, w], [n, columns, n, n, columns])
    this.#run("rmsNormBack", [rows, columns, epsilon], dx, dw, dy, x, w)
  }

  normRope(y: Values, x: Values, w: Values, shape: RopeHeads): void {
    const { cos, sin, positions } = shape
    const n = checkHeads("normRope", shape)
    checkLengths("normRope", [y, x, w], [n, n, shape.headDim])
    this.#run("normRope", headNumbers(shape), y, x, w, cos, sin, positions)
  }

  normRopeBack(dx: Values, dw: Values, dy: Values, x: Values, w: Values, shape: RopeHeads): void {
    const { headDim, cos, sin, positions } = shape
    const n = checkHeads("normRopeBack", shape)
    checkLengths("normRopeBack", [dx, dw, dy, x, w], [n, headDim, n, n, headDim])
    this.#run("normRopeBack", headNumbers(shape), dx, dw, dy, x, w, cos, sin, positions)
  }

  attend(out: Values, lse: Values, q: Values, k: Values, v: Values, shape: AttentionShape): void {
    const { rows, wide, narrow } = checkAttention(shape)
    checkLengths("attend", [out, lse, q, k, v], [wide, rows * shape.heads, wide, narrow, narrow])
    this.#run("attend", attentionNumbers(shape), out, lse, q, k, v, shape.starts)
  }

  attendBack(gradients: AttentionGradients, dOut: Values, done: AttentionDone, shape: AttentionShape): void {
    const { dq, dk, dv } = gradients
    const { out, lse, q, k, v } = done
    const { rows, wide, narrow } = checkAttention(shape)
    checkLengths("attendBack", [dq, dk, dv, dOut], [wide, narrow, narrow, wide])
    checkLengths("attendBack", [out, lse, q, k, v], [wide, rows * shape.heads, wide, narrow, narrow])
    this.#run("attendBack", attentionNumbers(shape), dq, dk, dv, dOut, out, lse, q, k, v, shape.starts)
  }

  siluMultiply(out: Values, gate: Values, up: Values): void {
    const n = out.length
    checkLanes("siluMultiply", n)
    checkLengths("siluMultiply", [gate, up], [n, n])
    this.#run("siluMultiply", [n], out, gate, up)
  }

  siluMultiplyBack(dGate: Values, dUp: Values, dOut: Values, gate: Values, up: Values): void {
    const n = dOut.length
    checkLanes("siluMultiplyBack", n)
    checkLengths("siluMultiplyBack", [dGate, dUp, gate, up], [n, n, n, n])
    this.#run("siluMultiplyBack", [n], dGate, dUp, dOut, gate, up)
  }

  gather(out: Values, x: Values, rows: Int32Array, columns: number): void {
    checkLengths("gather", [out], [rows.length * columns])
    checkRows("gather", rows, x.length / columns)
    this.#run("gather", [rows.length, columns], out, x, rows)
  }

  scatter(table: Values, x: Values, rows: Int32Array, columns: number): void {
    checkLanes("scatter", columns)
    checkLengths("scatter", [x], [rows.length * columns])
    checkRows("scatter", rows, table.length / columns)
    this.#run("scatter", [rows.length, columns], table, x, rows)
  }

  mix(y: Values, x: Values, { rows, topK, columns, places }: Places, weights?: Values): void {
    checkLanes("mix", columns)
    checkLengths("mix", [y, places, weights ?? places], [rows * columns, rows * topK, rows * topK])
    checkRows("mix", places, x.length / columns)
    if (weights) this.#run("mix", [rows, topK, columns], y, x, places, weights)
    else this.#run("sumPlaces", [rows, topK, columns], y, x, places)
  }

  mixBack(dx: Values, dWeights: Values, dy: Values, x: Values, shape: Places, weights: Values): void {
    const { rows, topK, columns, places } = shape
    const n = rows * topK
    checkLanes("mixBack", columns)
    checkLengths("mixBack", [dx, dWeights, dy, weights, places], [x.length, n, rows * columns, n, n])
    checkRows("mixBack", places, x.length / columns)
    this.#run("mixBack", [rows, topK, columns], dx, dWeights, dy, x, places, weights)
  }

  crossEntropy(logits: Values, losses: Values, targets: Int32Array, weights: Values): void {
    const rows = targets.length
    const vocab = logits.length / rows
    checkLengths("crossEntropy", [losses, weights], [rows, rows])
    checkRows("crossEntropy", targets, vocab)
    this.#run("crossEntropy", [rows, vocab], logits, losses, targets, weights)
  }

  divergence(logits: Values, losses: Values, teacher: Values, weights: Values, mix: number): void {
    const rows = weights.length
    checkLengths("divergence", [losses, teacher], [rows, logits.length])
    this.#run("divergence", [rows, logits.length / rows, mix], logits, losses, teacher, weights)
  }

  adamW(values: Values, gradient: Values, first: Values, second: Values, rule: AdamWStep): void {
    const n = values.length
    const { learningRate, beta1, beta2, epsilon, decay, step, gradientScale } = rule
    checkLanes("adamW", n)
    checkLengths("adamW", [gradient, first, second], [n, n, n])
    const corrections = [1 - beta1 ** step, 1 - beta2 ** step]
    const numbers = [n, learningRate, beta1, beta2, epsilon, decay, ...corrections, gradientScale]
    this.#run("adamW", numbers, values, gradient, first, second)
  }

  sumOfSquares(x: Values): number {
    checkLanes("sumOfSquares", x.length)
    const sums = new Float64Array(Math.ceil(x.length / sumBlock))
    this.#run("sumsOfSquares", [x.length], sums, x)
    return sums.reduce((total, sum) => total + sum, 0)
  }
}

function create(addon: TrainAddon, threads: number, isa: string, products: Products): NativeTrainer {
  try {
    return addon.trainer(threads, isa, products)
  } catch (error) {
    throw new UserError("unsupported", `${messageOf(error)}: leave A3B_ISA unset for the best one`)
  }
}

function noBfloat(set: string): UserError {
  return new UserError(
    "unsupported",
    `this CPU has no bf16 products with ${set}: they need AVX-512 and AVX512_BF16; ask for "f32", or "fastest" for ` +
      "what there is",
  )
}

function checkLengths(op: string, arrays: readonly { length: number }[], lengths: readonly number[]): void {
  for (const [i, array] of arrays.entries())
    assert(array.length === lengths[i], `${op}: array ${i} has ${array.length} values, wanted ${lengths[i]}`)
}

/** The kernels take sixteen values at a time. */
function checkLanes(op: string, length: number): void {
  assert(length % 16 === 0, `${op}: ${length} is not a multiple of 16`)
}

function checkRows(op: string, rows: Int32Array, limit: number): void {
  for (const row of rows) assert(row >= 0 && row < limit, `${op}: row ${row} of ${limit}`)
}

function headNumbers({ rows, heads, headDim, epsilon }: RopeHeads): number[] {
  return [rows, heads, headDim, epsilon]
}

function checkHeads(op: string, { rows, heads, headDim, cos, sin, positions }: RopeHeads): number {
  assert(headDim % 32 === 0 && headDim <= 1024, `${op}: head of ${headDim}`)
  checkLengths(op, [positions, sin], [rows, cos.length])
  checkRows(op, positions, cos.length / (headDim / 2))
  return rows * heads * headDim
}

function attentionNumbers({ heads, kvHeads, headDim }: AttentionShape): number[] {
  return [heads, kvHeads, headDim]
}

function checkAttention({ heads, kvHeads, headDim, starts }: AttentionShape) {
  assert(heads % kvHeads === 0 && headDim % 16 === 0, `attend: ${heads} heads over ${kvHeads} of ${headDim}`)
  const rows = starts[starts.length - 1]
  return { rows, wide: rows * heads * headDim, narrow: rows * kvHeads * headDim }
}
