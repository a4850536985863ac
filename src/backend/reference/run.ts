// Step 5, reference backend. Runs recorded ops in order, letting the event loop breathe and an abort through.

import { setImmediate } from "node:timers/promises"
import { UserError } from "../../util/errors.ts"

/** One op's work; it yields, every few milliseconds at the latest, where it may be interrupted. */
export type Work = Generator<void, void>

const sliceMs = 10

export async function runAll(ops: readonly Work[], signal?: AbortSignal): Promise<void> {
  let restedMs = performance.now()
  refuseIfAborted(signal)
  for (const op of ops)
    for (const _ of op) {
      if (performance.now() - restedMs < sliceMs) continue
      await setImmediate()
      refuseIfAborted(signal)
      restedMs = performance.now()
    }
}

function refuseIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new UserError("cancelled", "the step was cancelled", { cause: signal.reason })
}
