// Step 9. What replies took, as OpenAI counts it: the prompt once, however many replies it has.

import type { Usage } from "../../types.ts"

export function usageOf(usages: readonly Usage[]) {
  const sum = (of: (usage: Usage) => number) => usages.reduce((total, usage) => total + of(usage), 0)
  const [first] = usages
  const promptTokens = first?.promptTokens ?? 0
  const completionTokens = sum((usage) => usage.completionTokens)
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: first?.cachedTokens ?? 0 },
    completion_tokens_details: { reasoning_tokens: sum((usage) => usage.reasoningTokens) },
  }
}
