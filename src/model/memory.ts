// What a model needs of a machine: weights, keys and values, and one step's activations against the memory there is.
// Works from the config alone, so that it can be asked before anything is downloaded. Knows no backend.

import { pageTokens } from "../backend/backend.ts"
import { tensorBytes } from "../weights/format.ts"
import { formatOf } from "../weights/pack-plan.ts"
import type { ModelConfig } from "./config.ts"
import { tensorSpecs } from "./tensors.ts"

/** How keys and values are kept. */
export type KvType = "f16" | "f32"

const kvValueBytes = { f16: 2, f32: 4 } as const satisfies Record<KvType, number>

export interface MemoryRequest {
  config: ModelConfig
  /** Of the packed tensors; `packedBytes` where left out. */
  weightBytes?: number
  /** Of each sequence. */
  contextTokens: number
  sequences?: number
  kv?: KvType
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
}

export function planMemory(request: MemoryRequest): MemoryPlan {
  const { config, contextTokens, sequences = 1, kv = "f16", chunkTokens = 512, availableBytes } = request
  const weightBytes = request.weightBytes ?? packedBytes(config)
  const pageBytes = sequences * pageTokens * kvTokenBytes(config, kv)
  const kvBytes = Math.ceil(contextTokens / pageTokens) * pageBytes
  const scratchBytes = stepBytes(config, chunkTokens, sequences)
  const totalBytes = weightBytes + kvBytes + scratchBytes
  const pagesLeft = Math.max(0, Math.floor((availableBytes - weightBytes - scratchBytes) / pageBytes))
  return {
    weightBytes,
    kvBytes,
    scratchBytes,
    totalBytes,
    availableBytes,
    fits: totalBytes <= availableBytes,
    largestContextTokens: Math.min(pagesLeft * pageTokens, config.maxPositions),
  }
}

/** One token's keys and values in all layers. */
export function kvTokenBytes({ layers, kvHeads, headDim }: ModelConfig, kv: KvType): number {
  return layers * 2 * kvHeads * headDim * kvValueBytes[kv]
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
