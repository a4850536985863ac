// Step 6. The head and its losses, a few rows at a time so that logits [rows, vocab] never exist for all: hidden states
// in, losses and their gradient out.

import { embeddingName, headName } from "../../model/tensors.ts"
import type { Lessons } from "./batch.ts"
import type { Network } from "./model.ts"
import { allRows, type Values } from "./ops.ts"

/** Rows whose logits exist at a time. */
const chunkRows = 1024

/** What the student's logits shall be like. */
export interface SoftTargets {
  /** [rows of the batch, vocab] */
  teacherLogits: Values
  /** Share of KL(student || teacher); the rest is KL(teacher || student). */
  mix: number
}

const nameOfHead = ({ config }: Network) => (config.tied ? embeddingName : headName)

/** Adds the head's gradient up, writes that of `normed`, and returns the loss. */
export function lossAndGradient(
  network: Network,
  normed: Values,
  dNormed: Values,
  lessons: Lessons,
  soft?: SoftTargets,
): number {
  const { arena } = network
  const mark = arena.mark()
  let loss = 0
  dNormed.fill(0)
  for (let first = 0; first < lessons.rows.length; first += chunkRows) {
    const part = (array: Int32Array) => array.subarray(first, first + chunkRows)
    const weights = lessons.weights.subarray(first, first + chunkRows)
    const chunk = { rows: part(lessons.rows), targets: part(lessons.targets), weights }
    loss += chunkLoss(network, normed, dNormed, chunk, soft)
    arena.release(mark)
  }
  return loss
}

function chunkLoss(
  network: Network,
  normed: Values,
  dNormed: Values,
  chunk: Lessons,
  soft?: SoftTargets,
): number {
  const { config, ops, parameters, arena } = network
  const { hidden, vocab } = config
  const rows = chunk.rows.length
  const shape = allRows(hidden, vocab, rows)
  const head = nameOfHead(network)
  const [x, dx] = [arena.take(rows * hidden), arena.take(rows * hidden)]
  const logits = arena.take(rows * vocab)
  const losses = arena.take(rows)
  const weights = arena.take(rows)
  weights.set(chunk.weights)
  ops.gather(x, normed, chunk.rows, hidden)
  ops.linear(logits, x, parameters.value(head), shape, "set")
  if (soft) {
    const teacher = arena.take(rows * vocab)
    ops.gather(teacher, soft.teacherLogits, chunk.rows, vocab)
    ops.divergence(logits, losses, teacher, weights, soft.mix)
  } else ops.crossEntropy(logits, losses, chunk.targets, weights)
  ops.linearGradient(parameters.gradient(head), logits, x, shape)
  ops.linearBack(dx, logits, parameters.value(head), shape, "set")
  ops.scatter(dNormed, dx, chunk.rows, hidden)
  let sum = 0
  for (const loss of losses) sum += loss
  return sum
}

/** [rows, vocab] */
export function logitsOf(network: Network, normed: Values): Values {
  const { config, ops, parameters } = network
  const { hidden, vocab } = config
  const rows = normed.length / hidden
  const logits = ops.values(rows * vocab)
  ops.linear(logits, normed, parameters.value(nameOfHead(network)), allRows(hidden, vocab, rows), "set")
  return logits
}
