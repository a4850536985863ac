// Step 1. The body of Anthropic's /v1/messages in, a `ChatRequest` out. Its blocks become our messages: results of
// tools come out of the user's turn, thoughts and calls go into the assistant's.

import { z } from "zod"
import type { Family } from "../../chat/thinking.ts"
import type { ChatRequest, Json, Message, Thinking } from "../../types.ts"
import { check, refuse } from "../body.ts"
import { formatOf, responseFormatField } from "../form.ts"
import { readAnthropicTool } from "../tools.ts"
import { withoutVolatileLines } from "./volatile.ts"

const text = z.object({ type: z.literal("text"), text: z.string() })
const textOnly = "this model reads text only: send blocks of type text"

const blockedText = z.union([z.string(), z.array(text)], { error: textOnly })

const block = z.discriminatedUnion(
  "type",
  [
    text,
    z.object({ type: z.literal("thinking"), thinking: z.string() }),
    z.object({ type: z.literal("redacted_thinking") }),
    z.object({
      type: z.literal("tool_use"),
      id: z.string(),
      name: z.string(),
      input: z.custom<{ [key: string]: Json }>(isObject, "wanted an object"),
    }),
    z.object({
      type: z.literal("tool_result"),
      tool_use_id: z.string(),
      content: blockedText.nullish(),
      is_error: z.boolean().nullish(),
    }),
  ],
  { error: textOnly },
)

type Block = z.infer<typeof block>

const message = z.object({
  role: z.enum(["user", "assistant", "system"]),
  content: z.union([z.string(), z.array(block)], { error: textOnly }),
})

const count = z.number().int()

export const promptFields = {
  model: z.string().nullish(),
  messages: z.array(message).min(1, "send at least one message"),
  system: blockedText.nullish(),
  tools: z.array(z.unknown()).nullish(),
  tool_choice: z
    .discriminatedUnion("type", [
      z.object({ type: z.enum(["auto", "any"]), disable_parallel_tool_use: z.boolean().nullish() }),
      z.object({ type: z.literal("none") }),
      z.object({
        type: z.literal("tool"),
        name: z.string(),
        disable_parallel_tool_use: z.boolean().nullish(),
      }),
    ])
    .nullish(),
  thinking: z
    .discriminatedUnion("type", [
      z.object({ type: z.literal("enabled"), budget_tokens: count.min(0).nullish() }),
      z.object({ type: z.enum(["disabled", "adaptive"]) }),
    ])
    .nullish(),
}

const body = z.object({
  ...promptFields,
  max_tokens: count.min(1),
  temperature: z.number().min(0).max(100).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: count.min(0).nullish(),
  stop_sequences: z.array(z.string().min(1).max(1000)).max(16).nullish(),
  stream: z.boolean().nullish(),
  output_format: responseFormatField,
  output_config: z.object({ format: responseFormatField }).nullish(),
})

const prompt = z.object(promptFields)
type Prompt = z.infer<typeof prompt>

export interface MessagesOrder {
  model: string | undefined
  /** Whether the model thinks where nothing is said depends on the model. */
  request: (family: Family) => ChatRequest
  delivery: "stream" | "whole"
}

export function readMessagesOrder(json: Json): MessagesOrder {
  const order = check(body, json)
  const { temperature, top_p, top_k, max_tokens, stop_sequences } = order
  const given = { temperature, topP: top_p, topK: top_k, maxTokens: max_tokens }
  const sampling = Object.fromEntries(Object.entries(given).filter(([, value]) => value != null))
  const responseFormat =
    formatOf(order.output_config?.format, "output_config.format") ??
    formatOf(order.output_format, "output_format")
  const request = (family: Family) => ({
    ...promptOf(order, family),
    sampling,
    stop: stop_sequences ?? [],
    responseFormat,
  })
  return { model: order.model ?? undefined, request, delivery: order.stream ? "stream" : "whole" }
}

/** What /v1/messages/count_tokens counts. */
export function readPromptOrder(json: Json): Pick<MessagesOrder, "model" | "request"> {
  const order = check(prompt, json)
  return { model: order.model ?? undefined, request: (family) => promptOf(order, family) }
}

function promptOf(order: Prompt, family: Family): ChatRequest {
  const system = withoutVolatileLines(plainText(order.system))
  const messages = order.messages.flatMap(({ role, content }) => messagesOf(role, content))
  return {
    messages: system === "" ? messages : [{ role: "system", content: system }, ...messages],
    ...toolsOf(order),
    thinking: thinkingOf(order.thinking, family),
  }
}

/** Without a word about it these clients expect no thoughts; where the model has no choice it thinks. */
function thinkingOf(thinking: Prompt["thinking"], family: Family): Thinking | undefined {
  if (thinking == null) return family === "hybrid" ? "off" : undefined
  switch (thinking.type) {
    case "disabled":
      return "off"
    case "adaptive":
      return "on"
    case "enabled":
      return thinking.budget_tokens == null ? "on" : { budget: thinking.budget_tokens }
    default:
      return thinking satisfies never
  }
}

function toolsOf({ tools, tool_choice }: Prompt): Partial<ChatRequest> {
  const all = (tools ?? []).map((tool, i) => readAnthropicTool(tool, `tools[${i}]`))
  if (tool_choice?.type === "none") return {}
  if (all.length === 0) {
    if (tool_choice && tool_choice.type !== "auto") refuse("tool_choice", "there are no tools: send tools")
    return {}
  }
  const single = tool_choice?.disable_parallel_tool_use ? { maxToolCalls: 1 } : {}
  if (tool_choice?.type === "any") return { tools: all, toolChoice: "required", ...single }
  if (tool_choice?.type !== "tool") return { tools: all, ...single }
  const { name } = tool_choice
  if (!all.some((tool) => tool.function.name === name))
    refuse("tool_choice", `there is no tool ${JSON.stringify(name)}: name one of tools`)
  return { tools: all, toolChoice: { name }, maxToolCalls: 1 }
}

function messagesOf(role: Message["role"], content: string | readonly Block[]): Message[] {
  if (typeof content === "string") return [{ role, content }]
  if (role !== "assistant") return [...resultsIn(content), ...(textIn(role, content) ?? [])]
  const thought = content.flatMap((one) => (one.type === "thinking" ? [one.thinking] : [])).join("\n")
  const calls = content.flatMap((one) =>
    one.type === "tool_use"
      ? [{ id: one.id, type: "function" as const, function: { name: one.name, arguments: one.input } }]
      : [],
  )
  return [
    {
      role,
      content: textOf(content),
      ...(thought !== "" && { reasoning_content: thought }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
  ]
}

/** In the order of the calls, before what the user says. */
function resultsIn(content: readonly Block[]): Message[] {
  return content.flatMap((one) => {
    if (one.type !== "tool_result") return []
    const said = plainText(one.content)
    const result = one.is_error ? `Error: ${said}` : said
    return [{ role: "tool" as const, tool_call_id: one.tool_use_id, content: result }]
  })
}

function textIn(role: Message["role"], content: readonly Block[]): Message[] | undefined {
  return content.some((one) => one.type === "text") ? [{ role, content: textOf(content) }] : undefined
}

function textOf(content: readonly Block[]): string {
  return plainText(content.flatMap((one) => (one.type === "text" ? [one] : [])))
}

function plainText(content: string | readonly { text: string }[] | null | undefined): string {
  return typeof content === "string" ? content : (content ?? []).map((one) => one.text).join("\n")
}

function isObject(value: unknown): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
