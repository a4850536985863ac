// Speed of training steps: `npx tsx bench/train.ts [--threads n] [--steps n] [--products f32,bf16]`, the kinds of
// products in turns. Prints tokens and floating-point operations a second for two lengths of sequences, their share of
// the best 512x512x512 product of the same run, and where the time goes; appends rows to results/train-<machine>.csv.
//
// Operations are counted as is usual: 6 for each active parameter and token, the embedding's rows not counted, and
// those of causal attention (4 on the way forward, 8 on the way back, for each pair of tokens and value of a head).

import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import type { TrainBatch } from "../src/distill/train/batch.ts"
import { NativeOps } from "../src/distill/train/native.ts"
import { allRows, type Ops, type Products } from "../src/distill/train/ops.ts"
import { Trainer } from "../src/distill/train/trainer.ts"
import type { ModelConfig } from "../src/model/config.ts"
import { parameters } from "../src/model/tensors.ts"
import { seeded } from "../test/random.ts"
import { appendRow, machineName, median, today } from "./results.ts"

const nano: ModelConfig = {
  layers: 4,
  hidden: 256,
  heads: 8,
  kvHeads: 1,
  headDim: 128,
  experts: 8,
  topK: 2,
  expertHidden: 256,
  vocab: 4096,
  maxPositions: 4096,
  ropeTheta: 1e6,
  epsilon: 1e-6,
  normaliseTopK: true,
  tied: true,
}
const rows = 4096

const { values: options } = parseArgs({
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    steps: { type: "string", default: "3" },
    products: { type: "string", default: "f32" },
  },
})

const seconds = () => performance.now() / 1000

/** The best of some runs, in operations a second. */
function bestProduct(ops: Ops, size: number): number {
  const [x, w, y] = Array.from({ length: 3 }, () => ops.values(size * size).fill(0.5))
  let best = Infinity
  for (let run = 0; run < 40; run++) {
    const start = seconds()
    ops.linear(y, x, w, allRows(size, size, size), "set")
    best = Math.min(best, seconds() - start)
  }
  return (2 * size ** 3) / best
}

/** The same ops, and how long each has run. */
function timed(ops: Ops): { ops: Ops; times: Map<string, number> } {
  const times = new Map<string, number>()
  const get = (target: Ops, key: string) => {
    const value: unknown = Reflect.get(target, key)
    if (typeof value !== "function") return value
    return (...given: unknown[]) => {
      const start = seconds()
      const result: unknown = value.apply(target, given)
      times.set(key, (times.get(key) ?? 0) + seconds() - start)
      return result
    }
  }
  return { ops: new Proxy(ops, { get: get as ProxyHandler<Ops>["get"] }), times }
}

function randomBatch(length: number): TrainBatch {
  const random = seeded(length)
  const ids = Int32Array.from({ length: rows }, () => Math.floor(random() * nano.vocab))
  return {
    ids,
    targets: ids.map((_, row) => ids[(row + 1) % rows]),
    weights: new Float32Array(rows).fill(1),
    starts: Int32Array.from({ length: rows / length + 1 }, (_, i) => i * length),
  }
}

function operations(length: number): number {
  const perToken = 6 * (parameters(nano).active - (nano.tied ? 0 : nano.vocab * nano.hidden))
  const attention = 12 * ((length + 1) / 2) * nano.heads * nano.headDim * nano.layers
  return rows * (perToken + attention)
}

function bench(length: number, peak: number, native: Ops): void {
  const { ops, times } = timed(native)
  const trainer = Trainer.create(nano, { seed: 1, ops })
  const batch = randomBatch(length)
  trainer.step(batch, { learningRate: 1e-3 })
  const steps = Array.from({ length: Number(options.steps) }, () => {
    times.clear()
    const start = seconds()
    trainer.step(batch, { learningRate: 1e-3 })
    return { took: seconds() - start, times: [...times] }
  })
  const { took, times: parts } = steps.reduce((best, step) => (step.took < best.took ? step : best))
  const usual = median(steps.map((step) => step.took))
  const rate = operations(length) / took
  console.log(
    `sequences of ${length}: ${(rows / took).toFixed(0)} tokens/s, ${(rate / 1e9).toFixed(1)} GFLOP/s, ` +
      `${((100 * rate) / peak).toFixed(0)} % of the product (best of ${steps.length} steps of ${rows} rows, ` +
      `median ${usual.toFixed(3)} s)`,
  )
  appendRow(`train-${machineName()}`, {
    date: today(),
    device: native.device,
    threads: options.threads,
    active_parameters: parameters(nano).active,
    sequence: length,
    rows,
    tokens_per_second: (rows / usual).toFixed(0),
    gflops: (operations(length) / usual / 1e9).toFixed(1),
    product_gflops: (peak / 1e9).toFixed(1),
  })
  const inOps = parts.reduce((sum, [, time]) => sum + time, 0)
  const lines = [...parts, ["the rest", took - inOps] as const].sort((a, b) => b[1] - a[1])
  for (const [op, time] of lines.slice(0, 12))
    console.log(
      `  ${op.padEnd(18)} ${(1000 * time).toFixed(1).padStart(7)} ms  ${((100 * time) / took).toFixed(1)} %`,
    )
}

console.log(`${options.threads} threads; ${parameters(nano).active} active parameters`)
for (const length of [256, 2048])
  for (const products of options.products.split(",") as Products[]) {
    const native = new NativeOps({ threads: Number(options.threads), products })
    const peak = bestProduct(native, 512)
    console.log(`${native.device}: 512x512x512: ${(peak / 1e9).toFixed(1)} GFLOP/s`)
    bench(length, peak, native)
  }
