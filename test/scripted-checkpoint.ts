// A whole Hugging Face checkpoint for tests of everything between a prompt and a reply: its tokenizer is small but
// real, its weights are made so that each token is followed by the one that the script puts behind it. Attention and
// experts run on random weights and add nothing.

import { join } from "node:path"
import { parseConfig } from "../src/model/config.ts"
import { tensorSpecs } from "../src/model/tensors.ts"
import type { Json } from "../src/types.ts"
import { concat, safetensors, writeFiles } from "./checkpoint-files.ts"
import type { TestTensors } from "./checkpoint-files.ts"
import { seeded } from "./random.ts"

export interface Script {
  /** Tokens in the order they follow each other; any text is a token. The same token is always followed by the same. */
  says: readonly string[][]
  family?: "hybrid" | "thinking" | "plain"
  context?: number
  generationConfig?: Record<string, Json>
}

const special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
const tags = ["<think>", "</think>", "<tool_call>", "</tool_call>"]

/** How each family's prompts end. */
const endings = {
  hybrid:
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}",
  thinking: "{{ '<think>\\n' }}",
  plain: "",
}

export function scriptedTemplate(family: keyof typeof endings): string {
  return (
    "{% if tools %}{{ '<|im_start|>system\\n' ~ (tools | tojson) ~ '<|im_end|>\\n' }}{% endif %}" +
    "{% for message in messages %}" +
    "{{ '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' }}" +
    "{% endfor %}" +
    `{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}${endings[family]}{% endif %}`
  )
}

/** Writes the checkpoint into `folder` and returns its path. */
export function scriptedCheckpoint(folder: string, script: Script): string {
  const { says, family = "plain", context = 4096, generationConfig = {} } = script
  const vocabulary = new Vocabulary(says.flat())
  const config = configOf(vocabulary.size, context)
  const ends = [vocabulary.idOf("<|im_end|>"), vocabulary.idOf("<|endoftext|>")]
  const json: Record<string, Json> = {
    "config.json": { ...config, eos_token_id: ends[0] },
    "generation_config.json": { eos_token_id: ends, ...generationConfig },
    "tokenizer.json": vocabulary.file,
    "tokenizer_config.json": { tokenizer_class: "Qwen2Tokenizer" },
  }
  const text = (value: string) => new TextEncoder().encode(value)
  const files = Object.entries(json).map(([name, value]) => [name, text(JSON.stringify(value))])
  return writeFiles(join(folder, "checkpoint"), {
    ...Object.fromEntries(files),
    "chat_template.jinja": text(scriptedTemplate(family)),
    "model.safetensors": safetensors(tensorsOf(config, vocabulary, says)),
  })
}

/** Bytes, the one merge of two line ends, and every other token as an added one. */
class Vocabulary {
  readonly #ids = new Map<string, number>()
  readonly #bytes = byteLetters()

  constructor(tokens: readonly string[]) {
    for (const [byte, letter] of this.#bytes.entries()) this.#ids.set(byte === 10 ? "\n" : letter, byte)
    this.#ids.set("\n\n", 256)
    for (const token of [...special, ...tags, ...tokens]) {
      if (!this.#ids.has(token)) this.#ids.set(token, this.#ids.size)
    }
  }

  /** Rows of the embedding: a few more than there are tokens. */
  get size(): number {
    return 16 * Math.ceil((this.#ids.size + 1) / 16)
  }

  idOf(token: string): number {
    return this.#ids.get(token) ?? -1
  }

  get file(): Json {
    const lineEnd = this.#bytes[10]
    const vocab = Object.fromEntries(this.#bytes.map((letter, byte) => [letter, byte]))
    const added = [...this.#ids].filter(([, id]) => id > 256)
    const split = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+"
    return {
      version: "1.0",
      added_tokens: added.map(([content, id]) => ({ id, content, special: special.includes(content) })),
      normalizer: { type: "NFC" },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { Regex: split }, behavior: "Isolated", invert: false },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
        ],
      },
      decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
      model: { type: "BPE", vocab: { ...vocab, [lineEnd + lineEnd]: 256 }, merges: [[lineEnd, lineEnd]] },
    }
  }
}

/** By byte: the letter that stands for it in a byte-level vocabulary. */
function byteLetters(): string[] {
  const isShown = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isShown(byte) ? byte : next++))
}

function configOf(vocab: number, context: number) {
  return {
    architectures: ["Qwen3MoeForCausalLM"],
    model_type: "qwen3_moe",
    decoder_sparse_step: 1,
    head_dim: 32,
    hidden_act: "silu",
    hidden_size: 64,
    max_position_embeddings: context,
    mlp_only_layers: [],
    moe_intermediate_size: 32,
    norm_topk_prob: true,
    num_attention_heads: 2,
    num_experts: 4,
    num_experts_per_tok: 2,
    num_hidden_layers: 1,
    num_key_value_heads: 1,
    rms_norm_eps: 1e-6,
    rope_scaling: null,
    rope_theta: 10000,
    tie_word_embeddings: false,
    vocab_size: vocab,
  } satisfies Record<string, Json>
}

/** Token number i of the script is the i-th unit vector; the head's row of its follower has its largest value there. */
function tensorsOf(config: Record<string, Json>, vocabulary: Vocabulary, says: Script["says"]): TestTensors {
  const { hidden_size: hidden } = config as { hidden_size: number }
  const places = new Map<string, number>()
  const embedding = new Map<number, number>()
  const head = new Map<number, number>()
  for (const tokens of says) {
    for (const [i, token] of tokens.slice(0, -1).entries()) {
      const place = places.get(token) ?? places.size
      if (place >= hidden) throw new Error(`a script of more than ${hidden} tokens`)
      places.set(token, place)
      embedding.set(vocabulary.idOf(token) * hidden + place, 1)
      head.set(vocabulary.idOf(tokens[i + 1]) * hidden + place, 4)
    }
  }
  const random = seeded(5)
  const valuesOf = (name: string, size: number) => {
    if (name.includes("embed_tokens")) return sparse(embedding, size)
    if (name.includes("lm_head")) return sparse(head, size)
    if (name.includes("norm")) return new Float32Array(size).fill(1)
    if (name.includes("o_proj") || name.includes("down_proj")) return new Float32Array(size)
    return Float32Array.from({ length: size }, () => random() - 0.5)
  }
  const tensors: TestTensors = {}
  for (const { name, shape } of tensorSpecs(parseConfig(config))) {
    for (const [stored, matrix] of storedNames(name, shape)) {
      const values = valuesOf(
        stored,
        matrix.reduce((product, size) => product * size, 1),
      )
      tensors[stored] = { dtype: "F32", shape: matrix, bytes: concat(new Uint8Array(values.buffer)) }
    }
  }
  return tensors
}

function storedNames(name: string, shape: readonly number[]): [string, number[]][] {
  if (shape.length < 3) return [[name, [...shape]]]
  const nameOf = (expert: number) => name.replace(".experts.", `.experts.${expert}.`)
  return Array.from({ length: shape[0] }, (_, expert) => [nameOf(expert), shape.slice(1)])
}

function sparse(values: ReadonlyMap<number, number>, size: number): Float32Array<ArrayBuffer> {
  const all = new Float32Array(size)
  for (const [at, value] of values) all[at] = value
  return all
}
