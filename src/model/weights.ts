// Step 5. A packed checkpoint in, the weights of the forward pass out, one handle per tensor. Refuses a checkpoint
// that lacks a tensor or has it in another shape.

import type { Backend, Experts, Weight } from "../backend/backend.ts"
import { UserError } from "../util/errors.ts"
import type { PackedTensor } from "../weights/format.ts"
import { balance } from "./balance.ts"
import type { ModelConfig, RawConfig } from "./config.ts"
import { embeddingName, finalNormName, headName, layerNames, tensorSpecs } from "./tensors.ts"

/** What the model asks of an opened packed file. */
export interface PackedSource {
  readonly path: string
  readonly config: RawConfig
  readonly tensors: ReadonlyMap<string, PackedTensor>
}

export interface LayerWeights {
  /** [hidden] */
  attentionNorm: Weight
  /** [heads * headDim, hidden], then twice [kvHeads * headDim, hidden] */
  qkv: readonly [Weight, Weight, Weight]
  /** [headDim], shared by all heads */
  qNorm: Weight
  /** [headDim] */
  kNorm: Weight
  /** [hidden, heads * headDim] */
  out: Weight
  /** [hidden] */
  moeNorm: Weight
  /** [experts, hidden] */
  router: Weight
  experts: Experts
}

export interface ModelWeights {
  /** [vocab, hidden] */
  embedding: Weight
  layers: readonly LayerWeights[]
  /** [hidden] */
  finalNorm: Weight
  /** [vocab, hidden]; the embedding itself where they are tied */
  head: Weight
}

/** Norm weights of queries and keys: those of the file, or both evened out by `balance`. */
export type QkNorms = "as stored" | "balanced"

export function loadWeights(
  backend: Backend,
  config: ModelConfig,
  source: PackedSource,
  norms: QkNorms,
): ModelWeights {
  const handles = new Map<string, Weight>()
  for (const { name, shape } of tensorSpecs(config))
    handles.set(name, backend.weight(tensorOf(source, name, shape)))
  if (norms === "balanced")
    for (let layer = 0; layer < config.layers; layer++) {
      const { qNorm, kNorm } = layerNames(layer)
      const pair = [qNorm, kNorm].map((name) => tensorOf(source, name, [config.headDim]))
      handles.set(
        qNorm,
        backend.vector(pair, (q, k) => balance(q, k).map((s, i) => q[i] * s)),
      )
      handles.set(
        kNorm,
        backend.vector(pair, (q, k) => balance(q, k).map((s, i) => k[i] / s)),
      )
    }
  const weight = (name: string) => handles.get(name)!
  const embedding = weight(embeddingName)
  return {
    embedding,
    layers: Array.from({ length: config.layers }, (_, layer) => layerWeights(layer, weight)),
    finalNorm: weight(finalNormName),
    head: config.tied ? embedding : weight(headName),
  }
}

function layerWeights(layer: number, weight: (name: string) => Weight): LayerWeights {
  const name = layerNames(layer)
  return {
    attentionNorm: weight(name.attentionNorm),
    qkv: [weight(name.q), weight(name.k), weight(name.v)],
    qNorm: weight(name.qNorm),
    kNorm: weight(name.kNorm),
    out: weight(name.out),
    moeNorm: weight(name.moeNorm),
    router: weight(name.router),
    experts: { gate: weight(name.gate), up: weight(name.up), down: weight(name.down) },
  }
}

function tensorOf({ path, tensors }: PackedSource, name: string, shape: readonly number[]): PackedTensor {
  const wanted = `[${shape.join(", ")}]`
  const tensor = tensors.get(name)
  if (!tensor)
    throw new UserError("bad-file", `${path} has no tensor ${name} ${wanted}: pack the model again`)
  const got = `[${tensor.shape.join(", ")}]`
  if (got === wanted) return tensor
  throw new UserError(
    "bad-file",
    `${name} in ${path} has the shape ${got}; its config asks for ${wanted}: pack the model again`,
  )
}
