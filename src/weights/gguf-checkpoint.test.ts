import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { gguf, memory, testFolder, writeFiles, type GgufField } from "../../test/checkpoint-files.ts"
import { tinyGguf } from "../../test/tiny-gguf.ts"
import { parseConfig } from "../model/config.ts"
import { tensorSpecs } from "../model/tensors.ts"
import { checkTensors } from "./check.ts"
import { openCheckpoint } from "./checkpoint.ts"
import { readGguf } from "./gguf-checkpoint.ts"

const read = (changes?: [string, GgufField | undefined][]) => readGguf(memory(gguf(tinyGguf(changes))), "own")

test("metadata becomes the config that the model's own folder would have", () => {
  const { config, generationConfig } = read()
  expect(config).toEqual({
    architectures: ["Qwen3MoeForCausalLM"],
    attention_bias: false,
    bos_token_id: 14,
    decoder_sparse_step: 1,
    eos_token_id: 15,
    head_dim: 4,
    hidden_act: "silu",
    hidden_size: 32,
    intermediate_size: 96,
    max_position_embeddings: 128,
    mlp_only_layers: [],
    model_type: "qwen3_moe",
    moe_intermediate_size: 64,
    norm_topk_prob: true,
    num_attention_heads: 2,
    num_experts: 3,
    num_experts_per_tok: 2,
    num_hidden_layers: 1,
    num_key_value_heads: 1,
    pad_token_id: 14,
    rms_norm_eps: 1e-6,
    rope_scaling: null,
    rope_theta: 10000,
    tie_word_embeddings: false,
    use_sliding_window: false,
    vocab_size: 16,
  })
  expect(generationConfig).toEqual({
    bos_token_id: 14,
    eos_token_id: [15, 14],
    pad_token_id: 14,
    temperature: 0.6,
  })
})

test("a turn ends with the declared ids, and with the end of a text where there is such a token", () => {
  const tokens: GgufField = ["strings", [..."abcdefghijklmnop"]]
  const ends = (...changes: [string, GgufField | undefined][]) => read(changes).generationConfig?.eos_token_id
  expect(ends(["tokenizer.ggml.tokens", tokens])).toEqual([15])
  expect(ends(["tokenizer.ggml.tokens", tokens], ["tokenizer.ggml.eot_token_id", ["u32", 13]])).toEqual([
    15, 13,
  ])
  expect(ends(["tokenizer.ggml.eos_token_id", undefined])).toEqual([14])
})

test("the tensors have Hugging Face's names, shapes in its order and ggml's types", () => {
  const checkpoint = read()
  checkTensors(checkpoint, tensorSpecs(parseConfig(checkpoint.config)))
  expect(checkpoint.tensors.get("model.layers.0.mlp.experts.down_proj.weight")).toMatchObject({
    type: "Q8_0",
    shape: [3, 32, 64],
  })
  expect(checkpoint.tensors.get("model.layers.0.self_attn.q_proj.weight")).toMatchObject({
    type: "Q4_0",
    shape: [8, 32],
  })
})

test("a file without output.weight is tied", () => {
  const file = tinyGguf()
  const tensors = file.tensors.filter(([name]) => name !== "output.weight")
  const { config } = readGguf(memory(gguf({ ...file, tensors })), "own")
  expect(config.tie_word_embeddings).toBe(true)
})

test("YaRN's metadata becomes rope_scaling", () => {
  const { config } = read([
    ["qwen3moe.rope.scaling.type", ["string", "yarn"]],
    ["qwen3moe.rope.scaling.factor", ["f32", 4]],
    ["qwen3moe.rope.scaling.original_context_length", ["u32", 32768]],
    ["qwen3moe.rope.scaling.yarn_beta_fast", ["f32", 16]],
    ["qwen3moe.rope.scaling.finetuned", ["bool", true]],
  ])
  expect(config.rope_scaling).toEqual({
    rope_type: "yarn",
    factor: 4,
    original_max_position_embeddings: 32768,
    beta_fast: 16,
  })
  expect(parseConfig(config).ropeScaling).toMatchObject({ factor: 4, originalPositions: 32768, betaFast: 16 })
})

test("a scaling that has no counterpart is left for the config's reader to refuse", () => {
  const { config } = read([
    ["qwen3moe.rope.scaling.type", ["string", "yarn"]],
    ["qwen3moe.rope.scaling.factor", ["f32", 4]],
    ["qwen3moe.rope.scaling.attn_factor", ["f32", 2]],
  ])
  expect(() => parseConfig(config)).toThrow("rope_scaling.attn_factor")
})

test("another folder's tokenizer takes the place of the file's own, the file's ids stay", async () => {
  const folder = testFolder()
  const path = join(folder, "model.gguf")
  writeFileSync(path, gguf(tinyGguf([["tokenizer.ggml.pre", ["string", "something else"]]])))
  await expect(openCheckpoint(path)).rejects.toThrow("not Qwen's")
  const tokenizer = writeFiles(join(folder, "tokenizer"), {
    "tokenizer.json": new TextEncoder().encode("{}"),
  })
  const checkpoint = await openCheckpoint(path, { tokenizer })
  expect(new TextDecoder().decode(checkpoint.files.get("tokenizer.json"))).toBe("{}")
  expect(checkpoint.generationConfig).toMatchObject({ eos_token_id: [15, 14] })
})

const parity = join(import.meta.dirname, "../../../shared/data/parity")

describe.runIf(existsSync(parity))("llama.cpp's parity files", () => {
  test.each([
    ["q4_0", ["F32", "Q4_0", "Q6_K"]],
    ["q8_0", ["F32", "Q8_0"]],
    ["q4_k_m", ["F32", "Q4_K", "Q6_K"]],
  ])("parity-%s opens, and its tensors fill it to the end", async (name, types) => {
    const path = join(parity, `parity-${name}.gguf`)
    const checkpoint = await openCheckpoint(path)
    const config = parseConfig(checkpoint.config)
    expect(config).toMatchObject({
      layers: 4,
      hidden: 256,
      heads: 8,
      kvHeads: 2,
      headDim: 64,
      experts: 16,
      topK: 4,
    })
    checkTensors(checkpoint, tensorSpecs(config))
    const stored = [...checkpoint.tensors.values()]
    expect([...new Set(stored.map(({ type }) => type))].sort()).toEqual(types)
    const ends = stored.map(({ parts: [{ offset, bytes }] }) => offset + bytes)
    expect(Math.ceil(Math.max(...ends) / 32) * 32).toBe(readFileSync(path).length)
  })
})
