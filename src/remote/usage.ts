// Step 9. What a reply took, as servers count it, in; `Usage` out. Times are the server's where it tells them, else
// ours.

import type { Usage } from "../types.ts"
import { asNumber, asObject } from "./json.ts"
import type { JsonObject } from "./json.ts"

export interface Times {
  prefillMs: number
  decodeMs: number
}

/** Nothing where the server tells nothing. `timings` are llama-server's. */
export function usageOf(
  usage: JsonObject | undefined,
  timings: JsonObject | undefined,
  times: Times,
): Usage | undefined {
  if (!usage && !timings) return undefined
  const prompt = asObject(usage?.prompt_tokens_details)
  const completion = asObject(usage?.completion_tokens_details)
  const cachedTokens = asNumber(prompt?.cached_tokens) ?? asNumber(timings?.cache_n) ?? 0
  const readTokens = asNumber(timings?.prompt_n) ?? 0
  return {
    promptTokens: asNumber(usage?.prompt_tokens) ?? readTokens + cachedTokens,
    cachedTokens,
    completionTokens: asNumber(usage?.completion_tokens) ?? asNumber(timings?.predicted_n) ?? 0,
    reasoningTokens: asNumber(completion?.reasoning_tokens) ?? asNumber(usage?.reasoning_tokens) ?? 0, // SGLang's
    prefillMs: asNumber(timings?.prompt_ms) ?? times.prefillMs,
    decodeMs: asNumber(timings?.predicted_ms) ?? times.decodeMs,
  }
}
