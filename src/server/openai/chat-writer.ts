// Step 9. Events in, /v1/chat/completions' answer out: chunks as they come, or one object. Thoughts go out under both
// names in use, `reasoning_content` and `reasoning`.

import type { Reply } from "../../chat/reply.ts"
import type { ChatEvent, TokenLogprob, Usage } from "../../types.ts"
import { openAiError } from "../api-error.ts"
import type { ApiError } from "../api-error.ts"
import { eventText } from "../sse.ts"
import type { ReplyWriter } from "../sse.ts"
import type { ChatOrder } from "./chat-request.ts"
import { usageOf } from "./usage.ts"

/** What every chunk of an answer repeats. */
export interface AnswerHead {
  id: string
  /** Seconds since 1970. */
  created: number
  model: string
}

type Delta = Record<string, unknown>

export class ChatWriter implements ReplyWriter {
  readonly #head: AnswerHead
  readonly #order: Pick<ChatOrder, "numReplies" | "streamUsage">
  readonly #usages: Usage[] = []

  constructor(head: AnswerHead, order: Pick<ChatOrder, "numReplies" | "streamUsage">) {
    this.#head = head
    this.#order = order
  }

  begin(): string[] {
    const delta = { role: "assistant", content: "" }
    return Array.from({ length: this.#order.numReplies }, (_, choice) => this.#delta(choice, delta))
  }

  push(choice: number, event: ChatEvent): string[] {
    switch (event.type) {
      case "reasoning":
        return [this.#delta(choice, { reasoning_content: event.text, reasoning: event.text })]
      case "content":
        return [this.#delta(choice, { content: event.text }, logprobsOf(event.logprobs))]
      case "tool-call-start": {
        const { index, id, name } = event
        const call = { index, id, type: "function", function: { name, arguments: "" } }
        return [this.#delta(choice, { tool_calls: [call] })]
      }
      case "tool-call-delta": {
        const call = { index: event.index, function: { arguments: event.arguments } }
        return [this.#delta(choice, { tool_calls: [call] })]
      }
      case "tool-call":
        return [] // its pieces were sent
      case "usage":
        this.#usages[choice] = event.usage
        return []
      case "finish":
        return [this.#chunk({ choices: [{ index: choice, delta: {}, ...ending(event) }] })]
      default:
        return event satisfies never
    }
  }

  end(): string[] {
    const usage = this.#chunk({ choices: [], usage: usageOf(this.#usages) })
    return [...(this.#order.streamUsage === "sent" ? [usage] : []), eventText("[DONE]")]
  }

  fail(error: ApiError): string[] {
    return [eventText(openAiError(error))]
  }

  #delta(choice: number, delta: Delta, logprobs: object | null = null): string {
    return this.#chunk({ choices: [{ index: choice, delta, logprobs, finish_reason: null }] })
  }

  #chunk(rest: object): string {
    return eventText({ ...this.#head, object: "chat.completion.chunk", ...rest })
  }
}

export function chatCompletion(head: AnswerHead, replies: readonly Reply[]) {
  return {
    ...head,
    object: "chat.completion",
    choices: replies.map((reply, index) => ({
      index,
      message: messageOf(reply),
      ...ending({ reason: reply.finishReason, diagnostic: reply.diagnostic }),
      logprobs: logprobsOf(reply.logprobs),
    })),
    usage: usageOf(replies.flatMap(({ usage }) => usage ?? [])),
  }
}

function messageOf({ reasoning, content, toolCalls }: Reply) {
  return {
    role: "assistant",
    content: content === "" && toolCalls.length > 0 ? null : content,
    refusal: null,
    ...(reasoning !== "" && { reasoning_content: reasoning, reasoning }),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
  }
}

/** In OpenAI's form; nothing where none came. */
function logprobsOf(tokens: readonly TokenLogprob[] | undefined) {
  if (tokens === undefined) return null
  return { content: tokens.map(({ top, ...token }) => ({ ...token, top_logprobs: top })), refusal: null }
}

/** A reply that is odd says why, in a field of our own. */
function ending({ reason, diagnostic }: { reason?: string; diagnostic?: string }) {
  return { logprobs: null, finish_reason: reason, ...(diagnostic !== undefined && { diagnostic }) }
}
