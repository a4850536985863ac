// GGUF metadata of architecture qwen3moe in, the fields of Hugging Face's config.json and generation_config.json out.
// Knows metadata keys; never tensors, but for the two whose presence or shape is part of the config.

import { UserError } from "../util/errors.ts"
import { quoted } from "./file.ts"
import type { GgufValue } from "./gguf.ts"
import type { JsonObject } from "./json.ts"

export type Metadata = ReadonlyMap<string, GgufValue>

const architecture = "qwen3moe"

export function checkArchitecture(metadata: Metadata, path: string): void {
  const got = metadata.get("general.architecture")
  if (got !== architecture)
    throw new UserError(
      "unsupported",
      `${path} has the architecture ${typeof got === "string" ? quoted(got) : "none"}; wanted ` +
        `"${architecture}": use a GGUF file of Qwen3-30B-A3B`,
    )
  const pieces = metadata.get("split.count")
  if (typeof pieces === "number" && pieces > 1)
    throw new UserError(
      "unsupported",
      `${path} is one of ${pieces} pieces: join them with llama-gguf-split --merge`,
    )
}

/** `vocab` and `hasHead` are what the tensors say: rows of token_embd, and whether output.weight is there. */
export function configOf(metadata: Metadata, vocab: number, hasHead: boolean, path: string): JsonObject {
  const number = (key: string) => requiredNumber(metadata, `${architecture}.${key}`, path)
  const headDim = number("attention.key_length")
  if (number("attention.value_length") !== headDim)
    throw new UserError(
      "unsupported",
      `${path} has values of another length than its keys: use Qwen3-30B-A3B`,
    )
  return {
    architectures: ["Qwen3MoeForCausalLM"],
    attention_bias: false,
    ...tokenIds(metadata),
    decoder_sparse_step: 1,
    head_dim: headDim,
    hidden_act: "silu",
    hidden_size: number("embedding_length"),
    ...(metadata.has(`${architecture}.feed_forward_length`) && {
      intermediate_size: number("feed_forward_length"),
    }),
    max_position_embeddings: number("context_length"),
    mlp_only_layers: [],
    model_type: "qwen3_moe",
    moe_intermediate_size: number("expert_feed_forward_length"),
    // GGUF has no key for it: the architecture implies it.
    norm_topk_prob: true,
    num_attention_heads: number("attention.head_count"),
    num_experts: number("expert_count"),
    num_experts_per_tok: number("expert_used_count"),
    num_hidden_layers: number("block_count"),
    num_key_value_heads: number("attention.head_count_kv"),
    rms_norm_eps: number("attention.layer_norm_rms_epsilon"),
    rope_scaling: ropeScaling(metadata),
    rope_theta: number("rope.freq_base"),
    tie_word_embeddings: !hasHead,
    use_sliding_window: false,
    vocab_size: vocab,
  }
}

const renamedScaling: ReadonlyMap<string, string> = new Map([
  ["type", "rope_type"],
  ["original_context_length", "original_max_position_embeddings"],
  ["yarn_beta_fast", "beta_fast"],
  ["yarn_beta_slow", "beta_slow"],
])

/** Keys without a counterpart keep their names, so that whoever reads the config refuses them. */
function ropeScaling(metadata: Metadata): JsonObject | null {
  const prefix = `${architecture}.rope.scaling.`
  const type = metadata.get(`${prefix}type`)
  if (type === undefined || type === "none") return null
  const scaling: JsonObject = {}
  for (const [key, value] of metadata) {
    if (!key.startsWith(prefix) || typeof value === "object" || key === `${prefix}finetuned`) continue
    const name = key.slice(prefix.length)
    scaling[renamedScaling.get(name) ?? name] = value
  }
  return scaling
}

const samplingFields = [
  ["general.sampling.temp", "temperature"],
  ["general.sampling.top_k", "top_k"],
  ["general.sampling.top_p", "top_p"],
  ["general.sampling.min_p", "min_p"],
  ["general.sampling.penalty_repeat", "repetition_penalty"],
] as const

export function generationConfigOf(metadata: Metadata): JsonObject {
  const config: JsonObject = { ...tokenIds(metadata), eos_token_id: endIds(metadata) }
  for (const [key, field] of samplingFields) {
    const value = metadata.get(key)
    if (typeof value === "number" && Number.isFinite(value)) config[field] = value
  }
  return config
}

/** The declared ends, and the end of a text, which a model may give in place of the end of its turn. */
function endIds(metadata: Metadata): number[] {
  const ids = ["eos", "eot"].map((key) => metadata.get(`tokenizer.ggml.${key}_token_id`))
  const tokens = metadata.get("tokenizer.ggml.tokens")
  const endOfText = Array.isArray(tokens) ? tokens.indexOf("<|endoftext|>") : -1
  const given = [...ids, endOfText].filter((id) => typeof id === "number")
  return [...new Set(given)].filter((id) => id >= 0)
}

function tokenIds(metadata: Metadata): JsonObject {
  const ids: JsonObject = {}
  for (const [key, field] of [
    ["bos", "bos_token_id"],
    ["eos", "eos_token_id"],
    ["padding", "pad_token_id"],
  ]) {
    const id = metadata.get(`tokenizer.ggml.${key}_token_id`)
    if (typeof id === "number") ids[field] = id
  }
  return ids
}

function requiredNumber(metadata: Metadata, key: string, path: string): number {
  const value = metadata.get(key)
  if (typeof value === "number" && Number.isFinite(value)) return value
  const got = value === undefined ? `has no ${key}` : `has ${key} of another type`
  throw new UserError(
    "bad-file",
    `${path} ${got}; wanted a number: convert it again with a current llama.cpp`,
  )
}
