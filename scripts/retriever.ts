// Writes a Qwen3-MoE checkpoint that recalls by construction: after `... key value ... key` it says `value`, at any
// distance, so that recall over compressed keys and values can be measured without trained weights.
//
//   npx tsx scripts/retriever.ts <folder> [--words 20000] [--outliers 64] [--yarn 4]
//     [--lengths 4096,32768] [--needles 32] [--depths 64]
//
// With `--lengths` it also writes <folder>/needles.jsonl: for each length a haystack with so many needles, all asked for,
// and with `--depths` one without needles, into which each question puts one of its own, for
// `a3b eval kv <folder> --prompts <folder>/needles.jsonl --inject 512`. With `--yarn` the model has 32,768 positions,
// stretched.
//
// Layer 0 looks one token back and copies that token's key code; layer 1 does nothing, so that the next one is where
// queries may choose what they read; layer 2 looks for the token whose predecessor had the key code of the present one,
// and copies its identity; the experts add nothing. With `--outliers s` four slow pairs of layer 2's keys are s times as
// large and its queries s times as small, which changes no logit but what codes lose.

import { join } from "node:path"
import { parseArgs } from "node:util"
import type { RawConfig } from "../src/model/config.ts"
import { parseConfig } from "../src/model/config.ts"
import { tensorSpecs } from "../src/model/tensors.ts"
import { bytesOf, writeSafetensors } from "../src/distill/train/safetensors-writer.ts"
import { rotaryEmbedding } from "../src/model/rope.ts"
import { byteCharacters } from "../src/tokenizer/bytes.ts"
import { writeText } from "../src/weights/disk.ts"
import { tokenizerJson } from "../src/weights/tokenizer-json.ts"
import type { WrittenTensor } from "../src/distill/train/safetensors-writer.ts"
import { generator, numKeys, writeNeedles } from "./haystack.ts"

export interface RetrieverOptions {
  /** Ids that fill the haystack, after those of the keys. */
  words?: number
  outliers?: number
  seed?: number
  /** YaRN: positions for so many times the original ones. */
  yarn?: { factor: number; original: number }
}

const headDim = 128
const hidden = 256
/** Stretches of the residual stream. */
const slots = { id: 0, key: 64, previous: 88, out: 112, constant: 176 }
const idWidth = 64
const keyWidth = 24
/** Layer 0 uses the fast pairs, which tell neighbours apart; layer 2 the slow ones, which hardly turn. */
const fastPairs = 12
const slowPair = 52
const outlierPairs = [53, 56, 59, 61]
const theta = 1e7

export function writeRetriever(folder: string, options: RetrieverOptions = {}): void {
  const { words = 20_000, outliers = 1, seed = 1 } = options
  const vocab = numKeys + words
  const config = { ...configOf(vocab), ...(options.yarn && stretched(options.yarn)) }
  const parsed = parseConfig(config)
  const random = generator(seed)
  const { frequencies } = rotaryEmbedding(parsed)
  const values = tensorsOf(random, codesOf(random, vocab), { frequencies, outliers })
  const tensors = tensorSpecs(parsed).flatMap(({ name, shape }): WrittenTensor[] => {
    const experts = shape.length === 3 ? shape[0] : 0
    const matrix = values.get(name) ?? zeros(shape.slice(-2))
    if (experts === 0) return [{ name, dtype: "F32", shape, bytes: bytesOf(matrix) }]
    return Array.from({ length: experts }, (_, expert) => ({
      name: name.replace(".experts.", `.experts.${expert}.`),
      dtype: "F32",
      shape: shape.slice(1),
      bytes: bytesOf(matrix),
    }))
  })
  writeSafetensors(join(folder, "model.safetensors"), tensors, { format: "pt" })
  writeText(join(folder, "config.json"), JSON.stringify(config))
  writeText(join(folder, "tokenizer.json"), JSON.stringify(tokenizerOf(vocab)))
  writeText(join(folder, "tokenizer_config.json"), JSON.stringify({ tokenizer_class: "Qwen2Tokenizer" }))
}

