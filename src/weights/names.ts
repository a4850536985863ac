// A tensor's name in a checkpoint to its canonical name and its place there. Knows the names that Hugging Face and
// GGUF give this architecture's tensors; never bytes or shapes.

/** Where a stored tensor belongs: in one expert of a stack, in all of them, in half of their rows, or whole. */
export interface CanonicalName {
  name: string
  /** One expert's matrix of the stack `name`. */
  expert?: number
  /** Gate over up for every expert: the first half of the rows is `name`, the second `second`. */
  second?: string
}

const perExpert =
  /^(model\.layers\.\d+\.mlp\.experts)\.(0|[1-9]\d{0,5})\.((?:gate|up|down)_proj\.weight(?:_scale_inv)?)$/
const fused = /^(model\.layers\.\d+\.mlp\.experts)\.(gate_up|down)_proj(?:\.weight)?(_scale_inv)?$/

/** A name in a safetensors file. */
export function canonicalName(name: string): CanonicalName {
  const single = perExpert.exec(name)
  if (single) return { name: `${single[1]}.${single[3]}`, expert: Number(single[2]) }
  const stacked = fused.exec(name)
  if (!stacked) return { name }
  const [, experts, which, scale = ""] = stacked
  const suffix = `_proj.weight${scale}`
  if (which === "down") return { name: `${experts}.down${suffix}` }
  return { name: `${experts}.gate${suffix}`, second: `${experts}.up${suffix}` }
}

const ggufNames: ReadonlyMap<string, string> = new Map([
  ["token_embd", "model.embed_tokens"],
  ["output_norm", "model.norm"],
  ["output", "lm_head"],
])

const ggufLayerNames: ReadonlyMap<string, string> = new Map([
  ["attn_norm", "input_layernorm"],
  ["attn_q", "self_attn.q_proj"],
  ["attn_k", "self_attn.k_proj"],
  ["attn_v", "self_attn.v_proj"],
  ["attn_output", "self_attn.o_proj"],
  ["attn_q_norm", "self_attn.q_norm"],
  ["attn_k_norm", "self_attn.k_norm"],
  ["ffn_norm", "post_attention_layernorm"],
  ["ffn_gate_inp", "mlp.gate"],
  ["ffn_gate_exps", "mlp.experts.gate_proj"],
  ["ffn_up_exps", "mlp.experts.up_proj"],
  ["ffn_down_exps", "mlp.experts.down_proj"],
])

/** A name in a GGUF file of architecture qwen3moe; a name that is not known stays as it is. */
export function canonicalGgufName(name: string): string {
  const [, layer, part] = /^(?:blk\.(\d+)\.)?(\w+)\.weight$/.exec(name) ?? []
  if (part === undefined) return name
  const canonical = layer === undefined ? ggufNames.get(part) : ggufLayerNames.get(part)
  if (canonical === undefined) return name
  return layer === undefined ? `${canonical}.weight` : `model.layers.${layer}.${canonical}.weight`
}
