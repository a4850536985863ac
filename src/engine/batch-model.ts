// Steps 4 to 6. What the engine asks of a model: batches to logits over one KV cache.

import type { Backend, Batch, KvCache, Tensor } from "../backend/backend.ts"
import type { SavedPages } from "./sessions.ts"

export interface BatchModel {
  readonly config: { readonly vocab: number }
  readonly backend: Pick<Backend, "submit" | "read" | "trimKv" | "largest"> & SavedPages
  kvCache(pages: number, window: number): KvCache
  /** Begins a step and records its ops; the logits [logitRows, vocab] can be read after `submit`. */
  forward(batch: Batch): Tensor
}
