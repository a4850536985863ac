// Step 8. A reply's events in, the whole reply out; or its text at once, where nobody streams.

import type { ChatEvent, FinishReason, TokenLogprob, ToolCall, Usage } from "../types.ts"
import { ReplyParser } from "./parser.ts"
import type { ParserOptions } from "./parser.ts"

export interface Reply {
  reasoning: string
  content: string
  toolCalls: ToolCall[]
  /** Of the content's tokens, where they were asked for. */
  logprobs?: TokenLogprob[]
  usage?: Usage
  finishReason?: FinishReason
  stopString?: string
  diagnostic?: string
}

export function emptyReply(): Reply {
  return { reasoning: "", content: "", toolCalls: [] }
}

/** Adds an event to the reply so far. */
export function addEvent(reply: Reply, event: ChatEvent): void {
  switch (event.type) {
    case "reasoning":
      reply.reasoning += event.text
      return
    case "content":
      reply.content += event.text
      if (event.logprobs) (reply.logprobs ??= []).push(...event.logprobs)
      return
    case "tool-call-start":
    case "tool-call-delta":
      return // the whole call follows
    case "tool-call": {
      const { id, name, arguments: text } = event
      reply.toolCalls.push({ id, type: "function", function: { name, arguments: text } })
      return
    }
    case "usage":
      reply.usage = event.usage
      return
    case "finish":
      reply.finishReason = event.reason
      reply.stopString = event.stopString
      reply.diagnostic = event.diagnostic
      return
    default:
      event satisfies never
  }
}

/** Splits the decoded text of a finished reply; its tags are found as text. */
export function splitReply(text: string, options: Omit<ParserOptions, "tags">): Reply {
  const reply = emptyReply()
  for (const event of new ReplyParser({ ...options, tags: {} }).end(text, "stop")) addEvent(reply, event)
  return reply
}