function configOf(vocab: number): RawConfig {
  return {
    architectures: ["Qwen3MoeForCausalLM"],
    model_type: "qwen3_moe",
    attention_bias: false,
    decoder_sparse_step: 1,
    // Replies never end by themselves: no haystack has the last key.
    eos_token_id: numKeys - 1,
    head_dim: headDim,
    hidden_act: "silu",
    hidden_size: hidden,
    max_position_embeddings: 262_144,
    mlp_only_layers: [],
    moe_intermediate_size: 32,
    norm_topk_prob: true,
    num_attention_heads: 8,
    num_experts: 4,
    num_experts_per_tok: 2,
    num_hidden_layers: 3,
    num_key_value_heads: 1,
    rms_norm_eps: 1e-6,
    rope_scaling: null,
    rope_theta: theta,
    tie_word_embeddings: false,
    use_sliding_window: false,
    vocab_size: vocab,
  }
}

/** As the model card of the first release does it. */
function stretched({ factor, original }: { factor: number; original: number }): RawConfig {
  return {
    max_position_embeddings: original,
    rope_scaling: { rope_type: "yarn", factor, original_max_position_embeddings: original },
  }
}

interface Codes {
  /** [vocab][64] unit vectors: what a token is */
  ids: Float32Array[]
  /** [vocab][24] unit vectors: what it is found by; those of keys lie apart from all others */
  keys: Float32Array[]
}

const mostCosine = 0.55

function codesOf(random: () => number, vocab: number): Codes {
  const ids = Array.from({ length: vocab }, () => unit(random, idWidth))
  const keys: Float32Array[] = []
  while (keys.length < vocab) {
    const candidate = unit(random, keyWidth)
    const others = keys.slice(0, numKeys)
    if (others.every((other) => dot(candidate, other) <= mostCosine)) keys.push(candidate)
  }
  return { ids, keys }
}

/** By name; what is left out is zero. */
function tensorsOf(
  random: () => number,
  { ids, keys }: Codes,
  { frequencies, outliers }: { frequencies: Float32Array; outliers: number },
): Map<string, Float32Array> {
  const vocab = ids.length
  const embedding = zeros([vocab, hidden])
  const head = zeros([vocab, hidden])
  for (let token = 0; token < vocab; token++) {
    embedding.set(ids[token], token * hidden + slots.id)
    embedding.set(keys[token], token * hidden + slots.key)
    embedding[token * hidden + slots.constant] = 1
    head.set(ids[token], token * hidden + slots.out)
  }
  const ones = (size: number) => new Float32Array(size).fill(1)
  const layers = [previousTokenHead(random, frequencies), idleHeads(), matchHead(random, outliers)]
  return new Map([
    ["model.embed_tokens.weight", embedding],
    ["lm_head.weight", head],
    ["model.norm.weight", ones(hidden)],
    ...layers.flatMap(({ q, k, v, o, qNorm, kNorm }, layer) => {
      const name = (part: string) => `model.layers.${layer}.${part}.weight`
      return [
        [name("input_layernorm"), ones(hidden)],
        [name("post_attention_layernorm"), ones(hidden)],
        [name("self_attn.q_proj"), q],
        [name("self_attn.k_proj"), k],
        [name("self_attn.v_proj"), v],
        [name("self_attn.o_proj"), o],
        [name("self_attn.q_norm"), qNorm],
        [name("self_attn.k_norm"), kNorm],
      ] as [string, Float32Array][]
    }),
  ])
}

interface Attention {
  /** [8 * headDim, hidden]: only the first head is listened to, the others are noise. */
  q: Float32Array
  /** [headDim, hidden] */
  k: Float32Array
  v: Float32Array
  /** [hidden, 8 * headDim] */
  o: Float32Array
  /** [headDim] */
  qNorm: Float32Array
  kNorm: Float32Array
}

/** Each part of the residual has length 1: after n of them its norm multiplies by this. */
const normGain = (parts: number) => Math.sqrt(hidden / parts)

