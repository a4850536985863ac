// Step 6. What a step of training wants: one batch in, the loss out, and the gradients of all parameters.

import { assert } from "../../util/errors.ts"
import { backward } from "./backward.ts"
import { checkBatch, lessons, positions, type Outcome, type TrainBatch } from "./batch.ts"
import { lossAndGradient, type SoftTargets } from "./head.ts"
import { forward, type Network } from "./model.ts"
import { balanceLoss } from "./routing.ts"

/** Gradients of loss + balance * auxiliary, from zero. */
export function learn(network: Network, batch: TrainBatch, balance: number, soft?: SoftTargets): Outcome {
  const { config, arena, parameters } = network
  checkBatch(batch, config.vocab, config.maxPositions)
  const chosen = lessons(batch)
  assert(chosen.rows.length > 0, "a batch without a row to learn from")
  const rows = batch.ids.length
  assert(!soft || soft.teacherLogits.length === rows * config.vocab, "the teacher's logits are of other rows")
  arena.reset()
  parameters.gradients.fill(0)
  const tape = forward(network, { ids: batch.ids, starts: batch.starts, positions: positions(batch.starts) })
  const dNormed = arena.take(tape.normed.length)
  const loss = lossAndGradient(network, tape.normed, dNormed, chosen, soft)
  backward(network, tape, dNormed, balance)
  const { experts, topK, layers, normaliseTopK: normalise } = config
  const routings = tape.layers.map(({ routing }) => routing)
  const auxiliary = routings.reduce((sum, routing) => {
    return sum + balanceLoss(routing, { rows, experts, topK, normalise }) / layers
  }, 0)
  const load = routings.map(({ groups }) => groups.slice(1).map((end, expert) => end - groups[expert]))
  return { loss, tokens: chosen.rows.length, auxiliary, load }
}
