// Step 5. A checkpoint's config.json in, checked dimensions out. Every field that changes the numbers is read from
// the file: the architecture's class defaults are wrong for this model. Knows no tensors, files or backends.

import type { Json } from "../types.ts"
import { UserError } from "../util/errors.ts"

/** YaRN (arXiv 2309.00071): rotary frequencies stretched to `factor` times the length of training. */
export interface Yarn {
  factor: number
  originalPositions: number
  betaFast: number
  betaSlow: number
  /** Multiplies cos and sin; 0.1 ln(factor) + 1 where absent. */
  attentionFactor?: number
}

export interface ModelConfig {
  layers: number
  hidden: number
  heads: number
  kvHeads: number
  headDim: number
  experts: number
  topK: number
  expertHidden: number
  vocab: number
  /** Most tokens of one sequence, YaRN included. */
  maxPositions: number
  ropeTheta: number
  ropeScaling?: Yarn
  /** Of every RMS norm. */
  epsilon: number
  /** Whether the weights of the chosen experts are made to sum to 1. */
  normaliseTopK: boolean
  /** Whether the head is the embedding. */
  tied: boolean
}

export type RawConfig = Record<string, Json>

const architecture = "Qwen3MoeForCausalLM"
const modelType = "qwen3_moe"

export function parseConfig(raw: RawConfig): ModelConfig {
  checkArchitecture(raw)
  refuseVariants(raw)
  const hidden = count(raw, "hidden_size", 1 << 20)
  const heads = count(raw, "num_attention_heads", 1 << 12)
  const config: ModelConfig = {
    layers: count(raw, "num_hidden_layers", 1 << 10),
    hidden,
    heads,
    kvHeads: count(raw, "num_key_value_heads", 1 << 12),
    headDim: isGiven(raw.head_dim) ? count(raw, "head_dim", 1 << 12) : hidden / heads,
    experts: count(raw, "num_experts", 1 << 12),
    topK: count(raw, "num_experts_per_tok", 1 << 12),
    expertHidden: count(raw, "moe_intermediate_size", 1 << 20),
    vocab: count(raw, "vocab_size", 1 << 24),
    epsilon: positive(raw, "rms_norm_eps"),
    normaliseTopK: flag(raw, "norm_topk_prob"),
    tied: isGiven(raw.tie_word_embeddings) && flag(raw, "tie_word_embeddings"),
    ...readRope(raw),
  }
  checkShapes(config)
  return config
}

function checkArchitecture(raw: RawConfig): void {
  const { architectures, model_type: type } = raw
  const names = Array.isArray(architectures) ? architectures : []
  if (!isGiven(type) && names.length === 0)
    throw refusal("names no architecture", `"model_type": "${modelType}"`, "bad-file")
  const other = names.find((name) => name !== architecture)
  if (other !== undefined) throw refusal(`has the architecture ${shown(other)}`, architecture)
  if (isGiven(type) && type !== modelType) throw refusal(`has the model_type ${shown(type)}`, modelType)
}

/** What this architecture's class could do, no Qwen3-30B-A3B checkpoint does, and the forward pass leaves out. */
function refuseVariants(raw: RawConfig): void {
  const only = (key: string, wanted: Json) => {
    const got = raw[key]
    if (isGiven(got) && JSON.stringify(got) !== JSON.stringify(wanted))
      throw refusal(`has ${key} ${shown(got)}`, shown(wanted))
  }
  only("attention_bias", false)
  only("qkv_bias", false)
  only("use_qk_norm", true)
  only("use_sliding_window", false)
  only("mlp_only_layers", [])
  only("decoder_sparse_step", 1)
  only("shared_expert_intermediate_size", 0)
  only("hidden_act", "silu")
  const types = Array.isArray(raw.layer_types) ? raw.layer_types : []
  const other = types.find((type) => type !== "full_attention")
  if (other !== undefined) throw refusal(`has a layer of type ${shown(other)}`, `"full_attention"`)
}

type RopeFields = Pick<ModelConfig, "maxPositions" | "ropeTheta" | "ropeScaling">

/** transformers 4 writes `rope_theta` and `rope_scaling`; transformers 5 writes both into `rope_parameters`. */
function readRope(raw: RawConfig): RopeFields {
  const declared = count(raw, "max_position_embeddings", 1 << 26)
  const key = isGiven(raw.rope_parameters) ? "rope_parameters" : "rope_scaling"
  const scaling = isGiven(raw[key]) ? object(raw, key) : {}
  const ropeTheta = positive(isGiven(scaling.rope_theta) ? scaling : raw, "rope_theta")
  const type = scaling.rope_type ?? scaling.type ?? "default"
  const native = Math.min(declared, chunkedNative(raw) ?? declared)
  if (type === "default") return { ropeTheta, maxPositions: native }
  if (type !== "yarn") throw refusal(`has rope type ${shown(type)}`, `"default" or "yarn"`)
  const ropeScaling = readYarn(scaling, key, declared)
  // With YaRN max_position_embeddings is left as it was trained (40,960) or set to the extended length.
  const extended = Math.floor(ropeScaling.factor * ropeScaling.originalPositions)
  return { ropeTheta, ropeScaling, maxPositions: Math.min(extended, chunkedNative(raw) ?? extended) }
}

