// Step 9. /api/engine: what the engine knows of itself, for people to look at. Counts only ever grow: two reports make
// a rate. Never opens a model that is not there.

import type { Family } from "../chat/thinking.ts"
import type { EngineStatus, ModelLoad, ServedModel } from "./served-model.ts"

export interface EngineReport {
  model: string
  state: "unloaded" | "loading" | "ready" | "failed"
  /** When it was taken, by a clock that only goes forward. */
  atMs: number
  /** While a model is open. */
  engine?: EngineStatus & { family: Family; context: number; load: ModelLoad }
}

/** Of the model that a host has open, if it has. */
export async function reportEngine(
  modelId: string,
  { model, state }: { model: ServedModel | undefined; state: EngineReport["state"] },
): Promise<EngineReport> {
  const report = { model: modelId, state, atMs: performance.now() }
  if (!model) return report
  const { family, context } = model
  const [status, load] = await Promise.all([model.status, model.load])
  return { ...report, engine: { ...status, family, context, load } }
}
