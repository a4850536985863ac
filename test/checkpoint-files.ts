// Checkpoints made by hand for tests: safetensors and GGUF bytes, valid or broken on purpose, and a tiny model's
// folder. Shares no code with the package's own readers but the list of tensors that a config asks for.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { parseConfig } from "../src/model/config.ts"
import { tensorSpecs } from "../src/model/tensors.ts"
import type { Json } from "../src/types.ts"
import type { ByteSource } from "../src/weights/file.ts"
import { integer, seeded } from "./random.ts"

export interface TestTensor {
  dtype: string
  shape: number[]
  bytes: Uint8Array
}

export type TestTensors = Record<string, TestTensor>

const encoder = new TextEncoder()
const product = (shape: readonly number[]) => shape.reduce((all, size) => all * size, 1)

export function concat(...pieces: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces))
}

/** `bits` little-endian bits of a number. */
export function little(value: number | bigint, bits: 8 | 16 | 32 | 64): Uint8Array {
  const bytes = new Uint8Array(bits / 8)
  let rest = BigInt.asUintN(bits, BigInt(value))
  for (let i = 0; i < bytes.length; i++, rest >>= 8n) bytes[i] = Number(rest & 255n)
  return bytes
}

export function randomBytes(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => integer(random, 0, 255))
}

/** A file that exists only in memory; `size` is what it claims to have. */
export function memory(bytes: Uint8Array, size = bytes.length): ByteSource {
  return { path: "test", bytes: size, read: (offset, length) => bytes.slice(offset, offset + length) }
}

/** A folder that is removed when the test ends. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "a3b-test-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

// ---- safetensors

/** Any header over any data; `length` is what the file claims the header has. */
export function rawSafetensors(
  header: string | Uint8Array,
  data: Uint8Array = new Uint8Array(0),
  length?: number | bigint,
) {
  const bytes: Uint8Array = typeof header === "string" ? encoder.encode(header) : header
  return concat(little(length ?? bytes.length, 64), bytes, data)
}

export function safetensors(tensors: TestTensors): Uint8Array {
  const header: Record<string, Json> = { __metadata__: { format: "pt" } }
  let end = 0
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors))
    header[name] = { dtype, shape, data_offsets: [end, (end += bytes.length)] }
  return rawSafetensors(JSON.stringify(header), concat(...Object.values(tensors).map(({ bytes }) => bytes)))
}

// ---- GGUF

/** A metadata value: its type's name, then the value; `raw` is type and value byte by byte. */
export type GgufField =
  | ["u32", number]
  | ["i32", number]
  | ["u64", number]
  | ["f32", number]
  | ["f64", number]
  | ["bool", boolean]
  | ["string", string]
  | ["strings", readonly string[]]
  | ["i32s", readonly number[]]
  | ["raw", Uint8Array]

export function ggufString(text: string | Uint8Array): Uint8Array {
  const bytes = typeof text === "string" ? encoder.encode(text) : text
  return concat(little(bytes.length, 64), bytes)
}

function floatBytes(value: number, bits: 32 | 64): Uint8Array {
  const view = new DataView(new ArrayBuffer(bits / 8))
  if (bits === 32) view.setFloat32(0, value, true)
  else view.setFloat64(0, value, true)
  return new Uint8Array(view.buffer)
}

function fieldBytes([type, value]: GgufField): Uint8Array {
  if (type === "raw") return value
  if (type === "u32") return concat(little(4, 32), little(value, 32))
  if (type === "i32") return concat(little(5, 32), little(value, 32))
  if (type === "f32") return concat(little(6, 32), floatBytes(value, 32))
  if (type === "bool") return concat(little(7, 32), little(Number(value), 8))
  if (type === "string") return concat(little(8, 32), ggufString(value))
  if (type === "u64") return concat(little(10, 32), little(value, 64))
  if (type === "f64") return concat(little(12, 32), floatBytes(value, 64))
  if (type === "strings") return concat(little(9, 32), little(8, 32), little(value.length, 64), joined(value))
  return concat(
    little(9, 32),
    little(5, 32),
    little(value.length, 64),
    new Uint8Array(Int32Array.from(value).buffer),
  )
}

function joined(strings: readonly string[]): Uint8Array {
  return Buffer.concat(strings.map(ggufString))
}

export interface GgufTestTensor {
  /** ggml's number. */
  type: number
  /** Row length first. */
  sizes: (number | bigint)[]
  bytes: Uint8Array
  /** In place of where the bytes are. */
  offset?: number | bigint
}

export interface GgufTestFile {
  metadata: [key: string | Uint8Array, field: GgufField][]
  tensors: [name: string | Uint8Array, tensor: GgufTestTensor][]
  magic?: string
  version?: number
  alignment?: number
  numTensors?: number | bigint
  numKeys?: number | bigint
}

export function gguf(file: GgufTestFile): Uint8Array {
  const { metadata, tensors, alignment = 32 } = file
  const pieces = [
    encoder.encode(file.magic ?? "GGUF"),
    little(file.version ?? 3, 32),
    little(file.numTensors ?? tensors.length, 64),
    little(file.numKeys ?? metadata.length, 64),
    ...metadata.map(([key, field]) => concat(ggufString(key), fieldBytes(field))),
  ]
  const padded = (length: number) => Math.ceil(length / alignment) * alignment
  let end = 0
  for (const [name, { type, sizes, bytes, offset }] of tensors) {
    const dimensions = [little(sizes.length, 32), ...sizes.map((size) => little(size, 64))]
    pieces.push(ggufString(name), ...dimensions, little(type, 32), little(offset ?? end, 64))
    end += padded(bytes.length)
  }
  const head = concat(...pieces)
  const data = tensors.map(([, { bytes }]) =>
    concat(bytes, new Uint8Array(padded(bytes.length) - bytes.length)),
  )
  return concat(head, new Uint8Array(padded(head.length) - head.length), ...data)
}