/** A constant key, and as query the same turned by one position: the score is highest one token back. */
function previousTokenHead(random: () => number, frequencies: Float32Array): Attention {
  const { q, k, v, o } = noise(random)
  for (let pair = 0; pair < fastPairs; pair++) {
    const frequency = frequencies[pair]
    k[pair * hidden + slots.constant] = 1
    q[pair * hidden + slots.constant] = Math.cos(frequency)
    q[(pair + headDim / 2) * hidden + slots.constant] = -Math.sin(frequency)
  }
  for (let i = 0; i < keyWidth; i++) {
    v[i * hidden + slots.key + i] = 1
    o[(slots.previous + i) * 8 * headDim + i] = 1 / normGain(3)
  }
  const norm = new Float32Array(headDim).fill(Math.sqrt(20))
  return { q, k, v, o, qNorm: norm, kNorm: norm }
}

function idleHeads(): Attention {
  const norm = new Float32Array(headDim).fill(1)
  return { ...silent(), qNorm: norm, kNorm: norm }
}

/** The present token's key code as query, the previous token's as key. */
function matchHead(random: () => number, outliers: number): Attention {
  const { q, k, v, o } = noise(random)
  for (let i = 0; i < keyWidth; i++) {
    const half = keyWidth / 2
    const channel = i < half ? slowPair + i : headDim / 2 + slowPair + i - half
    q[channel * hidden + slots.key + i] = 1
    k[channel * hidden + slots.previous + i] = 1
  }
  for (let i = 0; i < idWidth; i++) {
    v[i * hidden + slots.id + i] = 1
    o[(slots.out + i) * 8 * headDim + i] = 8 / normGain(4)
  }
  const factor = (i: number) => (outlierPairs.includes(i % (headDim / 2)) ? outliers : 1)
  return {
    ...{ q, k, v, o },
    qNorm: Float32Array.from({ length: headDim }, (_, i) => 8 / factor(i)),
    kNorm: Float32Array.from({ length: headDim }, (_, i) => factor(i)),
  }
}

/** Silent, but for the queries of the heads that nobody listens to. */
function noise(random: () => number) {
  const { q, ...others } = silent()
  for (let i = headDim * hidden; i < q.length; i++) q[i] = normal(random) / 16
  return { q, ...others }
}

function silent() {
  return {
    q: zeros([8 * headDim, hidden]),
    k: zeros([headDim, hidden]),
    v: zeros([headDim, hidden]),
    o: zeros([hidden, 8 * headDim]),
  }
}

function zeros(shape: readonly number[]): Float32Array {
  return new Float32Array(shape.reduce((product, size) => product * size, 1))
}

function unit(random: () => number, width: number): Float32Array {
  const out = Float32Array.from({ length: width }, () => normal(random))
  const length = Math.sqrt(dot(out, out))
  return out.map((x) => x / length)
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return sum
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

/** Keys are written as bytes; a word has a name that nobody writes, for the model speaks ids. */
function tokenizerOf(vocab: number) {
  const token = (id: number) => byteCharacters[id] ?? `<word${id - numKeys}>`
  return tokenizerJson(
    Array.from({ length: vocab }, (_, id) => [token(id), id] as const),
    [],
    [],
  )
}

if (import.meta.filename === process.argv[1]) {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      words: { type: "string", default: "20000" },
      outliers: { type: "string", default: "1" },
      yarn: { type: "string", default: "1" },
      lengths: { type: "string" },
      needles: { type: "string", default: "32" },
      depths: { type: "string", default: "0" },
    },
  })
  const { words, outliers, yarn, needles, depths } = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, Number(value)]),
  )
  const lengths = values.lengths?.split(",").map(Number) ?? []
  const wrong =
    [words, outliers, yarn, needles, ...lengths].some((value) => !(value > 0)) || needles > numKeys
  if (positionals.length !== 1 || wrong || !(depths >= 0)) {
    console.error(
      "usage: npx tsx scripts/retriever.ts <folder> [--words 20000] [--outliers 64] [--yarn 4] [--lengths 4096,32768] [--needles 32] [--depths 64]",
    )
    process.exit(2)
  }
  const [folder] = positionals
  writeRetriever(folder, { words, outliers, ...(yarn > 1 && { yarn: { factor: yarn, original: 32_768 } }) })
  if (lengths.length > 0) writeNeedles(join(folder, "needles.jsonl"), lengths, { needles, depths, words })
}
