// Step 1. The AI SDK's call options in, a `ChatRequest` out, and warnings about what was left out. What would give
// another answer than the one asked for is refused.

import type { LanguageModelV3CallOptions, SharedV3Warning } from "@ai-sdk/provider"
import type { ChatRequest, Json, Sampling, Thinking, Tool, ToolChoice } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { readPrompt } from "./prompt.ts"

export interface Call {
  request: ChatRequest
  warnings: SharedV3Warning[]
}

export function readCall(options: LanguageModelV3CallOptions): Call {
  const { prompt, stopSequences, responseFormat, providerOptions } = options
  if (responseFormat?.type === "json")
    throw new UserError(
      "unsupported",
      "output is not constrained to JSON here: ask for the form in the prompt and take it as text",
    )
  const own = readOwn(providerOptions?.a3b ?? {})
  const { tools, warnings } = readTools(options)
  return {
    request: {
      messages: readPrompt(prompt),
      ...tools,
      thinking: own.thinking,
      templateVariables: own.templateVariables,
      sampling: { ...samplingOf(options), ...own.sampling },
      ...(stopSequences && { stop: stopSequences }),
    },
    warnings,
  }
}

function samplingOf(options: LanguageModelV3CallOptions): Partial<Sampling> {
  const { temperature, topP, topK, presencePenalty, frequencyPenalty, seed } = options
  const given = {
    temperature,
    topP,
    topK,
    presencePenalty,
    frequencyPenalty,
    seed,
    maxTokens: options.maxOutputTokens,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

function readTools({ tools = [], toolChoice }: LanguageModelV3CallOptions): {
  tools: Pick<ChatRequest, "tools" | "toolChoice">
  warnings: SharedV3Warning[]
} {
  const functions = tools.flatMap((tool) => (tool.type === "function" ? [tool] : []))
  const warnings = tools.flatMap((tool): SharedV3Warning[] =>
    tool.type === "provider" ? [{ type: "unsupported", feature: `the provider's tool ${tool.name}` }] : [],
  )
  if (functions.length === 0 || toolChoice?.type === "none") return { tools: {}, warnings }
  const shown = functions.map(({ name, description, inputSchema }): Tool => {
    const parameters = inputSchema as { [key: string]: Json } // a JSON schema is JSON
    return {
      type: "function",
      function: { name, ...(description !== undefined && { description }), parameters },
    }
  })
  return { tools: { tools: shown, toolChoice: choiceOf(toolChoice) }, warnings }
}

function choiceOf(choice: LanguageModelV3CallOptions["toolChoice"]): ToolChoice | undefined {
  if (choice?.type === "required") return "required"
  return choice?.type === "tool" ? { name: choice.toolName } : undefined
}

interface Own {
  thinking?: Thinking
  templateVariables?: { [key: string]: Json }
  sampling: Partial<Sampling>
}

type Given = NonNullable<LanguageModelV3CallOptions["providerOptions"]>[string]

/** `providerOptions.a3b`, of which a misspelled name must not be passed over. */
function readOwn({ thinking, templateVariables, minP, repetitionPenalty, ...rest }: Given): Own {
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined)
    throw wrongOption(unknown, "thinking, templateVariables, minP or repetitionPenalty")
  for (const [name, value] of Object.entries({ minP, repetitionPenalty }))
    if (value !== undefined && typeof value !== "number") throw wrongOption(name, "a number")
  if (templateVariables !== undefined && !isObject(templateVariables))
    throw wrongOption("templateVariables", "an object")
  const sampling = Object.entries({ minP, repetitionPenalty }).filter(([, value]) => value !== undefined)
  return {
    ...(thinking !== undefined && { thinking: readThinking(thinking) }),
    ...(templateVariables !== undefined && {
      templateVariables: templateVariables as Own["templateVariables"],
    }), // JSON
    sampling: Object.fromEntries(sampling),
  }
}

function readThinking(value: unknown): Thinking {
  if (value === "on" || value === "off") return value
  if (isObject(value) && typeof value.budget === "number") return { budget: value.budget }
  throw wrongOption("thinking", '"on", "off" or { budget: tokens }')
}

function wrongOption(name: string, wanted: string): UserError {
  return new UserError(
    "bad-argument",
    `providerOptions.a3b has ${name}, which is not understood: wanted ${wanted}`,
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
