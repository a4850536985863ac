// A model of the least sizes that the training kernels take, with random parameters and batches, for the tests of
// training.

import type { ModelConfig } from "../src/model/config.ts"
import { Arena } from "../src/distill/train/arena.ts"
import type { TrainBatch } from "../src/distill/train/batch.ts"
import { angles, type Network } from "../src/distill/train/model.ts"
import type { Ops } from "../src/distill/train/ops.ts"
import { Parameters } from "../src/distill/train/parameters.ts"
import { seeded } from "./random.ts"

export const tinyConfig: ModelConfig = {
  layers: 2,
  hidden: 16,
  heads: 4,
  kvHeads: 2,
  headDim: 32,
  experts: 4,
  topK: 2,
  expertHidden: 16,
  vocab: 21,
  maxPositions: 256,
  ropeTheta: 100,
  epsilon: 1e-6,
  normaliseTopK: true,
  tied: true,
}

/** Parameters far from their symmetric start, so that every one matters. */
export function tinyNetwork(ops: Ops, config: ModelConfig, seed: number): Network {
  const parameters = new Parameters(config, ops)
  const random = seeded(seed)
  for (const { name, role, shape } of parameters.specs) {
    const spread = 1.6 / Math.sqrt(shape[shape.length - 1])
    const value = () => (role === "vector" ? 1 + 0.4 * (random() - 0.5) : 2 * spread * (random() - 0.5))
    // Rounded to float32, so that both kinds of ops have the same.
    parameters.value(name).set(Array.from(parameters.value(name), () => Math.fround(value())))
  }
  return { config, ops, parameters, arena: new Arena(ops), angles: angles(config, ops) }
}

/** Sequences of the given lengths; some rows have no target, weights differ. */
export function tinyBatch(lengths: readonly number[], vocab: number, seed: number): TrainBatch {
  const random = seeded(seed)
  const rows = lengths.reduce((sum, length) => sum + length, 0)
  const id = () => Math.floor(random() * vocab)
  return {
    ids: Int32Array.from({ length: rows }, id),
    targets: Int32Array.from({ length: rows }, () => (random() < 0.2 ? -1 : id())),
    weights: Float32Array.from({ length: rows }, () => 0.1 + random()),
    starts: Int32Array.from([0, ...lengths].map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0))),
  }
}

/** Normal enough values for tensors of tests. */
export function randomValues(ops: Ops, length: number, seed: number) {
  const random = seeded(seed)
  return ops.values(length).map(() => Math.fround(2 * random() - 1))
}

/** Largest difference over the largest value of the wanted. */
export function relativeError(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  let difference = 0
  let largest = 0
  for (let i = 0; i < wanted.length; i++) {
    difference = Math.max(difference, Math.abs(got[i] - wanted[i]))
    largest = Math.max(largest, Math.abs(wanted[i]))
  }
  return difference / largest
}
