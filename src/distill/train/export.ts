// Step 6. Trained parameters in, a Hugging Face folder out that every reader of Qwen3-MoE knows: config.json and
// model.safetensors, one matrix per expert, in BF16 or FP8. Knows names, shapes and bits.

import { join } from "node:path"
import type { ModelConfig, RawConfig } from "../../model/config.ts"
import type { TensorSpec } from "../../weights/spec.ts"
import { float8Values } from "../../weights/float8.ts"
import { toBfloat } from "../../weights/half.ts"
import { scaleBlock } from "../../weights/source.ts"
import type { Values } from "./ops.ts"
import type { Parameters } from "./parameters.ts"
import { writeText } from "../../weights/disk.ts"
import { bytesOf, writeSafetensors, type WrittenTensor } from "./safetensors-writer.ts"

export type ExportType = "bf16" | "fp8"

export function exportCheckpoint(
  folder: string,
  config: ModelConfig,
  parameters: Parameters,
  type: ExportType,
  fields: RawConfig,
): void {
  const tensors = parameters.specs.flatMap((spec) => tensorsOf(spec, parameters.value(spec.name), type))
  writeSafetensors(join(folder, "model.safetensors"), tensors, { format: "pt" })
  const json = { ...rawConfig(config, type), ...fields }
  writeText(join(folder, "config.json"), JSON.stringify(json, undefined, 2) + "\n")
}

function rawConfig(config: ModelConfig, type: ExportType): RawConfig {
  return {
    architectures: ["Qwen3MoeForCausalLM"],
    model_type: "qwen3_moe",
    attention_bias: false,
    attention_dropout: 0,
    decoder_sparse_step: 1,
    head_dim: config.headDim,
    hidden_act: "silu",
    hidden_size: config.hidden,
    intermediate_size: config.expertHidden * config.topK,
    max_position_embeddings: config.maxPositions,
    mlp_only_layers: [],
    moe_intermediate_size: config.expertHidden,
    norm_topk_prob: config.normaliseTopK,
    num_attention_heads: config.heads,
    num_experts: config.experts,
    num_experts_per_tok: config.topK,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.kvHeads,
    rms_norm_eps: config.epsilon,
    rope_scaling: null,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tied,
    torch_dtype: "bfloat16",
    use_cache: true,
    use_sliding_window: false,
    vocab_size: config.vocab,
    ...(type === "fp8" && {
      quantization_config: {
        activation_scheme: "dynamic",
        fmt: "e4m3",
        quant_method: "fp8",
        weight_block_size: [scaleBlock, scaleBlock],
      },
    }),
  }
}

function tensorsOf({ name, shape, role }: TensorSpec, values: Values, type: ExportType): WrittenTensor[] {
  const write = type === "fp8" && role === "matrix" ? float8Tensors : bfloatTensors
  if (shape.length < 3) return write(name, shape, values)
  const [experts, ...matrix] = shape
  const size = values.length / experts
  return Array.from({ length: experts }, (_, expert) => {
    const place = name.replace(".experts.", `.experts.${expert}.`)
    return write(place, matrix, values.subarray(expert * size, (expert + 1) * size))
  }).flat()
}

function bfloatTensors(name: string, shape: readonly number[], values: Values): WrittenTensor[] {
  return [{ name, dtype: "BF16", shape, bytes: bytesOf(Uint16Array.from(values, toBfloat)) }]
}

const largestFloat8 = 448

/** Every block of 128x128 weights is scaled so that its largest is E4M3's largest. */
function float8Tensors(name: string, shape: readonly number[], values: Values): WrittenTensor[] {
  const [rows, columns] = shape
  const wide = Math.ceil(columns / scaleBlock)
  const scales = new Float32Array(Math.ceil(rows / scaleBlock) * wide)
  const block = (i: number) =>
    Math.floor(i / columns / scaleBlock) * wide + Math.floor((i % columns) / scaleBlock)
  for (const [i, value] of values.entries())
    scales[block(i)] = Math.max(scales[block(i)], Math.abs(value) / largestFloat8)
  const bits = Uint8Array.from(values, (value, i) => toFloat8(scales[block(i)] && value / scales[block(i)]))
  return [
    { name, dtype: "F8_E4M3", shape, bytes: bits },
    { name: `${name}_scale_inv`, dtype: "F32", shape: [scales.length / wide, wide], bytes: bytesOf(scales) },
  ]
}

/** The bits of the nearest E4M3, ties to even: its finite values ascend with their bits. */
function toFloat8(value: number): number {
  const magnitude = Math.abs(value)
  let low = 0
  let high = 0x7e
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (float8Values[middle] <= magnitude) low = middle
    else high = middle
  }
  const below = magnitude - float8Values[low]
  const above = float8Values[high] - magnitude
  const bits = below < above || (below === above && low % 2 === 0) ? low : high
  return value < 0 ? bits | 0x80 : bits
}
