// Steps 4 to 6. Why a sequence cannot begin or ends before its time, as errors; and whether an engine can be trusted
// after one.

import { UserError, messageOf } from "../util/errors.ts"

/**
 * `suspect`: a step failed, and what it left behind is forgotten; it goes on, and is better opened anew when nobody uses
 * it. `broken`: its own books are wrong, it ended all its sequences and takes no others.
 */
export type Health = "sound" | "suspect" | "broken"

/** `limits`: the most ids that fit into the context. */
export function checkIds(ids: Int32Array, vocab: number, limits?: { most: number; context: number }): void {
  if (ids.length === 0) throw new UserError("bad-argument", "the prompt has no tokens: wanted at least one")
  if (limits && ids.length > limits.most) throw contextExceeded(limits.context, ids.length)
  const wrong = ids.find((id) => id < 0 || id >= vocab)
  if (wrong === undefined) return
  throw new UserError("bad-argument", `the prompt has the token id ${wrong}: wanted 0 to ${vocab - 1}`)
}

export function checkPriority(priority: number | undefined): void {
  if (priority === undefined || Number.isSafeInteger(priority)) return
  throw new UserError(
    "bad-argument",
    `priority is ${String(priority)}: wanted a whole number, a lower one for what shall go first`,
  )
}

function contextExceeded(maxContext: number, numTokens: number): UserError {
  const [context, prompt] = [maxContext, numTokens].map((count) => count.toLocaleString("en-US"))
  const message = `context is ${context} tokens; prompt has ${prompt}: shorten it or raise --context`
  return new UserError("context-exceeded", message)
}

export function cancelled(reason: unknown): UserError {
  return new UserError("cancelled", "the generation was cancelled", { cause: reason })
}

export function isCancelled(error: unknown): boolean {
  return error instanceof UserError && error.code === "cancelled"
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(messageOf(error))
}

export function freed(): UserError {
  return new UserError("bad-request", "the model was freed: load it again")
}
