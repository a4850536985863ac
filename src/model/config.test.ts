import { describe, expect, test } from "vitest"
import { aprilConfig } from "../../test/april-config.ts"
import type { Json } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { parseConfig } from "./config.ts"

const changed = (changes: Record<string, Json>) => parseConfig({ ...aprilConfig, ...changes })

/** The config without some fields: JSON's null counts as absent. */
const lacking = (...keys: string[]) => changed(Object.fromEntries(keys.map((key) => [key, null])))

function refusalOf(build: () => unknown): UserError {
  try {
    build()
  } catch (error) {
    if (error instanceof UserError) return error
    throw error
  }
  throw new Error("was accepted")
}

test("the first release's config is read field by field", () => {
  expect(parseConfig(aprilConfig)).toEqual({
    layers: 48,
    hidden: 2048,
    heads: 32,
    kvHeads: 4,
    headDim: 128,
    experts: 128,
    topK: 8,
    expertHidden: 768,
    vocab: 151936,
    maxPositions: 40960,
    ropeTheta: 1e6,
    epsilon: 1e-6,
    normaliseTopK: true,
    tied: false,
  })
})

describe("fields that may be left out", () => {
  test("head_dim is hidden_size over the heads", () => {
    expect(lacking("head_dim").headDim).toBe(64)
    expect(refusalOf(() => changed({ head_dim: null, hidden_size: 2050 })).message).toContain("2050")
  })

  test("one of model_type and architectures is enough", () => {
    expect(lacking("model_type")).toEqual(lacking("architectures"))
    expect(refusalOf(() => lacking("model_type", "architectures")).code).toBe("bad-file")
  })

  test("embeddings are untied", () => {
    expect(lacking("tie_word_embeddings").tied).toBe(false)
    expect(changed({ tie_word_embeddings: true }).tied).toBe(true)
  })
})

test.each([
  "hidden_size",
  "max_position_embeddings",
  "moe_intermediate_size",
  "norm_topk_prob",
  "num_attention_heads",
  "num_experts",
  "num_experts_per_tok",
  "num_hidden_layers",
  "num_key_value_heads",
  "rms_norm_eps",
  "rope_theta",
  "vocab_size",
])("%s is never guessed", (key) => {
  const { message, code } = refusalOf(() => lacking(key))
  expect(code).toBe("bad-file")
  expect(message).toContain(`has no ${key}`)
})

test.each<[string, Json]>([
  ["hidden_size", -2048],
  ["hidden_size", 2048.5],
  ["hidden_size", "2048"],
  ["num_hidden_layers", 1e9],
  ["num_experts", 0],
  ["num_experts_per_tok", 129],
  ["num_key_value_heads", 5],
  ["head_dim", 127],
  ["rms_norm_eps", 0],
  ["rope_theta", [1e6]],
  ["norm_topk_prob", 1],
  ["tie_word_embeddings", "no"],
  ["rope_scaling", "yarn"],
])("%s of %j is a bad file", (key, value) => {
  const { message, code } = refusalOf(() => changed({ [key]: value }))
  expect(code).toBe("bad-file")
  expect(message).toContain(key === "num_key_value_heads" ? "key/value heads" : key)
})

test.each<[string, Json]>([
  ["architectures", ["LlamaForCausalLM"]],
  ["model_type", "qwen3_next"],
  ["attention_bias", true],
  ["qkv_bias", true],
  ["use_qk_norm", false],
  ["mlp_only_layers", [0, 1]],
  ["decoder_sparse_step", 2],
  ["use_sliding_window", true],
  ["shared_expert_intermediate_size", 512],
  ["hidden_act", "gelu"],
  ["rope_scaling", { rope_type: "llama3", factor: 8 }],
  ["rope_scaling", { rope_type: "yarn", factor: 4, mscale: 0.7 }],
])("%s of %j is refused by name", (key, value) => {
  const { message, code } = refusalOf(() => changed({ [key]: value }))
  expect(code).toBe("unsupported")
  const named = Array.isArray(value) ? value[0] : typeof value === "object" ? "rope" : value
  expect(message).toContain(`${named}`)
})

test("a layer with a sliding window is refused", () => {
  const layer_types = [...Array<string>(47).fill("full_attention"), "sliding_attention"]
  expect(refusalOf(() => changed({ layer_types })).message).toContain("sliding_attention")
})

describe("positions beyond the training length", () => {
  const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32768 }

  test("YaRN's own factor counts, whatever max_position_embeddings says", () => {
    for (const max_position_embeddings of [40960, 131072]) {
      const config = changed({ rope_scaling: yarn, max_position_embeddings })
      expect(config.maxPositions).toBe(131072)
      expect(config.ropeScaling).toEqual({ factor: 4, originalPositions: 32768, betaFast: 32, betaSlow: 1 })
    }
  })

  test("without a factor it is the declared length over the original", () => {
    const rope_scaling = { type: "yarn", original_max_position_embeddings: 32768 }
    const config = changed({ rope_scaling, max_position_embeddings: 98304 })
    expect([config.ropeScaling?.factor, config.maxPositions]).toEqual([3, 98304])
    expect(refusalOf(() => changed({ rope_scaling, max_position_embeddings: 4096 })).message).toContain(
      "0.125",
    )
  })

  test("transformers 5 writes the same into rope_parameters", () => {
    const rope_parameters = { ...yarn, rope_theta: 5e6, attention_factor: 1.25 }
    const config = changed({ rope_parameters, rope_theta: null })
    expect([config.ropeTheta, config.maxPositions]).toEqual([5e6, 131072])
    expect(config.ropeScaling?.attentionFactor).toBe(1.25)
    expect(changed({ rope_parameters: { rope_type: "default", rope_theta: 1e7 } }).ropeTheta).toBe(1e7)
  })

  test("dual chunk attention is accepted up to the native length", () => {
    const chunks = { chunk_size: 262144, local_size: 8192, original_max_position_embeddings: 262144 }
    const raw = { max_position_embeddings: 1010000, dual_chunk_attention_config: chunks }
    expect(changed(raw).maxPositions).toBe(262144)
  })
})