// ---- a tiny model

export const tinyConfig = {
  architectures: ["Qwen3MoeForCausalLM"],
  model_type: "qwen3_moe",
  attention_bias: false,
  decoder_sparse_step: 1,
  head_dim: 4,
  hidden_act: "silu",
  hidden_size: 8,
  max_position_embeddings: 128,
  mlp_only_layers: [],
  moe_intermediate_size: 6,
  norm_topk_prob: true,
  num_attention_heads: 2,
  num_experts: 3,
  num_experts_per_tok: 2,
  num_hidden_layers: 2,
  num_key_value_heads: 1,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 10000,
  tie_word_embeddings: false,
  use_sliding_window: false,
  vocab_size: 16,
} satisfies Record<string, Json>

export const tinySpecs = tensorSpecs(parseConfig(tinyConfig))

/** The tiny model's tensors in BF16 with random finite values, one per expert, as the first release stores them. */
export function tinyTensors(seed = 1): TestTensors {
  const random = seeded(seed)
  const tensors: TestTensors = {}
  for (const { name, shape } of tinySpecs)
    for (const [stored, matrix] of storedNames(name, shape))
      tensors[stored] = { dtype: "BF16", shape: matrix, bytes: bfloats(random, product(matrix)) }
  return tensors
}

/** Values of magnitude 2^-8 to 2^-1. */
function bfloats(random: () => number, values: number): Uint8Array {
  const bits = () =>
    (integer(random, 0, 1) << 15) | (integer(random, 119, 126) << 7) | integer(random, 0, 127)
  return concat(...Array.from({ length: values }, () => little(bits(), 16)))
}

function storedNames(name: string, shape: readonly number[]): [string, number[]][] {
  if (shape.length < 3) return [[name, [...shape]]]
  return Array.from({ length: shape[0] }, (_, expert) => [
    name.replace(".experts.", `.experts.${expert}.`),
    shape.slice(1),
  ])
}

/** The same weights as newer converters store them: gate over up, all experts in one tensor. */
export function fuseExperts(tensors: TestTensors): TestTensors {
  const fused: TestTensors = {}
  for (const [name, tensor] of Object.entries(tensors)) if (!name.includes(".experts.")) fused[name] = tensor
  const { num_hidden_layers: layers, num_experts: experts, hidden_size: hidden } = tinyConfig
  const inner = tinyConfig.moe_intermediate_size
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}.mlp.experts`
    const bytesOf = (expert: number, part: string) => tensors[`${prefix}.${expert}.${part}_proj.weight`].bytes
    const all = Array.from({ length: experts }, (_, expert) => expert)
    fused[`${prefix}.gate_up_proj`] = {
      dtype: "BF16",
      shape: [experts, 2 * inner, hidden],
      bytes: concat(...all.map((expert) => concat(bytesOf(expert, "gate"), bytesOf(expert, "up")))),
    }
    fused[`${prefix}.down_proj`] = {
      dtype: "BF16",
      shape: [experts, hidden, inner],
      bytes: concat(...all.map((expert) => bytesOf(expert, "down"))),
    }
  }
  return fused
}

/** A tokenizer's files, small but whole: the 16 bytes `a` to `p`. */
export const tinyTokenizer: Record<string, Json> = {
  "tokenizer.json": {
    version: "1.0",
    added_tokens: [],
    normalizer: { type: "NFC" },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: {
      type: "BPE",
      vocab: Object.fromEntries([..."abcdefghijklmnop"].map((letter, id) => [letter, id])),
      merges: [],
    },
  },
  "tokenizer_config.json": { tokenizer_class: "Qwen2Tokenizer", chat_template: "{{ messages }}" },
}

/** Files of a whole Hugging Face model: small ones, and the tensors in `shards` files. */
export function modelFiles(
  tensors: TestTensors,
  shards = 1,
  config: Json = tinyConfig,
): Record<string, Uint8Array> {
  const files: Record<string, Uint8Array> = {}
  const json: Record<string, Json> = {
    "config.json": config,
    "generation_config.json": { eos_token_id: [15, 14], temperature: 0.6 },
    ...tinyTokenizer,
  }
  for (const [name, value] of Object.entries(json)) files[name] = encoder.encode(JSON.stringify(value))
  if (shards === 1) return { ...files, "model.safetensors": safetensors(tensors) }
  const names = Object.keys(tensors)
  const weightMap: Record<string, string> = {}
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-0000${shard + 1}-of-0000${shards}.safetensors`
    const own = names.slice((names.length * shard) / shards, (names.length * (shard + 1)) / shards)
    for (const name of own) weightMap[name] = file
    files[file] = safetensors(Object.fromEntries(own.map((name) => [name, tensors[name]])))
  }
  const total = Object.values(tensors).reduce((sum, { bytes }) => sum + bytes.length, 0)
  const index = { metadata: { total_size: total }, weight_map: weightMap }
  return { ...files, "model.safetensors.index.json": encoder.encode(JSON.stringify(index)) }
}

export function writeFiles(folder: string, files: Record<string, Uint8Array>): string {
  mkdirSync(folder, { recursive: true })
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes)
  return folder
}
