// Load time. How many tokens a model gets on this machine: those asked for, or as many as memory allows; refused,
// before any memory is taken, where that cannot be.

import { totalmem } from "node:os"
import { kvWindow, selection } from "./backend/backend.ts"
import type { KvPolicy } from "./engine/tiers.ts"
import { planMemory } from "./model/memory.ts"
import type { MemoryRequest } from "./model/memory.ts"
import { UserError } from "./util/errors.ts"

/** Where not even this fits, and the model has more, it is not worth loading. */
const leastContext = 2048

/** Most tokens of prompt and reply together: as many as possible where none are asked for, `auto` in 16 bits. */
export function contextFor(asked: number | undefined, request: Omit<MemoryRequest, "contextTokens">): number {
  const { maxPositions } = request.config
  const kv = request.kv === "auto" && asked === undefined ? "f16" : request.kv
  const wanted = asked ?? Math.min(leastContext, maxPositions)
  if (!Number.isSafeInteger(wanted) || wanted < 1)
    throw new UserError("bad-argument", `context is ${wanted}: wanted a whole number of tokens`)
  if (wanted > maxPositions) {
    const what = `context is ${tokens(wanted)}; the model has positions for ${tokens(maxPositions)}`
    throw new UserError("context-exceeded", `${what}: ask for a shorter one`)
  }
  const plan = planMemory({ ...request, kv, contextTokens: wanted })
  if (plan.fits) return asked ?? plan.largestContextTokens
  // What --kv-budget leaves may be less than what there is.
  const granted = Math.min(plan.availableBytes, plan.totalBytes - plan.kvBytes + plan.kvBudgetBytes)
  const [needed, available] = [plan.totalBytes, granted].map(gibibytes)
  const next =
    plan.largestContextTokens > 0
      ? `a context of ${tokens(plan.largestContextTokens)} would fit`
      : "close other programs, or use a machine with more memory"
  const what = `the model needs ${needed} of memory for ${tokens(wanted)}; ${available} are available`
  throw new UserError("model-too-large", `${what}: ${next}`)
}

/** How the engine keeps keys and values of such a context; undefined where all of them stay in 16 bits. */
export function kvPolicyFor(
  contextTokens: number,
  request: Omit<MemoryRequest, "contextTokens">,
  attention: "auto" | "exact" = "auto",
): KvPolicy | undefined {
  const { kv, kvBudgetBytes: budgetBytes } = planMemory({ ...request, contextTokens })
  if (kv === "f16" || kv === "f32") return undefined
  const { headDim } = request.config
  if (headDim < 32 || (headDim & (headDim - 1)) !== 0)
    throw new UserError(
      "unsupported",
      `head_dim is ${headDim}; keys and values are compressed in heads of a power of two from 32 up: use --kv f16`,
    )
  const limits = {
    budgetBytes,
    window: kvWindow,
    ...(attention === "auto" && { selectiveFrom: selection.from }),
  }
  if (kv === "auto") return { tier: 1, floor: 3, ...limits }
  const tier = ({ T1: 1, T2: 2, T3: 3 } as const)[kv]
  return { tier, floor: tier, ...limits }
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
