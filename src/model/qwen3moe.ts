// Step 5. The forward pass of Qwen3-MoE, written once: a batch of ids in, the logits' handle out. Records ops on
// whatever backend there is; knows no text, requests or sampling, nor where the weights came from.

import type { Backend, Batch, KvCache, Rope, Selections, Tensor } from "../backend/backend.ts"
import { kvWindow } from "../backend/backend.ts"
import { assert } from "../util/errors.ts"
import { parseConfig } from "./config.ts"
import type { ModelConfig } from "./config.ts"
import { rotaryEmbedding } from "./rope.ts"
import { loadWeights } from "./weights.ts"
import type { ModelWeights, PackedSource, QkNorms } from "./weights.ts"

/** So many of the first layers spread their attention too widely for queries to choose (Quest, arXiv 2406.10774). */
const exactLayers = 2

export class Qwen3Moe {
  readonly config: ModelConfig
  readonly backend: Backend
  readonly norms: QkNorms
  readonly #weights: ModelWeights
  readonly #rope: Rope
  #kv: KvCache | undefined

  private constructor(backend: Backend, config: ModelConfig, weights: ModelWeights, norms: QkNorms) {
    this.backend = backend
    this.norms = norms
    this.config = config
    this.#weights = weights
    this.#rope = rotaryEmbedding(config)
  }

  /** With `balanced` norms keys lose less as codes; logits differ by rounding alone. */
  static load(backend: Backend, packed: PackedSource, norms: QkNorms = "as stored"): Qwen3Moe {
    const config = parseConfig(packed.config)
    return new Qwen3Moe(backend, config, loadWeights(backend, config, packed, norms), norms)
  }

  /** Makes the cache that all later steps read and write; there is one per model. */
  kvCache(pages: number, window = kvWindow): KvCache {
    assert(!this.#kv, "the model has its KV cache already")
    const { layers, kvHeads, headDim } = this.config
    return (this.#kv = this.backend.kvCache({ layers, pages, kvHeads, headDim, window }))
  }

  /** Rows that each expert was given so far: [layers][experts]. */
  expertVisits(): Float64Array[] {
    return this.#weights.layers.map(({ experts }) => this.backend.visits(experts.gate))
  }

  /** What came of queries that chose what they read. */
  selections(): Selections {
    assert(this.#kv, "selections before kvCache")
    return this.backend.selections(this.#kv)
  }

  /** Begins a step and records it; the logits [logitRows, vocab] can be read once the backend has run it. */
  forward(batch: Batch): Tensor {
    const ops = this.backend
    const kv = this.#kv
    assert(kv, "forward before kvCache")
    const { epsilon, topK, normaliseTopK } = this.config
    const { embedding, layers, finalNorm, head } = this.#weights
    ops.begin(batch)
    const x = ops.embed(embedding) // [tokens, hidden]
    for (const [i, layer] of layers.entries()) {
      const [q, k, v] = ops.linears(ops.rmsNorm(x, layer.attentionNorm, epsilon), layer.qkv)
      ops.normRope(q, layer.qNorm, this.#rope, epsilon) // [tokens, heads * headDim]
      ops.normRope(k, layer.kNorm, this.#rope, epsilon) // [tokens, kvHeads * headDim]
      ops.storeKv(kv, i, k, v)
      const sums = ops.attend(q, kv, i, i < exactLayers ? "exact" : "selective")
      ops.addLinear(x, sums, layer.out) // residual
      const y = ops.rmsNorm(x, layer.moeNorm, epsilon)
      ops.addExperts(x, y, ops.route(y, layer.router, topK, normaliseTopK), layer.experts) // residual
    }
    return ops.linear(ops.rmsNorm(ops.pickRows(x), finalNorm, epsilon), head)
  }
}
