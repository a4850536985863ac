// A model for people: its module tree and config as PyTorch and transformers print them, its parameters, and the
// formats of its tensors. Knows shapes and names; reads no weights.

import type { Format, PackedTensor } from "../weights/format.ts"
import { parseConfig } from "./config.ts"
import type { ModelConfig, RawConfig } from "./config.ts"
import { printConfig, printFloat } from "./print-config.ts"
import { parameters } from "./tensors.ts"
import type { Parameters } from "./tensors.ts"

export interface Description {
  /** As `print(model)` shows it in Python. */
  modules: string
  /** As `print(model.config)` shows it in Python. */
  config: string
  parameters: Parameters
  /** Largest first; empty for a model that is not packed. */
  tensorTypes: TensorType[]
}

/** The tensors that share a format and a source type. */
export interface TensorType {
  format: Format
  /** What they were imported from, e.g. `BF16`. */
  source: string
  tensors: number
  parameters: number
  bytes: number
  /** How many of them hold exactly the source's values. */
  exact: number
}

export interface Describable {
  config: RawConfig
  /** The text of config.json, where there is one: only it tells 1e6 from 1000000. */
  configText?: string
  tensors?: ReadonlyMap<string, PackedTensor>
}

export function describe({ config, configText, tensors }: Describable): Description {
  const parsed = parseConfig(config)
  return {
    modules: moduleTree(parsed),
    config: printConfig(configText ?? JSON.stringify(config)),
    parameters: parameters(parsed),
    tensorTypes: tensorTypes(tensors?.values() ?? []),
  }
}

/** One line of the tree, and the lines inside its parentheses. */
interface Module {
  name: string
  kind: string
  parts: Module[]
}

function module(name: string, kind: string, ...parts: Module[]): Module {
  return { name, kind, parts }
}

function linear(name: string, inputs: number, outputs: number): Module {
  return module(name, `Linear(in_features=${inputs}, out_features=${outputs}, bias=False)`)
}

function moduleTree(config: ModelConfig): string {
  const { vocab, hidden, layers, epsilon } = config
  const model = module(
    "model",
    "Qwen3MoeModel",
    module("embed_tokens", `Embedding(${vocab}, ${hidden})`),
    repeated("layers", layers, "Qwen3MoeDecoderLayer", layerParts(config)),
    norm("norm", hidden, epsilon),
    module("rotary_emb", "Qwen3MoeRotaryEmbedding()"),
  )
  const head = linear("lm_head", hidden, vocab)
  return ["Qwen3MoeForCausalLM(", ...[model, head].flatMap(linesOf), ")"].join("\n")
}

function layerParts({
  hidden,
  heads,
  kvHeads,
  headDim,
  experts,
  expertHidden,
  epsilon,
}: ModelConfig): Module[] {
  const attention = [
    linear("q_proj", hidden, heads * headDim),
    linear("k_proj", hidden, kvHeads * headDim),
    linear("v_proj", hidden, kvHeads * headDim),
    linear("o_proj", heads * headDim, hidden),
    norm("q_norm", headDim, epsilon),
    norm("k_norm", headDim, epsilon),
  ]
  const expert = [
    linear("gate_proj", hidden, expertHidden),
    linear("up_proj", hidden, expertHidden),
    linear("down_proj", expertHidden, hidden),
    module("act_fn", "SiLU()"),
  ]
  return [
    module("self_attn", "Qwen3MoeAttention", ...attention),
    module(
      "mlp",
      "Qwen3MoeSparseMoeBlock",
      linear("gate", hidden, experts),
      repeated("experts", experts, "Qwen3MoeMLP", expert),
    ),
    norm("input_layernorm", hidden, epsilon),
    norm("post_attention_layernorm", hidden, epsilon),
  ]
}

function norm(name: string, size: number, epsilon: number): Module {
  return module(name, `Qwen3MoeRMSNorm((${size},), eps=${printFloat(epsilon)})`)
}

/** PyTorch folds equal neighbours of a ModuleList into one entry. */
function repeated(name: string, count: number, kind: string, parts: Module[]): Module {
  const entry =
    count === 1 ? module("0", kind, ...parts) : module(`0-${count - 1}`, `${count} x ${kind}`, ...parts)
  return module(name, "ModuleList", entry)
}

function linesOf({ name, kind, parts }: Module): string[] {
  if (parts.length === 0) return [`  (${name}): ${kind}`]
  const inside = parts.flatMap(linesOf).map((line) => `  ${line}`)
  return [`  (${name}): ${kind}(`, ...inside, "  )"]
}

function tensorTypes(tensors: Iterable<PackedTensor>): TensorType[] {
  const types = new Map<string, TensorType>()
  for (const { format, source, shape, bytes, exact } of tensors) {
    const key = `${format} ${source}`
    const type = types.get(key) ?? { format, source, tensors: 0, parameters: 0, bytes: 0, exact: 0 }
    types.set(key, type)
    type.tensors++
    type.parameters += shape.reduce((product, size) => product * size, 1)
    type.bytes += bytes
    if (exact) type.exact++
  }
  return [...types.values()].sort((a, b) => b.bytes - a.bytes)
}
