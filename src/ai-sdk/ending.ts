// Step 9. How a reply ended and what it took, as the AI SDK has it. What is odd about it stands in the metadata.

import type {
  LanguageModelV3FinishReason,
  LanguageModelV3Usage,
  SharedV3ProviderMetadata,
} from "@ai-sdk/provider"
import type { ChatEvent, FinishReason, Usage } from "../types.ts"

export interface Ending {
  finishReason: LanguageModelV3FinishReason
  usage: LanguageModelV3Usage
  providerMetadata?: SharedV3ProviderMetadata
}

const unified = { stop: "stop", length: "length", tool_calls: "tool-calls" } as const satisfies Record<
  FinishReason,
  LanguageModelV3FinishReason["unified"]
>

export function endingOf(
  { reason, stopString, diagnostic }: ChatEvent & { type: "finish" },
  usage: Usage | undefined,
): Ending {
  const times = usage && { prefillMs: usage.prefillMs, decodeMs: usage.decodeMs }
  return {
    finishReason: { unified: unified[reason], raw: reason },
    usage: usageOf(usage),
    providerMetadata: {
      a3b: {
        ...times,
        ...(stopString !== undefined && { stopString }),
        ...(diagnostic !== undefined && { diagnostic }),
      },
    },
  }
}

export const failedEnding: Ending = {
  finishReason: { unified: "error", raw: undefined },
  usage: usageOf(undefined),
}

function usageOf(usage: Usage | undefined): LanguageModelV3Usage {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = usage ?? {}
  const less = (all: number | undefined, part = 0) => (all === undefined ? undefined : all - part)
  return {
    inputTokens: {
      total: promptTokens,
      noCache: less(promptTokens, cachedTokens),
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: {
      total: completionTokens,
      text: less(completionTokens, reasoningTokens),
      reasoning: reasoningTokens,
    },
  }
}
