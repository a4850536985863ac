// Step 1. A `ChatRequest` in, the body of one server's /chat/completions out. What the server has no word for is
// refused, never passed over.

import type { IncomingMessage } from "../chat/messages.ts"
import type { ChatRequest, Json, Sampling, Thinking, ToolCall } from "../types.ts"
import { UserError } from "../util/errors.ts"
import type { Dialect, Identity } from "./dialect.ts"
import type { JsonObject } from "./json.ts"

export function requestBody(
  request: ChatRequest,
  { dialect, model }: Identity,
  delivery: "stream" | "whole",
): JsonObject {
  const { messages, sampling = {}, stop = [], priority } = request
  return dense({
    model,
    messages: messagesOf(messages, dialect),
    ...toolsOf(request, dialect),
    ...samplingOf(sampling, dialect),
    ...(stop.length > 0 && { stop: [...stop] }),
    // Servers that know no order of requests pass over the field; OpenAI's own API would refuse it.
    ...(priority !== undefined && dialect !== "openai" && { priority }),
    ...thinkingOf(request, dialect),
    ...(delivery === "stream" && { stream: true, stream_options: { include_usage: true } }),
  })
}

/** Without what is not there. */
function dense(fields: Record<string, Json | undefined>): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, Json] => entry[1] !== undefined),
  )
}

/** Arguments as text, thoughts under the server's name, and ids where calls and results have none. */
function messagesOf(messages: ChatRequest["messages"], dialect: Dialect): JsonObject[] {
  const waiting: string[] = []
  let numIds = 0
  return messages.map((message: IncomingMessage) => {
    const calls = (message.tool_calls ?? []).map((call) => callOf(call, call.id ?? `call_${numIds++}`))
    waiting.push(...calls.map(({ id }) => id))
    const first = message.role === "tool" ? waiting.shift() : undefined
    return dense({
      role: message.role,
      content: contentOf(message),
      ...thoughtOf(message.reasoning_content ?? message.reasoning ?? "", dialect),
      ...(calls.length > 0 && { tool_calls: calls }),
      ...(message.role === "tool" && { tool_call_id: message.tool_call_id ?? first }),
      name: message.name,
    })
  })
}

function contentOf({ content, tool_calls }: IncomingMessage): Json {
  if (content === undefined || content === null) return tool_calls?.length ? null : ""
  return typeof content === "string" ? content : content.map(({ type, text }) => ({ type, text }))
}

function callOf({ function: { name, arguments: given } }: ToolCall, id: string) {
  const text = typeof given === "string" ? given : JSON.stringify(given)
  return { id, type: "function", function: { name, arguments: text } }
}

/** vLLM has changed the name; OpenAI's own API refuses fields that it does not know. */
function thoughtOf(thought: string, dialect: Dialect): Record<string, string> {
  if (thought === "" || dialect === "openai") return {}
  return { reasoning_content: thought, ...(dialect === "vllm" && { reasoning: thought }) }
}

function toolsOf(
  { tools = [], toolChoice, maxToolCalls }: ChatRequest,
  dialect: Dialect,
): Record<string, Json> {
  if (tools.length === 0) {
    if (toolChoice === undefined) return {}
    throw new UserError("bad-request", "toolChoice asks for a call, and there are no tools: send tools")
  }
  const named = typeof toolChoice === "object" ? toolChoice.name : undefined
  // llama-server takes a tool's name for "auto": it is shown that tool alone, and has to call one.
  const alone = dialect === "llama-server" && named !== undefined
  const shown = alone ? tools.filter((tool) => tool.function.name === named) : tools
  if (shown.length === 0)
    throw new UserError(
      "bad-request",
      `toolChoice names ${JSON.stringify(named)}, which is none of the tools: send it with them`,
    )
  const choice = named === undefined || alone ? "required" : { type: "function", function: { name: named } }
  return {
    tools: shown.map((tool) => ({ ...tool, function: dense({ ...tool.function }) })),
    ...(toolChoice !== undefined && { tool_choice: choice }),
    ...(maxToolCalls === 1 && { parallel_tool_calls: false }),
    // Elsewhere that is what goes without saying.
    ...(maxToolCalls !== 1 && dialect === "llama-server" && { parallel_tool_calls: true }),
  }
}

function samplingOf(sampling: Partial<Sampling>, dialect: Dialect): Record<string, Json | undefined> {
  const { temperature, topK, topP, minP, presencePenalty, frequencyPenalty, repetitionPenalty } = sampling
  const { seed, logitBias, maxTokens } = sampling
  return {
    temperature,
    top_p: topP,
    // All of them: 0 for us, -1 for every server, of which older ones refuse 0.
    top_k: topK === 0 ? -1 : topK,
    min_p: minP,
    presence_penalty: presencePenalty,
    frequency_penalty: frequencyPenalty,
    [dialect === "llama-server" ? "repeat_penalty" : "repetition_penalty"]: repetitionPenalty,
    seed,
    logit_bias: logitBias && { ...logitBias },
    [dialect === "openai" ? "max_completion_tokens" : "max_tokens"]: maxTokens,
  }
}

function thinkingOf({ thinking, templateVariables }: ChatRequest, dialect: Dialect): Record<string, Json> {
  const budget = typeof thinking === "object" && thinking.budget !== Infinity ? thinking.budget : undefined
  if (budget !== undefined && !(budget >= 0))
    throw new UserError(
      "bad-argument",
      `the thinking budget is ${budget}: wanted a number of tokens from 0 up`,
    )
  if (dialect === "openai") {
    refuseVariables(templateVariables)
    return thinking === undefined ? {} : { reasoning_effort: effortOf(thinking) }
  }
  if (dialect === "a3b")
    return {
      ...(thinking !== undefined && { thinking: budget === undefined ? modeOf(thinking) : { budget } }),
      ...(templateVariables && { chat_template_kwargs: { ...templateVariables } }),
    }
  const mode: JsonObject = thinking === undefined ? {} : { enable_thinking: modeOf(thinking) === "on" }
  const variables = { ...mode, ...templateVariables }
  return {
    ...(Object.keys(variables).length > 0 && { chat_template_kwargs: variables }),
    ...(budget !== undefined && budgetFields(budget, dialect)),
  }
}

function modeOf(thinking: Thinking): "on" | "off" {
  return thinking === "off" ? "off" : "on"
}

function budgetFields(budget: number, dialect: "vllm" | "sglang" | "llama-server"): Record<string, Json> {
  switch (dialect) {
    case "vllm":
      return { thinking_token_budget: budget }
    case "sglang":
      return { custom_params: { thinking_budget: budget } }
    case "llama-server":
      return { thinking_budget_tokens: budget, reasoning_budget_tokens: budget } // an older and a newer name
    default:
      return dialect satisfies never
  }
}

/** OpenAI knows no budgets, only efforts; the steps are those that `a3b serve` takes an effort for. */
function effortOf(thinking: Thinking): string {
  if (thinking === "off") return "none"
  if (thinking === "on") return "high"
  const { budget } = thinking
  if (budget === 0) return "none"
  if (budget <= 512) return "minimal"
  if (budget <= 2048) return "low"
  return budget <= 8192 ? "medium" : "high"
}

function refuseVariables(variables: ChatRequest["templateVariables"]): void {
  const names = Object.keys(variables ?? {})
  if (names.length === 0) return
  throw new UserError(
    "bad-request",
    `the server is none that is known to take variables for its template (${names.join(", ")}): ` +
      "leave templateVariables out, or say which server it is (dialect)",
  )
}
