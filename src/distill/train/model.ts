// Step 6. The forward pass of Qwen3-MoE for training, written once for all kinds of ops: packed rows in, the last
// hidden states out, and a tape of what the way back needs.

import type { ModelConfig } from "../../model/config.ts"
import { embeddingName, finalNormName, layerNames } from "../../model/tensors.ts"
import { rotaryEmbedding } from "../../model/rope.ts"
import type { Arena } from "./arena.ts"
import { allRows, type AttentionDone, type Linear, type Ops, type RopeHeads, type Values } from "./ops.ts"
import type { Parameters } from "./parameters.ts"
import { route, type Routing } from "./routing.ts"

/** What forward and backward work with. */
export interface Network {
  readonly config: ModelConfig
  readonly ops: Ops
  readonly parameters: Parameters
  readonly arena: Arena
  readonly angles: Angles
}

/** [maxPositions, headDim / 2] each */
export interface Angles {
  cos: Values
  sin: Values
}

/** Rows of one pass and where they are in their sequences. */
export interface PackedRows {
  ids: Int32Array
  positions: Int32Array
  starts: Int32Array
}

export interface LayerTape {
  /** [rows, hidden] before the layer, normed, between attention and experts, normed */
  x: Values
  normed: Values
  between: Values
  betweenNormed: Values
  /** Before norm and rotation. */
  rawQ: Values
  rawK: Values
  attention: AttentionDone
  routing: Routing
  /** [rows * topK, ...] sorted by expert */
  sorted: Values
  gate: Values
  up: Values
  activated: Values
  expertOut: Values
}

export interface Tape {
  rows: PackedRows
  layers: LayerTape[]
  /** [rows, hidden] */
  x: Values
  /** The same through the final norm. */
  normed: Values
}

export function angles({ maxPositions, ...config }: ModelConfig, ops: Ops): Angles {
  const { frequencies, scale } = rotaryEmbedding(config)
  const cos = ops.values(maxPositions * frequencies.length)
  const sin = ops.values(cos.length)
  for (let i = 0; i < cos.length; i++) {
    const angle = Math.floor(i / frequencies.length) * frequencies[i % frequencies.length]
    cos[i] = Math.cos(angle) * scale
    sin[i] = Math.sin(angle) * scale
  }
  return { cos, sin }
}

export function headShape({ config, angles }: Network, rows: PackedRows, heads: number): RopeHeads {
  const { headDim, epsilon } = config
  return { rows: rows.ids.length, heads, headDim, epsilon, ...angles, positions: rows.positions }
}

/** Small differences decide between experts. */
export function routerShape({ config }: Network, rows: number): Linear {
  return { ...allRows(config.hidden, config.experts, rows), factors: "exact" }
}

export function forward(network: Network, rows: PackedRows): Tape {
  const { config, ops, parameters, arena } = network
  const { hidden, epsilon } = config
  const numRows = rows.ids.length
  const layers: LayerTape[] = []
  let x = arena.take(numRows * hidden)
  ops.gather(x, parameters.value(embeddingName), rows.ids, hidden)
  for (let layer = 0; layer < config.layers; layer++) {
    const attended = attentionForward(network, rows, layer, x)
    const mixed = expertsForward(network, layer, attended.between)
    layers.push({ ...attended, ...mixed.tape })
    x = mixed.y
  }
  const normed = arena.take(x.length)
  ops.rmsNorm(normed, x, parameters.value(finalNormName), { rows: numRows, columns: hidden, epsilon })
  return { rows, layers, x, normed }
}

function attentionForward(network: Network, rows: PackedRows, layer: number, x: Values) {
  const { config, ops, parameters, arena } = network
  const { hidden, heads, kvHeads, headDim, epsilon } = config
  const name = layerNames(layer)
  const numRows = rows.ids.length
  const wide = heads * headDim
  const narrow = kvHeads * headDim
  const value = (tensor: string) => parameters.value(tensor)
  const linear = (from: Values, weight: string, inputs: number, outputs: number) => {
    const y = arena.take(numRows * outputs)
    ops.linear(y, from, value(weight), allRows(inputs, outputs, numRows), "set")
    return y
  }
  const normed = arena.take(numRows * hidden)
  ops.rmsNorm(normed, x, value(name.attentionNorm), { rows: numRows, columns: hidden, epsilon })
  const rawQ = linear(normed, name.q, hidden, wide)
  const rawK = linear(normed, name.k, hidden, narrow)
  const v = linear(normed, name.v, hidden, narrow)
  const q = arena.take(rawQ.length)
  const k = arena.take(rawK.length)
  ops.normRope(q, rawQ, value(name.qNorm), headShape(network, rows, heads))
  ops.normRope(k, rawK, value(name.kNorm), headShape(network, rows, kvHeads))
  const out = arena.take(numRows * wide)
  const lse = arena.take(numRows * heads)
  ops.attend(out, lse, q, k, v, { heads, kvHeads, headDim, starts: rows.starts })
  const between = arena.take(x.length)
  between.set(x)
  ops.linear(between, out, value(name.out), allRows(wide, hidden, numRows), "add")
  return { x, normed, rawQ, rawK, attention: { out, lse, q, k, v }, between }
}

function expertsForward(network: Network, layer: number, between: Values) {
  const { config, ops, parameters, arena } = network
  const { hidden, experts, topK, expertHidden, epsilon, normaliseTopK } = config
  const name = layerNames(layer)
  const rows = between.length / hidden
  const betweenNormed = arena.take(between.length)
  ops.rmsNorm(betweenNormed, between, parameters.value(name.moeNorm), { rows, columns: hidden, epsilon })
  const logits = arena.take(rows * experts)
  ops.linear(logits, betweenNormed, parameters.value(name.router), routerShape(network, rows), "set")
  const shape = { rows, experts, topK, normalise: normaliseTopK }
  const routing = route(logits, arena.take(rows * experts), arena.take(rows * topK), shape)
  const { groups, sources, places, weights } = routing
  const [gate, up, activated] = Array.from({ length: 3 }, () => arena.take(rows * topK * expertHidden))
  const [sorted, expertOut] = Array.from({ length: 2 }, () => arena.take(rows * topK * hidden))
  ops.gather(sorted, betweenNormed, sources, hidden)
  const inward = { inputs: hidden, outputs: expertHidden, groups }
  ops.linear(gate, sorted, parameters.value(name.gate), inward, "set")
  ops.linear(up, sorted, parameters.value(name.up), inward, "set")
  ops.siluMultiply(activated, gate, up)
  const outward = { inputs: expertHidden, outputs: hidden, groups }
  ops.linear(expertOut, activated, parameters.value(name.down), outward, "set")
  const y = arena.take(between.length)
  y.set(between)
  ops.mix(y, expertOut, { rows, topK, columns: hidden, places }, weights)
  return { y, tape: { betweenNormed, routing, sorted, gate, up, activated, expertOut } }
}
