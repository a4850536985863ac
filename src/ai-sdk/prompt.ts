// Step 1. The AI SDK's prompt in, messages out: parts of one turn become one message, each result of a tool its own.

import type {
  LanguageModelV3Message,
  LanguageModelV3Prompt,
  LanguageModelV3ToolResultPart,
} from "@ai-sdk/provider"
import type { Message, ToolCall } from "../types.ts"
import { UserError } from "../util/errors.ts"

export function readPrompt(prompt: LanguageModelV3Prompt): Message[] {
  return prompt.flatMap(readMessage)
}

function readMessage(message: LanguageModelV3Message): Message[] {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: message.content }]
    case "user":
      return [
        { role: "user", content: message.content.map((part) => ({ type: "text", text: textOf(part) })) },
      ]
    case "assistant":
      return [readAssistant(message.content)]
    case "tool":
      // Approvals are between the SDK and its user; what came of them is a result.
      return message.content.flatMap((part) => (part.type === "tool-result" ? [readResult(part)] : []))
    default:
      return message satisfies never
  }
}

type AssistantContent = (LanguageModelV3Message & { role: "assistant" })["content"]

function readAssistant(content: AssistantContent): Message {
  const texts: string[] = []
  const thoughts: string[] = []
  const calls: ToolCall[] = []
  for (const part of content) {
    if (part.type === "reasoning") thoughts.push(part.text)
    else if (part.type === "tool-call") calls.push(callOf(part))
    else texts.push(textOf(part))
  }
  return {
    role: "assistant",
    content: texts.join(""),
    ...(thoughts.length > 0 && { reasoning_content: thoughts.join("\n\n") }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}

function callOf(part: Extract<AssistantContent[number], { type: "tool-call" }>): ToolCall {
  const text = typeof part.input === "string" ? part.input : JSON.stringify(part.input ?? {})
  return { id: part.toolCallId, type: "function", function: { name: part.toolName, arguments: text } }
}

function textOf(part: { type: string; text?: string }): string {
  if (part.type === "text" && part.text !== undefined) return part.text
  throw new UserError(
    "bad-request",
    `a ${part.type} is part of a message: this model reads text only, send its text`,
  )
}

function readResult({ toolCallId, toolName, output }: LanguageModelV3ToolResultPart): Message {
  return { role: "tool", tool_call_id: toolCallId, name: toolName, content: resultText(output) }
}

function resultText(output: LanguageModelV3ToolResultPart["output"]): string {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value
    case "json":
    case "error-json":
      return JSON.stringify(output.value)
    case "execution-denied":
      return output.reason ?? "The user did not allow this call."
    case "content":
      return output.value.map(textOf).join("\n")
    default:
      return output satisfies never
  }
}
