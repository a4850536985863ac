// What a model needs of a machine: weights, keys and values, and one step's activations against the memory there is.
// Works from the config alone, so that it can be asked before anything is downloaded. Knows no backend.

import { tensorBytes } from "../weights/format.ts"
import { formatOf } from "../weights/pack-plan.ts"
import type { ModelConfig } from "./config.ts"
import { planKv } from "./kv-plan.ts"
import type { KvPlan, KvType } from "./kv-plan.ts"
import { tensorSpecs } from "./tensors.ts"

export interface MemoryRequest {
  config: ModelConfig
  /** Of the packed tensors; `packedBytes` where left out. */
  weightBytes?: number
  /** Of each sequence. */
  contextTokens: number
  sequences?: number
  kv?: KvType
  /** Most bytes for keys and values; what weights and scratch leave where left out. */
  kvBudgetBytes?: number
  /** Most rows of one step. */
  chunkTokens?: number
  availableBytes: number
}

export interface MemoryPlan {
  weightBytes: number
  kvBytes: number
  scratchBytes: number
  totalBytes: number
  availableBytes: number
  fits: boolean
  /** Longest context of the same number of sequences that fits; 0 where not even the weights do. */
  largestContextTokens: number
  /** `f16` in place of an `auto` that fits in 16 bits. */
  kv: KvType
  /** Pages of 128 tokens by the way they are kept: T0 in 16 bits. */
  tiers: KvPlan["tiers"]
  kvBudgetBytes: number
}

export function planMemory(request: MemoryRequest): MemoryPlan {
  const { config, contextTokens, sequences = 1, kv = "f16", chunkTokens = 512, availableBytes } = request
  const weightBytes = request.weightBytes ?? packedBytes(config)
  const scratchBytes = stepBytes(config, chunkTokens, sequences)
  const left = Math.max(0, availableBytes - weightBytes - scratchBytes)
  const kvBudgetBytes = Math.min(request.kvBudgetBytes ?? Infinity, left)
  const kvPlan = planKv({ config, kv, contextTokens, sequences, chunkTokens, budgetBytes: kvBudgetBytes })
  const totalBytes = weightBytes + kvPlan.bytes + scratchBytes
  return {
    weightBytes,
    kvBytes: kvPlan.bytes,
    scratchBytes,
    totalBytes,
    availableBytes,
    fits: totalBytes <= availableBytes && kvPlan.bytes <= kvBudgetBytes,
    largestContextTokens: kvPlan.largestContextTokens,
    kv: kvPlan.kv,
    tiers: kvPlan.tiers,
    kvBudgetBytes,
  }
}

/** The packed tensors of a BF16 checkpoint, at about 4.5 bits per weight. */
export function packedBytes(config: ModelConfig): number {
  return tensorSpecs(config).reduce((sum, { shape, role }) => {
    const format = formatOf("BF16", role, shape[shape.length - 1], "auto")
    return sum + tensorBytes(format, shape)
  }, 0)
}

/** float32 activations that live at once in a layer, for every row, and one row of logits per sequence. */
function stepBytes(config: ModelConfig, rows: number, sequences: number): number {
  const { hidden, heads, kvHeads, headDim, experts, topK, expertHidden, vocab } = config
  const residualAndNormed = 2 * hidden
  const queriesAndAttended = 2 * heads * headDim
  const keysAndValues = 2 * kvHeads * headDim
  const routed = experts + topK * expertHidden
  return 4 * (rows * (residualAndNormed + queriesAndAttended + keysAndValues + routed) + sequences * vocab)
}
