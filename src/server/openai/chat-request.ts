// Step 1. The body of /v1/chat/completions in, a `ChatRequest` out, and what the answer shall look like. What the
// model cannot do is refused; fields that change nothing about the answer are passed over.

import { z } from "zod"
import type { ChatRequest, Json, Message, Tool } from "../../types.ts"
import { check, refuse } from "../body.ts"
import { formatOf, guidedFields, guidedFormatOf, responseFormatField } from "../form.ts"
import { readTool } from "../tools.ts"
import { priorityField, samplingFields, samplingOf, stopField, stopsOf } from "./fields.ts"
import { streamFields, thinkingFields, thinkingOf } from "./fields.ts"

const part = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text"), text: z.string() }),
    z.object({ type: z.literal("refusal"), refusal: z.string() }),
  ],
  { error: "this model reads text only: send parts of type text" },
)

const content = z.union([z.string(), z.array(part)], { error: contentError }).nullish()

/** A union says little about itself; the reason lies in the part that is wrong. */
function contentError({ input }: { input?: unknown }): string {
  if (!Array.isArray(input)) return "wanted a text or a list of parts"
  return "this model reads text only: send parts of type text, each with its text"
}

const call = z.object({
  id: z.string().nullish(),
  type: z.literal("function").nullish(),
  function: z.object({
    name: z.string(),
    arguments: z.union([z.string(), z.custom<{ [key: string]: Json }>(isObject)], {
      error: "wanted a JSON object as text",
    }),
  }),
})

const message = z.object({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content,
  reasoning_content: z.string().nullish(),
  reasoning: z.string().nullish(),
  tool_calls: z.array(call).nullish(),
  tool_call_id: z.string().nullish(),
  name: z.string().nullish(),
})

const named = z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) })

const body = z.object({
  model: z.string().nullish(),
  messages: z.array(message).min(1, "send at least one message"),
  tools: z.array(z.unknown()).nullish(),
  tool_choice: z
    .union([z.enum(["none", "auto", "required"]), named], {
      error: 'wanted "none", "auto", "required" or {"type": "function", "function": {"name": ...}}',
    })
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  max_tokens: z.number().int().min(1).nullish(),
  max_completion_tokens: z.number().int().min(1).nullish(),
  n: z.number().int().min(1).max(16).nullish(),
  stop: stopField,
  priority: priorityField,
  chat_template_kwargs: z.custom<{ [name: string]: Json }>(isObject, "wanted an object").nullish(),
  response_format: responseFormatField,
  logprobs: z.boolean().nullish(),
  top_logprobs: z.number().int().min(0).max(20).nullish(),
  ...guidedFields,
  ...samplingFields,
  ...streamFields,
  ...thinkingFields,
})

type Body = z.infer<typeof body>

export interface ChatOrder {
  /** As the client names it. */
  model: string | undefined
  request: ChatRequest
  numReplies: number
  delivery: "stream" | "whole"
  /** Whether a stream ends with a chunk that has the usage. */
  streamUsage: "sent" | "left-out"
}

export function readChatOrder(json: Json): ChatOrder {
  refuseLegacy(json)
  const order = check(body, json)
  return {
    model: order.model ?? undefined,
    request: {
      messages: order.messages.map(readMessage),
      ...toolsOf(order),
      thinking: thinkingOf(order),
      responseFormat: formatOf(order.response_format, "response_format") ?? guidedFormatOf(order),
      logprobs: logprobsOf(order),
      sampling: samplingOf(order, order.max_completion_tokens ?? order.max_tokens),
      stop: stopsOf(order.stop),
      priority: order.priority ?? undefined,
      templateVariables: order.chat_template_kwargs ?? undefined,
    },
    numReplies: order.n ?? 1,
    delivery: order.stream ? "stream" : "whole",
    streamUsage: order.stream_options?.include_usage ? "sent" : "left-out",
  }
}

function readMessage({ role, content, tool_calls, ...rest }: z.infer<typeof message>): Message {
  const thought = rest.reasoning_content ?? rest.reasoning
  return {
    role: role === "developer" ? "system" : role,
    content: typeof content === "string" ? content : content?.map(textPart),
    ...(thought != null && { reasoning_content: thought }),
    ...(tool_calls != null && {
      tool_calls: tool_calls.map(({ id, function: called }) => callOf(id, called)),
    }),
    ...(rest.tool_call_id != null && { tool_call_id: rest.tool_call_id }),
    ...(rest.name != null && { name: rest.name }),
  }
}

function textPart(one: z.infer<typeof part>): { type: "text"; text: string } {
  return { type: "text", text: one.type === "text" ? one.text : one.refusal }
}

function callOf(id: string | null | undefined, called: z.infer<typeof call>["function"]) {
  return { ...(id != null && { id }), type: "function" as const, function: called }
}

/** The tools that the model is shown, and how it may call them. */
function toolsOf({ tools, tool_choice, parallel_tool_calls }: Body): Partial<ChatRequest> {
  const all = (tools ?? []).map((tool, i) => readTool(tool, `tools[${i}]`))
  if (all.length === 0) {
    if (tool_choice != null && tool_choice !== "none" && tool_choice !== "auto")
      refuse("tool_choice", "there are no tools to choose from: send tools")
    return {}
  }
  if (tool_choice === "none") return {}
  return {
    tools: all,
    ...(parallel_tool_calls === false && { maxToolCalls: 1 }),
    ...choiceOf(tool_choice ?? "auto", all),
  }
}

function choiceOf(choice: NonNullable<Body["tool_choice"]>, tools: readonly Tool[]): Partial<ChatRequest> {
  if (typeof choice === "string") return choice === "required" ? { toolChoice: "required" } : {}
  const { name } = choice.function
  if (!tools.some((tool) => tool.function.name === name))
    refuse("tool_choice", `there is no tool ${JSON.stringify(name)}: name one of tools`)
  return { toolChoice: { name }, maxToolCalls: 1 }
}

function refuseLegacy(json: Json): void {
  if (!isObject(json)) return
  for (const field of ["functions", "function_call"])
    if (json[field] != null) refuse(field, "this form is no longer in use: send tools and tool_choice")
}

/** Of how many tokens beside each one that came. */
function logprobsOf({ logprobs, top_logprobs }: Body): number | undefined {
  if (!logprobs && top_logprobs) refuse("top_logprobs", "it needs logprobs: send logprobs true as well")
  return logprobs ? (top_logprobs ?? 0) : undefined
}

function isObject(value: unknown): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
