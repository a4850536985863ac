// Step 6. The way back through model.ts, written once for all kinds of ops: the gradient of the last hidden states in,
// those of all parameters added up. Mirrors the forward pass function by function.

import { embeddingName, finalNormName, layerNames } from "../../model/tensors.ts"
import { headShape, routerShape, type LayerTape, type Network, type PackedRows, type Tape } from "./model.ts"
import { allRows, type Values } from "./ops.ts"
import { routeBack } from "./routing.ts"

/**
 * `dNormed` is the gradient of tape.normed; `balance` weighs the mean of the layers' load-balancing losses.
 */
export function backward(network: Network, tape: Tape, dNormed: Values, balance: number): void {
  const { config, ops, parameters, arena } = network
  const { hidden, epsilon, layers } = config
  const rows = tape.rows.ids.length
  const dx = arena.zeros(tape.x.length)
  const shape = { rows, columns: hidden, epsilon }
  const final = parameters.value(finalNormName)
  ops.rmsNormBack(dx, parameters.gradient(finalNormName), dNormed, tape.x, final, shape)
  for (const [layer, layerTape] of [...tape.layers.entries()].reverse()) {
    const mark = arena.mark()
    expertsBackward(network, layer, layerTape, dx, balance / layers)
    arena.release(mark)
    attentionBackward(network, tape.rows, layer, layerTape, dx)
    arena.release(mark)
  }
  ops.scatter(parameters.gradient(embeddingName), dx, tape.rows.ids, hidden)
}

/** dx is the gradient behind the experts and becomes that before them: the residual passes it on. */
function expertsBackward(
  network: Network,
  layer: number,
  tape: LayerTape,
  dx: Values,
  balance: number,
): void {
  const { config, ops, parameters, arena } = network
  const { hidden, experts, topK, epsilon, normaliseTopK } = config
  const { routing, between, betweenNormed } = tape
  const name = layerNames(layer)
  const rows = between.length / hidden
  const places = { rows, topK, columns: hidden, places: routing.places }
  const dExpertOut = arena.take(rows * topK * hidden)
  const dWeights = arena.take(rows * topK)
  ops.mixBack(dExpertOut, dWeights, dx, tape.expertOut, places, routing.weights)
  const dSorted = mlpBackward(network, layer, tape, dExpertOut)
  const dNormed = arena.zeros(between.length)
  ops.mix(dNormed, dSorted, places)
  const dLogits = arena.take(rows * experts)
  routeBack(dLogits, dWeights, routing, { rows, experts, topK, normalise: normaliseTopK }, balance)
  const router = routerShape(network, rows)
  ops.linearGradient(parameters.gradient(name.router), dLogits, betweenNormed, router)
  ops.linearBack(dNormed, dLogits, parameters.value(name.router), router, "add")
  const shape = { rows, columns: hidden, epsilon }
  const norm = parameters.value(name.moeNorm)
  ops.rmsNormBack(dx, parameters.gradient(name.moeNorm), dNormed, between, norm, shape)
}

/** Through the experts' three matrices, on sorted rows. */
function mlpBackward(
  { config, ops, parameters, arena }: Network,
  layer: number,
  tape: LayerTape,
  dOut: Values,
) {
  const { hidden, expertHidden } = config
  const { sorted, gate, up, activated, routing } = tape
  const name = layerNames(layer)
  const inward = { inputs: hidden, outputs: expertHidden, groups: routing.groups }
  const outward = { inputs: expertHidden, outputs: hidden, groups: routing.groups }
  const [dActivated, dGate, dUp] = [activated, gate, up].map(({ length }) => arena.take(length))
  ops.linearGradient(parameters.gradient(name.down), dOut, activated, outward)
  ops.linearBack(dActivated, dOut, parameters.value(name.down), outward, "set")
  ops.siluMultiplyBack(dGate, dUp, dActivated, gate, up)
  ops.linearGradient(parameters.gradient(name.gate), dGate, sorted, inward)
  ops.linearGradient(parameters.gradient(name.up), dUp, sorted, inward)
  const dSorted = arena.take(sorted.length)
  ops.linearBack(dSorted, dGate, parameters.value(name.gate), inward, "set")
  ops.linearBack(dSorted, dUp, parameters.value(name.up), inward, "add")
  return dSorted
}

/** dx is the gradient behind attention and becomes that before it. */
function attentionBackward(
  network: Network,
  rows: PackedRows,
  layer: number,
  tape: LayerTape,
  dx: Values,
): void {
  const { config, ops, parameters, arena } = network
  const { hidden, heads, kvHeads, headDim, epsilon } = config
  const { attention, rawQ, rawK, normed, x } = tape
  const name = layerNames(layer)
  const numRows = rows.ids.length
  const value = (tensor: string) => parameters.value(tensor)
  const gradient = (tensor: string) => parameters.gradient(tensor)
  const outward = allRows(heads * headDim, hidden, numRows)
  const dOut = arena.take(attention.out.length)
  ops.linearGradient(gradient(name.out), dx, attention.out, outward)
  ops.linearBack(dOut, dx, value(name.out), outward, "set")
  const [dq, dk, dv] = [rawQ, rawK, attention.v].map(({ length }) => arena.take(length))
  ops.attendBack({ dq, dk, dv }, dOut, attention, { heads, kvHeads, headDim, starts: rows.starts })
  const [dRawQ, dRawK] = [rawQ, rawK].map(({ length }) => arena.take(length))
  ops.normRopeBack(dRawQ, gradient(name.qNorm), dq, rawQ, value(name.qNorm), headShape(network, rows, heads))
  ops.normRopeBack(
    dRawK,
    gradient(name.kNorm),
    dk,
    rawK,
    value(name.kNorm),
    headShape(network, rows, kvHeads),
  )
  const dNormed = arena.take(normed.length)
  const back = (dy: Values, weight: string, columns: number, write: "set" | "add") => {
    const shape = allRows(hidden, columns, numRows)
    ops.linearGradient(gradient(weight), dy, normed, shape)
    ops.linearBack(dNormed, dy, value(weight), shape, write)
  }
  back(dRawQ, name.q, heads * headDim, "set")
  back(dRawK, name.k, kvHeads * headDim, "add")
  back(dv, name.v, kvHeads * headDim, "add")
  const shape = { rows: numRows, columns: hidden, epsilon }
  ops.rmsNormBack(dx, gradient(name.attentionNorm), dNormed, x, value(name.attentionNorm), shape)
}
