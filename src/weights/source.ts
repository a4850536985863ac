// The nouns of a checkpoint: tensors as they lie in the source's files, and the block geometry of their types.
// Readers fill these in, the packer consumes them.

import type { Json } from "../types.ts"

/** Names as GGUF and safetensors write them; Q4_S is our own. Quantised types hold 32 or 256 values per block. */
export const sourceTypes = [
  "F32",
  "F16",
  "BF16",
  "F8_E4M3",
  "Q4_0",
  "Q8_0",
  "Q4_K",
  "Q5_K",
  "Q6_K",
  "Q4_S",
] as const
export type SourceType = (typeof sourceTypes)[number]

/** `blockBytes` bytes hold `blockValues` consecutive values of a row. */
export const sourceGeometry = {
  F32: { blockValues: 1, blockBytes: 4 },
  F16: { blockValues: 1, blockBytes: 2 },
  BF16: { blockValues: 1, blockBytes: 2 },
  F8_E4M3: { blockValues: 1, blockBytes: 1 },
  Q4_0: { blockValues: 32, blockBytes: 18 },
  Q8_0: { blockValues: 32, blockBytes: 34 },
  Q4_K: { blockValues: 256, blockBytes: 144 },
  Q5_K: { blockValues: 256, blockBytes: 176 },
  Q6_K: { blockValues: 256, blockBytes: 210 },
  Q4_S: { blockValues: 256, blockBytes: 138 },
} as const satisfies Record<SourceType, { blockValues: number; blockBytes: number }>

/** Bytes of `values` consecutive values; `values` is a whole number of blocks. */
export function typeBytes(type: SourceType, values: number): number {
  const { blockValues, blockBytes } = sourceGeometry[type]
  return (values / blockValues) * blockBytes
}

/** A run of bytes in a file. */
export interface SourcePart {
  path: string
  offset: number
  bytes: number
}

export interface SourceTensor {
  /** Hugging Face name; experts stacked, e.g. `model.layers.0.mlp.experts.gate_proj.weight`. */
  name: string
  type: SourceType
  /** [columns], [rows, columns] or [experts, rows, columns] */
  shape: number[]
  /** Concatenated in order they are the tensor, row-major; one part per expert where stored so. */
  parts: SourcePart[]
  /** FP8 only: `weight_scale_inv`, one value per 128x128 weights, [rows / 128, columns / 128] or stacked alike. */
  scales?: SourceTensor
}

/** Side of the square of FP8 weights that shares one scale. */
export const scaleBlock = 128

export interface Checkpoint {
  kind: "folder" | "gguf"
  path: string
  /** In the form of Hugging Face's config.json, also when it is made from GGUF metadata. */
  config: Record<string, Json>
  generationConfig?: Record<string, Json>
  /** By name: config.json, generation_config.json, tokenizer.json, tokenizer_config.json, chat_template.jinja. */
  files: Map<string, Uint8Array>
  /** By canonical name. */
  tensors: Map<string, SourceTensor>
  /** Of all tensors, as stored. */
  bytes: number
}

/** Bytes of all tensors with their scales. */
export function storedBytes(tensors: Iterable<SourceTensor>): number {
  let total = 0
  for (const { parts, scales } of tensors) {
    for (const part of parts) total += part.bytes
    if (scales !== undefined) total += storedBytes([scales])
  }
  return total
}
