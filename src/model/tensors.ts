// Step 5. The tensors that a config asks of a checkpoint, in the order of the forward pass, and what they add up to.
// Knows names and shapes; never bytes, files or formats.

import type { TensorSpec } from "../weights/spec.ts"
import type { ModelConfig } from "./config.ts"

export const embeddingName = "model.embed_tokens.weight"
export const finalNormName = "model.norm.weight"
export const headName = "lm_head.weight"

/** Names of one layer's tensors. */
export function layerNames(layer: number) {
  const name = (part: string) => `model.layers.${layer}.${part}.weight`
  return {
    attentionNorm: name("input_layernorm"),
    q: name("self_attn.q_proj"),
    k: name("self_attn.k_proj"),
    v: name("self_attn.v_proj"),
    qNorm: name("self_attn.q_norm"),
    kNorm: name("self_attn.k_norm"),
    out: name("self_attn.o_proj"),
    moeNorm: name("post_attention_layernorm"),
    router: name("mlp.gate"),
    gate: name("mlp.experts.gate_proj"),
    up: name("mlp.experts.up_proj"),
    down: name("mlp.experts.down_proj"),
  }
}

export function tensorSpecs(config: ModelConfig): TensorSpec[] {
  const { hidden, vocab, layers, tied } = config
  const specs: TensorSpec[] = [{ name: embeddingName, shape: [vocab, hidden], role: "embedding" }]
  for (let layer = 0; layer < layers; layer++) specs.push(...layerSpecs(config, layer))
  specs.push({ name: finalNormName, shape: [hidden], role: "vector" })
  if (!tied) specs.push({ name: headName, shape: [vocab, hidden], role: "head" })
  return specs
}

function layerSpecs(config: ModelConfig, layer: number): TensorSpec[] {
  const { hidden, headDim, experts, expertHidden } = config
  const qColumns = config.heads * headDim
  const kvColumns = config.kvHeads * headDim
  const name = layerNames(layer)
  return [
    { name: name.attentionNorm, shape: [hidden], role: "vector" },
    { name: name.q, shape: [qColumns, hidden], role: "matrix" },
    { name: name.k, shape: [kvColumns, hidden], role: "matrix" },
    { name: name.v, shape: [kvColumns, hidden], role: "matrix" },
    { name: name.qNorm, shape: [headDim], role: "vector" },
    { name: name.kNorm, shape: [headDim], role: "vector" },
    { name: name.out, shape: [hidden, qColumns], role: "matrix" },
    { name: name.moeNorm, shape: [hidden], role: "vector" },
    { name: name.router, shape: [experts, hidden], role: "router" },
    { name: name.gate, shape: [experts, expertHidden, hidden], role: "matrix" },
    { name: name.up, shape: [experts, expertHidden, hidden], role: "matrix" },
    { name: name.down, shape: [experts, hidden, expertHidden], role: "matrix" },
  ]
}

export interface Parameters {
  total: number
  /** Without embedding and head. */
  nonEmbedding: number
  /** What one token's step uses: topK of the experts, all of the rest. */
  active: number
  /** Size of the original checkpoint's tensors. */
  bf16Bytes: number
}

export function parameters(config: ModelConfig): Parameters {
  let total = 0
  let ends = 0
  let idle = 0
  for (const { shape, role } of tensorSpecs(config)) {
    const values = shape.reduce((product, size) => product * size, 1)
    total += values
    if (role === "embedding" || role === "head") ends += values
    if (shape.length === 3) idle += (values / config.experts) * (config.experts - config.topK)
  }
  return { total, nonEmbedding: total - ends, active: total - idle, bf16Bytes: 2 * total }
}
