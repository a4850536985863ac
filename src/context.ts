// Load time. How many tokens a model gets on this machine: those asked for, or as many as memory allows; refused,
// before any memory is taken, where that cannot be.

import { totalmem } from "node:os"
import { planMemory } from "./model/memory.ts"
import type { MemoryRequest } from "./model/memory.ts"
import { UserError } from "./util/errors.ts"

/** Where not even this fits, and the model has more, it is not worth loading. */
const leastContext = 2048

/** Most tokens of prompt and reply together: as many as possible where none are asked for. */
export function contextFor(asked: number | undefined, request: Omit<MemoryRequest, "contextTokens">): number {
  const { maxPositions } = request.config
  const wanted = asked ?? Math.min(leastContext, maxPositions)
  if (!Number.isSafeInteger(wanted) || wanted < 1)
    throw new UserError("bad-argument", `context is ${wanted}: wanted a whole number of tokens`)
  if (wanted > maxPositions) {
    const what = `context is ${tokens(wanted)}; the model has positions for ${tokens(maxPositions)}`
    throw new UserError("context-exceeded", `${what}: ask for a shorter one`)
  }
  const plan = planMemory({ ...request, contextTokens: wanted })
  if (plan.fits) return asked ?? plan.largestContextTokens
  const [needed, available] = [plan.totalBytes, plan.availableBytes].map(gibibytes)
  const next =
    plan.largestContextTokens > 0
      ? `a context of ${tokens(plan.largestContextTokens)} would fit`
      : "close other programs, or use a machine with more memory"
  const what = `the model needs ${needed} of memory for ${tokens(wanted)}; ${available} are available`
  throw new UserError("model-too-large", `${what}: ${next}`)
}

/** Memory that a new model can have: what is free, and the file cache that the system gives back when asked. */
export function availableMemory(): number {
  const free = process.availableMemory()
  // macOS counts free pages only, of which it keeps few.
  return process.platform === "darwin" ? Math.max(free, totalmem() / 2) : free
}

function tokens(count: number): string {
  return `${count.toLocaleString("en-US")} tokens`
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`
}
