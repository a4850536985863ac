// A tiny qwen3moe model as a GGUF file, with each part open to change.

import type { GgufField, GgufTestFile, GgufTestTensor } from "./checkpoint-files.ts"
import { concat, little, randomBytes } from "./checkpoint-files.ts"
import { seeded } from "./random.ts"

const tokens = [..."abcdefghijklmn", "<|endoftext|>", "<|im_end|>"]

const metadata: readonly [string, GgufField][] = [
  ["general.architecture", ["string", "qwen3moe"]],
  ["general.sampling.temp", ["f32", 0.6]],
  ["qwen3moe.block_count", ["u32", 1]],
  ["qwen3moe.context_length", ["u32", 128]],
  ["qwen3moe.embedding_length", ["u32", 32]],
  ["qwen3moe.feed_forward_length", ["u32", 96]],
  ["qwen3moe.attention.head_count", ["u32", 2]],
  ["qwen3moe.attention.head_count_kv", ["u32", 1]],
  ["qwen3moe.attention.key_length", ["u32", 4]],
  ["qwen3moe.attention.value_length", ["u32", 4]],
  ["qwen3moe.attention.layer_norm_rms_epsilon", ["f32", 1e-6]],
  ["qwen3moe.rope.freq_base", ["f32", 10000]],
  ["qwen3moe.expert_count", ["u32", 3]],
  ["qwen3moe.expert_used_count", ["u32", 2]],
  ["qwen3moe.expert_feed_forward_length", ["u32", 64]],
  ["tokenizer.ggml.model", ["string", "gpt2"]],
  ["tokenizer.ggml.pre", ["string", "qwen2"]],
  ["tokenizer.ggml.tokens", ["strings", tokens]],
  ["tokenizer.ggml.token_type", ["i32s", tokens.map((_, id) => (id < 14 ? 1 : 3))]],
  ["tokenizer.ggml.merges", ["strings", ["a b"]]],
  ["tokenizer.ggml.bos_token_id", ["u32", 14]],
  ["tokenizer.ggml.eos_token_id", ["u32", 15]],
  ["tokenizer.ggml.padding_token_id", ["u32", 14]],
  ["tokenizer.chat_template", ["string", "{{ messages }}"]],
]

/** ggml's numbers, and bytes per block of values. */
const types = { F32: [0, 4, 1], Q4_0: [2, 18, 32], Q8_0: [8, 34, 32] } as const

const shapes: readonly [string, keyof typeof types, number[]][] = [
  ["token_embd.weight", "Q4_0", [32, 16]],
  ["output_norm.weight", "F32", [32]],
  ["output.weight", "Q8_0", [32, 16]],
  ["blk.0.attn_norm.weight", "F32", [32]],
  ["blk.0.attn_q.weight", "Q4_0", [32, 8]],
  ["blk.0.attn_k.weight", "Q4_0", [32, 4]],
  ["blk.0.attn_v.weight", "Q8_0", [32, 4]],
  ["blk.0.attn_output.weight", "F32", [8, 32]],
  ["blk.0.attn_q_norm.weight", "F32", [4]],
  ["blk.0.attn_k_norm.weight", "F32", [4]],
  ["blk.0.ffn_norm.weight", "F32", [32]],
  ["blk.0.ffn_gate_inp.weight", "F32", [32, 3]],
  ["blk.0.ffn_gate_exps.weight", "Q4_0", [32, 64, 3]],
  ["blk.0.ffn_up_exps.weight", "Q4_0", [32, 64, 3]],
  ["blk.0.ffn_down_exps.weight", "Q8_0", [64, 32, 3]],
]

/** A float32, or a float16 scale of 2^-4 and what follows it; all values are finite and small. */
function block(random: () => number, bytes: number): Uint8Array {
  if (bytes === 4) return new Uint8Array(Float32Array.of(random() - 0.5).buffer)
  return concat(little(0x2c00, 16), randomBytes(random, bytes - 2))
}

/** `changes` replace metadata, add to it, or take away where the field is undefined. */
export function tinyGguf(changes: [string, GgufField | undefined][] = []): GgufTestFile {
  const random = seeded(3)
  const fields = new Map<string, GgufField | undefined>([...metadata, ...changes])
  const tensors = shapes.map(([name, type, sizes]): [string, GgufTestTensor] => {
    const [number, blockBytes, blockValues] = types[type]
    const blocks = sizes.reduce((all, size) => all * size, 1) / blockValues
    const pieces = Array.from({ length: blocks }, () => block(random, blockBytes))
    return [name, { type: number, sizes, bytes: concat(...pieces) }]
  })
  const kept = [...fields].flatMap(([key, field]): [string, GgufField][] => (field ? [[key, field]] : []))
  return { metadata: kept, tensors }
}
