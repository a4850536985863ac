// Step 9. Events in, Anthropic's answer out: blocks of thinking, text and tool use, as they come or as one message.

import type { Reply } from "../../chat/reply.ts"
import type { ChatEvent, FinishReason, Json, Usage } from "../../types.ts"
import { anthropicError } from "../api-error.ts"
import type { ApiError } from "../api-error.ts"
import { eventText } from "../sse.ts"
import type { ReplyWriter } from "../sse.ts"

export interface MessageHead {
  id: string
  model: string
}

type BlockKind = "thinking" | "text" | "tool_use"

export class MessagesWriter implements ReplyWriter {
  readonly #head: MessageHead
  #numBlocks = 0
  #open: BlockKind | undefined
  #usage: Usage | undefined
  #finish: (ChatEvent & { type: "finish" }) | undefined

  constructor(head: MessageHead) {
    this.#head = head
  }

  begin(): string[] {
    const message = {
      ...shell(this.#head),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: usageOf(undefined),
    }
    return [named("message_start", { message })]
  }

  push(_choice: number, event: ChatEvent): string[] {
    switch (event.type) {
      case "reasoning": {
        const opening = this.#enter("thinking", { thinking: "", signature: "" })
        return [...opening, this.#delta({ type: "thinking_delta", thinking: event.text })]
      }
      case "content":
        return [...this.#enter("text", { text: "" }), this.#delta({ type: "text_delta", text: event.text })]
      case "tool-call-start": {
        const { id, name } = event
        return [...this.#close(), ...this.#enter("tool_use", { id, name, input: {} })]
      }
      case "tool-call-delta":
        return [this.#delta({ type: "input_json_delta", partial_json: event.arguments })]
      case "tool-call":
        return this.#close()
      case "usage":
        this.#usage = event.usage
        return []
      case "finish":
        this.#finish = event
        return []
      default:
        return event satisfies never
    }
  }

  end(): string[] {
    const delta = endingOf(this.#finish?.reason, this.#finish?.stopString)
    const ending = named("message_delta", { delta, usage: usageOf(this.#usage) })
    return [...this.#close(), ending, named("message_stop", {})]
  }

  fail(error: ApiError): string[] {
    return [eventText(anthropicError(error), "error")]
  }

  #enter(kind: BlockKind, empty: object): string[] {
    if (this.#open === kind) return []
    const closing = this.#close()
    this.#open = kind
    const content_block = { type: kind, ...empty }
    return [...closing, named("content_block_start", { index: this.#numBlocks, content_block })]
  }

  #close(): string[] {
    const kind = this.#open
    if (kind === undefined) return []
    this.#open = undefined
    const index = this.#numBlocks++
    const delta = { type: "signature_delta", signature: noSignature }
    const signing = kind === "thinking" ? [named("content_block_delta", { index, delta })] : []
    return [...signing, named("content_block_stop", { index })]
  }

  #delta(delta: object): string {
    return named("content_block_delta", { index: this.#numBlocks, delta })
  }
}

/** Thoughts are not signed here; clients want the field and send it back. */
const noSignature = "a3b"

function named(type: string, rest: object): string {
  return eventText({ type, ...rest }, type)
}

export function messageOf(head: MessageHead, reply: Reply) {
  const { reasoning, content, toolCalls, finishReason, stopString } = reply
  return {
    ...shell(head),
    content: [
      ...(reasoning === "" ? [] : [{ type: "thinking", thinking: reasoning, signature: noSignature }]),
      ...(content === "" ? [] : [{ type: "text", text: content }]),
      ...toolCalls.map(({ id, function: { name, arguments: text } }) => ({
        type: "tool_use",
        id,
        name,
        input: inputOf(text),
      })),
    ],
    ...endingOf(finishReason, stopString),
    usage: usageOf(reply.usage),
  }
}

function shell({ id, model }: MessageHead) {
  return { id, type: "message", role: "assistant", model }
}

/** Arguments that the model did not finish are no object; they go out under a name of their own. */
function inputOf(text: string | { [key: string]: Json }): unknown {
  if (typeof text !== "string") return text
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : { invalid: text }
  } catch {
    return { invalid: text }
  }
}

const stopReasons = { stop: "end_turn", length: "max_tokens", tool_calls: "tool_use" } as const

function endingOf(reason: FinishReason | undefined, stopString: string | undefined) {
  if (stopString !== undefined) return { stop_reason: "stop_sequence", stop_sequence: stopString }
  return { stop_reason: stopReasons[reason ?? "stop"], stop_sequence: null }
}

/** What was cached counts apart from what was read. */
function usageOf(usage: Usage | undefined) {
  const { promptTokens = 0, cachedTokens = 0, completionTokens = 0 } = usage ?? {}
  return {
    input_tokens: promptTokens - cachedTokens,
    cache_read_input_tokens: cachedTokens,
    cache_creation_input_tokens: 0,
    output_tokens: completionTokens,
  }
}
