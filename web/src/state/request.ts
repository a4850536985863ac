// Turns and settings in, the body of /v1/chat/completions out.

import type { Call, Reply, TextFile, Turn } from "./conversation.ts"
import { readTools } from "./settings.ts"
import type { ChatSettings } from "./settings.ts"

/** Without the model's name: the server of this page has one. */
export function requestBody(turns: readonly Turn[], settings: ChatSettings): object {
  const read = readTools(settings.tools)
  const tools = "tools" in read ? read.tools : []
  return {
    messages: [...systemOf(settings), ...turns.flatMap(messagesOf)],
    stream: true,
    stream_options: { include_usage: true },
    ...(tools.length > 0 && { tools }),
    thinking: settings.thinking === "budget" ? { budget: settings.budgetTokens } : settings.thinking,
    ...settings.sampling,
  }
}

function systemOf({ system }: ChatSettings): object[] {
  return system.trim() === "" ? [] : [{ role: "system", content: system }]
}

function messagesOf(turn: Turn): object[] {
  if (turn.role === "user") return [{ role: "user", content: withFiles(turn.text, turn.files) }]
  return [replyMessage(turn), ...turn.calls.map(resultMessage)]
}

/** Thoughts go along: the model's template knows which of them to leave out. */
function replyMessage({ text, thought, calls }: Reply): object {
  return {
    role: "assistant",
    content: text,
    ...(thought && { reasoning_content: thought.text }),
    ...(calls.length > 0 && { tool_calls: calls.map(callMessage) }),
  }
}

function callMessage({ id, name, arguments: text }: Call): object {
  return { id, type: "function", function: { name, arguments: text } }
}

function resultMessage({ id, result = "" }: Call): object {
  return { role: "tool", tool_call_id: id, content: result }
}

/** Files before the question, as models are trained to read them. */
function withFiles(text: string, files: readonly TextFile[]): string {
  const parts = files.map((file) => `<file name=${JSON.stringify(file.name)}>\n${file.text}\n</file>`)
  return [...parts, text].filter((part) => part !== "").join("\n\n")
}
