// Steps 1 and 2. Messages as clients send them in, messages as templates expect them out, and with them the prompt.
// Clients differ: content as parts or null, arguments as text or object, thoughts under two names.

import type { ChatRequest, Json, Message, Tool, ToolCall } from "../types.ts"
import { UserError, messageOf } from "../util/errors.ts"
import type { ChatFormat } from "./format.ts"
import { parseJson } from "./json.ts"
import { thinkingVariables } from "./thinking.ts"

/** A message with the thought under its other name too. */
export type IncomingMessage = Message & { reasoning?: string | null }

const roles = new Set(["system", "user", "assistant", "tool"])

/** The request's conversation and tools as the prompt that the assistant's reply continues. */
export function render(format: ChatFormat, request: ChatRequest): string {
  return format.template.render({
    messages: normaliseMessages(request.messages, format.argumentsForm),
    tools: request.tools?.length ? request.tools.map(shown) : null,
    addGenerationPrompt: true,
    variables: { ...thinkingVariables(format.family, request.thinking), ...request.templateVariables },
  })
}

/** Without what is no business of the model's. */
function shown(tool: Tool): Tool {
  if (tool.function?.strict === undefined) return tool // templates take tools in other forms too
  const { strict: _, ...called } = tool.function
  return { ...tool, function: called }
}

/** Text content everywhere, one field for thoughts, arguments in the form that the template takes. */
export function normaliseMessages(
  messages: readonly IncomingMessage[],
  argumentsForm: ChatFormat["argumentsForm"],
): Message[] {
  if (!Array.isArray(messages) || messages.length === 0)
    throw new UserError("bad-request", "messages is empty: send a list of at least one message")
  return messages.map((message: IncomingMessage, i) =>
    normaliseMessage(message, argumentsForm, `messages[${i}]`),
  )
}

function normaliseMessage(
  message: IncomingMessage,
  form: ChatFormat["argumentsForm"],
  where: string,
): Message {
  if (!roles.has(message?.role))
    throw new UserError(
      "bad-request",
      `${where}.role is ${JSON.stringify(message?.role)}, not one of ${[...roles].join(", ")}`,
    )
  const { content, reasoning, reasoning_content, tool_calls, ...rest } = message
  const thought = reasoning_content ?? reasoning
  const calls = tool_calls ?? []
  if (!Array.isArray(calls)) throw new UserError("bad-request", `${where}.tool_calls is not a list`)
  return {
    ...rest,
    content: textOf(content, where),
    ...(typeof thought === "string" && { reasoning_content: thought }),
    ...(calls.length > 0 && {
      tool_calls: calls.map((call: ToolCall, i) => normaliseCall(call, form, `${where}.tool_calls[${i}]`)),
    }),
  }
}

function textOf(content: Message["content"], where: string): string {
  if (typeof content === "string") return content
  const parts = content ?? []
  if (!Array.isArray(parts))
    throw new UserError("bad-request", `${where}.content is neither text nor a list of parts`)
  return parts
    .map((part: { type?: unknown; text?: unknown } | null, i) => {
      if (part?.type === "text" && typeof part.text === "string") return part.text
      throw new UserError(
        "bad-request",
        `${where}.content[${i}] is not a text part: this model reads text only`,
      )
    })
    .join("\n")
}

function normaliseCall(call: ToolCall, form: ChatFormat["argumentsForm"], where: string): ToolCall {
  const { name, arguments: given } = call?.function ?? {} // templates take calls without `function` too
  if (typeof given !== "string") return call
  const text = given.trim() === "" ? "{}" : given
  return {
    ...call,
    function: { name, arguments: form === "text" ? text : readObject(text, `${where}.arguments`) },
  }
}

function readObject(text: string, where: string): { [key: string]: Json } {
  try {
    const value = parseJson(text)
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value
    throw new SyntaxError("it is not an object")
  } catch (error) {
    throw new UserError(
      "bad-request",
      `${where} must hold a JSON object for this checkpoint's template: ${messageOf(error)}: send {} or correct it`,
    )
  }
}
