// Step 1. The body of /v1/responses in, a `ChatRequest` out. Nothing is kept between requests: a client sends the
// whole conversation as items, which become messages; neighbouring items of one turn become one.

import { z } from "zod"
import type { ChatRequest, Json, Message } from "../../types.ts"
import { check, refuse } from "../body.ts"
import { formatOf, responseFormatField } from "../form.ts"
import { readFlatTool } from "../tools.ts"
import { priorityField, samplingFields, samplingOf, thinkingOfEffort } from "./fields.ts"

const textOnly = "this model reads text only: send parts of type input_text or output_text"

const part = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.enum(["input_text", "output_text", "text"]), text: z.string() }),
    z.object({ type: z.literal("refusal"), refusal: z.string() }),
  ],
  { error: textOnly },
)

const content = z.union([z.string(), z.array(part)], { error: textOnly })

const message = z.object({
  type: z.literal("message").optional(),
  role: z.enum(["system", "developer", "user", "assistant"]),
  content,
})
const thought = z.object({
  type: z.literal("reasoning"),
  content: z.array(z.object({ text: z.string() })).nullish(),
  summary: z.array(z.object({ text: z.string() })).nullish(),
})
const call = z.object({
  type: z.literal("function_call"),
  call_id: z.string(),
  name: z.string(),
  arguments: z.string(),
})
const result = z.object({ type: z.literal("function_call_output"), call_id: z.string(), output: content })

const item = z.union([message, thought, call, result], {
  error: "wanted an item of type message, reasoning, function_call or function_call_output, text only",
})

const body = z.object({
  model: z.string().nullish(),
  input: z.union([z.string().min(1), z.array(item).min(1)], { error: inputError }),
  instructions: z.string().nullish(),
  tools: z.array(z.unknown()).nullish(),
  tool_choice: z
    .union(
      [z.enum(["none", "auto", "required"]), z.object({ type: z.literal("function"), name: z.string() })],
      {
        error: 'wanted "none", "auto", "required" or {"type": "function", "name": ...}',
      },
    )
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  max_output_tokens: z.number().int().min(1).nullish(),
  reasoning: z
    .object({ effort: z.enum(["none", "minimal", "low", "medium", "high", "xhigh"]).nullish() })
    .nullish(),
  text: z.object({ format: responseFormatField }).nullish(),
  stream: z.boolean().nullish(),
  previous_response_id: z.string().nullish(),
  conversation: z.unknown().optional(),
  background: z.boolean().nullish(),
  priority: priorityField,
  ...samplingFields,
})

type Body = z.infer<typeof body>
type Item = z.infer<typeof item>

export interface ResponsesOrder {
  model: string | undefined
  request: ChatRequest
  delivery: "stream" | "whole"
  /** What the answer repeats of the request. */
  echo: { instructions: string | null; max_output_tokens: number | null; parallel_tool_calls: boolean }
}

export function readResponsesOrder(json: Json): ResponsesOrder {
  const order = check(body, json)
  refuseState(order)
  const { input, instructions, reasoning } = order
  const conversation =
    typeof input === "string" ? [{ role: "user" as const, content: input }] : messagesOf(input)
  const effort = reasoning?.effort
  return {
    model: order.model ?? undefined,
    request: {
      messages: instructions ? [{ role: "system", content: instructions }, ...conversation] : conversation,
      ...toolsOf(order),
      responseFormat: formatOf(order.text?.format, "text.format"),
      thinking: effort == null ? undefined : thinkingOfEffort(effort),
      sampling: samplingOf(order, order.max_output_tokens),
      priority: order.priority ?? undefined,
    },
    delivery: order.stream ? "stream" : "whole",
    echo: {
      instructions: instructions ?? null,
      max_output_tokens: order.max_output_tokens ?? null,
      parallel_tool_calls: order.parallel_tool_calls ?? true,
    },
  }
}

/** A union says little about itself; the item that is wrong is named. */
function inputError({ input }: { input?: unknown }): string {
  if (!Array.isArray(input)) return "wanted a text or a list of items"
  const wrong = input.findIndex((one) => !item.safeParse(one).success)
  return wrong < 0
    ? "wanted at least one item"
    : `item ${wrong} is none of message, reasoning, function_call, function_call_output, with text only`
}

function refuseState({ previous_response_id, conversation, background }: Body): void {
  const stateless = "nothing is kept here between requests: send the whole conversation as input"
  if (previous_response_id != null) refuse("previous_response_id", stateless)
  if (conversation != null) refuse("conversation", stateless)
  if (background) refuse("background", "replies are sent to who waits for them: leave it out")
}

function toolsOf({ tools, tool_choice, parallel_tool_calls }: Body): Partial<ChatRequest> {
  const all = (tools ?? []).map((tool, i) => readFlatTool(tool, `tools[${i}]`))
  if (tool_choice === "none") return {}
  if (all.length === 0) {
    if (tool_choice != null && tool_choice !== "auto") refuse("tool_choice", "there are no tools: send tools")
    return {}
  }
  const single = parallel_tool_calls === false ? { maxToolCalls: 1 } : {}
  if (tool_choice === "required") return { tools: all, toolChoice: "required", ...single }
  if (tool_choice == null || tool_choice === "auto") return { tools: all, ...single }
  const { name } = tool_choice
  if (!all.some((tool) => tool.function.name === name))
    refuse("tool_choice", `there is no tool ${JSON.stringify(name)}: name one of tools`)
  return { tools: all, toolChoice: { name }, maxToolCalls: 1 }
}

/** Thought, text and calls of the assistant stand in items of their own; together they are one message. */
function messagesOf(items: readonly Item[]): Message[] {
  const messages: Message[] = []
  for (const one of items) {
    const last = messages.at(-1)
    const own = messageOf(one)
    if (last !== undefined && continues(last, one)) messages[messages.length - 1] = joined(last, own)
    else messages.push(own)
  }
  return messages
}

function messageOf(one: Item): Message {
  if ("role" in one) {
    const role = one.role === "developer" ? "system" : one.role
    return { role, content: plainText(one.content) }
  }
  switch (one.type) {
    case "reasoning":
      return { role: "assistant", content: "", reasoning_content: thoughtOf(one) }
    case "function_call": {
      const { call_id: id, name, arguments: text } = one
      const tool_calls = [{ id, type: "function" as const, function: { name, arguments: text } }]
      return { role: "assistant", content: "", tool_calls }
    }
    case "function_call_output":
      return { role: "tool", tool_call_id: one.call_id, content: plainText(one.output) }
    default:
      return one satisfies never
  }
}

/** A thought begins a turn, text follows a thought, a call follows anything. */
function continues({ role, content, tool_calls }: Message, one: Item): boolean {
  if (role !== "assistant") return false
  if (!("role" in one)) return one.type === "function_call"
  return one.role === "assistant" && content === "" && tool_calls === undefined
}

function joined(turn: Message, { content, tool_calls }: Message): Message {
  if (tool_calls == null) return { ...turn, content }
  return { ...turn, tool_calls: [...(turn.tool_calls ?? []), ...tool_calls] }
}

function thoughtOf({ content: whole, summary }: z.infer<typeof thought>): string {
  const texts = whole?.length ? whole : (summary ?? [])
  return texts.map(({ text }) => text).join("\n")
}

function plainText(given: z.infer<typeof content>): string {
  if (typeof given === "string") return given
  return given.map((one) => (one.type === "refusal" ? one.refusal : one.text)).join("\n")
}