const yarnKeys = [
  "rope_type",
  "type",
  "rope_theta",
  "factor",
  "original_max_position_embeddings",
  "beta_fast",
  "beta_slow",
  "attention_factor",
]

function readYarn(scaling: RawConfig, key: string, declared: number): Yarn {
  const unknown = Object.keys(scaling).find((name) => !yarnKeys.includes(name) && isGiven(scaling[name]))
  if (unknown) throw refusal(`has ${key}.${unknown}`, `only ${yarnKeys.join(", ")}`)
  const originalPositions = isGiven(scaling.original_max_position_embeddings)
    ? count(scaling, "original_max_position_embeddings", 1 << 26)
    : declared
  // `factor` counts where it is given, though transformers >= 4.52.3 put declared / original in its place:
  // for the 40,960 of the first release that would be 1.25 instead of the 4 that its model card asks for.
  const factor = isGiven(scaling.factor) ? positive(scaling, "factor") : declared / originalPositions
  if (factor < 1) throw refusal(`has a YaRN factor of ${factor}`, "at least 1", "bad-file")
  return {
    factor,
    originalPositions,
    betaFast: isGiven(scaling.beta_fast) ? positive(scaling, "beta_fast") : 32,
    betaSlow: isGiven(scaling.beta_slow) ? positive(scaling, "beta_slow") : 1,
    ...(isGiven(scaling.attention_factor) && { attentionFactor: positive(scaling, "attention_factor") }),
  }
}

/** Dual chunk attention equals plain attention up to the length of training, and only that much is offered. */
function chunkedNative(raw: RawConfig): number | undefined {
  if (!isGiven(raw.dual_chunk_attention_config)) return undefined
  const chunked = object(raw, "dual_chunk_attention_config")
  const key = isGiven(chunked.original_max_position_embeddings)
    ? "original_max_position_embeddings"
    : "chunk_size"
  return count(chunked, key, 1 << 26)
}

function checkShapes({ heads, kvHeads, headDim, hidden, experts, topK }: ModelConfig): void {
  const wrong = (got: string, wanted: string) => refusal(`has ${got}`, wanted, "bad-file")
  if (!Number.isInteger(headDim))
    throw wrong(`no head_dim, and hidden_size ${hidden} is not a multiple of ${heads} heads`, "a head_dim")
  if (headDim % 2 !== 0) throw wrong(`head_dim ${headDim}`, "an even one: rotary embedding turns pairs")
  if (heads % kvHeads !== 0)
    throw wrong(`${heads} attention heads over ${kvHeads} key/value heads`, "a multiple")
  if (topK > experts)
    throw wrong(`num_experts_per_tok ${topK} of num_experts ${experts}`, "at most all of them")
}

function isGiven(value: Json | undefined): value is Exclude<Json, null> {
  return value !== undefined && value !== null
}

function shown(value: Json): string {
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}

function refusal(got: string, wanted: string, code: "unsupported" | "bad-file" = "unsupported"): UserError {
  const step = code === "bad-file" ? "check config.json" : "use a Qwen3-30B-A3B checkpoint"
  return new UserError(code, `the model's config ${got}; wanted ${wanted}: ${step}`)
}

function field(raw: RawConfig, key: string, wanted: string): Exclude<Json, null> {
  const value = raw[key]
  if (!isGiven(value)) throw refusal(`has no ${key}`, wanted, "bad-file")
  return value
}

function count(raw: RawConfig, key: string, max: number): number {
  const wanted = `an integer of 1 to ${max}`
  const value = field(raw, key, wanted)
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= max) return value
  throw refusal(`has ${key} ${shown(value)}`, wanted, "bad-file")
}

function positive(raw: RawConfig, key: string): number {
  const value = field(raw, key, "a number above 0")
  if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value
  throw refusal(`has ${key} ${shown(value)}`, "a number above 0", "bad-file")
}

function flag(raw: RawConfig, key: string): boolean {
  const value = field(raw, key, "true or false")
  if (typeof value === "boolean") return value
  throw refusal(`has ${key} ${shown(value)}`, "true or false", "bad-file")
}

function object(raw: RawConfig, key: string): RawConfig {
  const value = field(raw, key, "an object")
  if (typeof value === "object" && !Array.isArray(value)) return value
  throw refusal(`has ${key} ${shown(value)}`, "an object", "bad-file")
}
