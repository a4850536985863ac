// A reply and the events that came for it in, the reply as it is then out. A new object each time: what is drawn is
// compared by identity.

import type { ReplyEvent } from "../api/chat.ts"
import type { Call, Measures, Reply, Thought } from "./conversation.ts"

export function grown(reply: Reply, events: readonly ReplyEvent[]): Reply {
  return events.reduce(grownBy, reply)
}

function grownBy(reply: Reply, event: ReplyEvent): Reply {
  switch (event.type) {
    case "thought":
      return counted({ ...reply, thought: thoughtWith(reply.thought, event) }, event.atMs)
    case "text":
      return counted({ ...reply, text: reply.text + event.text }, event.atMs)
    case "call":
      return counted({ ...reply, calls: callsWith(reply.calls, event) }, event.atMs)
    case "usage":
      return { ...reply, ...measured(reply, event) }
    case "finish": {
      const cut = event.reason === "length" ? ("length" as const) : undefined
      return {
        ...reply,
        ...(cut && { cut }),
        ...(event.diagnostic !== undefined && { note: event.diagnostic }),
      }
    }
    default:
      return event satisfies never
  }
}

/** A piece is a token until the usage says better. */
function counted(reply: Reply, atMs: number): Reply {
  const { measures } = reply
  const tokens = (measures?.tokens ?? 0) + 1
  return { ...reply, measures: { ...measures, tokens, firstMs: measures?.firstMs ?? atMs, lastMs: atMs } }
}

function thoughtWith(thought: Thought | undefined, { text, atMs }: { text: string; atMs: number }): Thought {
  if (!thought) return { text, tokens: 1, fromMs: atMs, toMs: atMs }
  return { ...thought, text: thought.text + text, tokens: thought.tokens + 1, toMs: atMs }
}

function callsWith(calls: readonly Call[], piece: ReplyEvent & { type: "call" }): Call[] {
  const { index, id, name } = piece
  const before: Call = calls[index] ?? { id: id ?? `call_${index}`, name: "", arguments: "" }
  const after = { ...before, name: name ?? before.name, arguments: before.arguments + piece.arguments }
  return calls.length > index ? calls.with(index, after) : [...calls, after]
}

function measured(reply: Reply, usage: ReplyEvent & { type: "usage" }): Partial<Reply> {
  const { promptTokens, cachedTokens, tokens, thoughtTokens, atMs } = usage
  const before: Measures = reply.measures ?? { tokens: 0, firstMs: atMs, lastMs: atMs }
  return {
    measures: { ...before, promptTokens, cachedTokens, tokens },
    ...(reply.thought && { thought: { ...reply.thought, tokens: thoughtTokens } }),
  }
}

/** Between the first token and the last; nothing while that is no time at all. */
export function tokensPerSecond({ tokens, firstMs, lastMs }: Measures): number | undefined {
  const seconds = (lastMs - firstMs) / 1000
  return tokens > 1 && seconds > 0.05 ? (tokens - 1) / seconds : undefined
}
