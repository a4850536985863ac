// Step 6. The masks that the next ids of a step's sequences want, prepared while the model computes. One that takes long,
// because its grammar is still being compiled, does not hold up the others: its sequence is left where it is and tried
// again with the next step.

import { numLogitRows } from "./batch.ts"
import { asError } from "./failures.ts"
import type { Sequence } from "./sequence.ts"

/** So long a step waits for masks: many times what one takes, and no pause that a reader sees. */
const patienceMs = 20

/** A mask that cannot be made ends its own sequence only. */
export async function prepareMasks(sequences: readonly Sequence[], signal: AbortSignal): Promise<void> {
  const pending = sequences.flatMap((sequence) => {
    const prepared = numLogitRows(sequence) > 0 ? sequence.constrained?.prepare() : undefined
    const told = prepared?.catch((error: unknown) => sequence.fail(asError(error)))
    return told && !sequence.canDraw ? [told] : []
  })
  if (pending.length === 0) return
  await within(patienceMs, Promise.all(pending))
  if (!sequences.some(goesOn)) await untilAborted(signal, Promise.race(pending))
}

/** Whether the step is of use to the sequence, be it its end. */
function goesOn(sequence: Sequence): boolean {
  if (sequence.numScheduled === 0) return false
  return sequence.canDraw || sequence.isOver || numLogitRows(sequence) === 0
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  await Promise.race([work, new Promise((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}

async function untilAborted(signal: AbortSignal, work: Promise<unknown>): Promise<void> {
  let stop = () => {}
  const aborted = new Promise<void>((resolve) => (stop = resolve))
  signal.addEventListener("abort", stop)
  if (!signal.aborted) await Promise.race([work, aborted])
  signal.removeEventListener("abort", stop)
}
