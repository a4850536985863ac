// The published dimensions of Qwen3-30B-A3B, 2507 releases, for telling whether it fits before there is a model.

import { parseConfig } from "../model/config.ts"

export const fullSize = parseConfig({
  model_type: "qwen3_moe",
  hidden_size: 2048,
  num_hidden_layers: 48,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  head_dim: 128,
  num_experts: 128,
  num_experts_per_tok: 8,
  moe_intermediate_size: 768,
  norm_topk_prob: true,
  vocab_size: 151936,
  max_position_embeddings: 262144,
  rms_norm_eps: 1e-6,
  rope_theta: 1e7,
  tie_word_embeddings: false,
})
