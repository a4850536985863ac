// Step 9. Events in, /v1/responses' answer out: items of reasoning, message and function calls, as they come, each
// event numbered, or one response. Whole items are kept, for the last event repeats them all.

import type { ChatEvent, FinishReason, Usage } from "../../types.ts"
import { openAiError } from "../api-error.ts"
import type { ApiError } from "../api-error.ts"
import { newId } from "../endpoint.ts"
import { eventText } from "../sse.ts"
import type { ReplyWriter } from "../sse.ts"
import type { ResponsesOrder } from "./responses-request.ts"

export interface ResponseHead {
  id: string
  /** Seconds since 1970. */
  created_at: number
  model: string
  echo: ResponsesOrder["echo"]
}

interface Item {
  kind: "reasoning" | "message" | "function_call"
  id: string
  text: string
  /** Of a call. */
  call?: { call_id: string; name: string }
}

export class ResponsesWriter implements ReplyWriter {
  readonly #head: ResponseHead
  readonly #items: Item[] = []
  #state: "open" | "closed" = "closed"
  #numEvents = 0
  #usage: Usage | undefined
  #reason: FinishReason | undefined

  constructor(head: ResponseHead) {
    this.#head = head
  }

  begin(): string[] {
    const response = this.response("in_progress")
    return [this.#event("response.created", { response }), this.#event("response.in_progress", { response })]
  }

  push(_choice: number, event: ChatEvent): string[] {
    switch (event.type) {
      case "reasoning":
        return [...this.#enter({ kind: "reasoning" }), this.#delta(event.text)]
      case "content":
        return [...this.#enter({ kind: "message" }), this.#delta(event.text)]
      case "tool-call-start": {
        const call = { call_id: event.id, name: event.name }
        return [...this.#close(), ...this.#enter({ kind: "function_call", call })]
      }
      case "tool-call-delta":
        return [this.#delta(event.arguments)]
      case "tool-call":
        return this.#close()
      case "usage":
        this.#usage = event.usage
        return []
      case "finish":
        this.#reason = event.reason
        return this.#close()
      default:
        return event satisfies never
    }
  }

  end(): string[] {
    const response = this.response("over")
    return [this.#event(`response.${response.status}`, { response })]
  }

  fail(error: ApiError): string[] {
    const { message, code } = openAiError(error).error
    const response = {
      ...this.response("over"),
      status: "failed",
      error: { code: code ?? "server_error", message },
    }
    return [this.#event("response.failed", { response })]
  }

  /** The whole response as it stands. */
  response(state: "in_progress" | "over") {
    const { id, created_at, model, echo } = this.#head
    const isCut = this.#reason === "length"
    return {
      id,
      object: "response",
      created_at,
      status: state === "in_progress" ? state : isCut ? "incomplete" : "completed",
      error: null,
      incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
      model,
      output: this.#items.map((item) => itemOf(item, "completed")),
      ...echo,
      metadata: {},
      store: false,
      previous_response_id: null,
      usage: state === "over" && this.#usage ? usageOf(this.#usage) : null,
    }
  }

  #enter({ kind, call }: Pick<Item, "kind" | "call">): string[] {
    if (this.#state === "open" && this.#items.at(-1)?.kind === kind) return []
    const closing = this.#close()
    const item: Item = { kind, id: newId(prefixes[kind]), text: "", call }
    this.#items.push(item)
    this.#state = "open"
    const added = this.#event("response.output_item.added", {
      output_index: this.#index,
      item: itemOf(item, "in_progress"),
    })
    const begun = kind === "function_call" ? [] : [this.#part("added", "")]
    return [...closing, added, ...begun]
  }

  #delta(text: string): string {
    const item = this.#current
    item.text += text
    return this.#event(`${streams[item.kind]}.delta`, { ...this.#place, delta: text })
  }

  #close(): string[] {
    if (this.#state === "closed") return []
    this.#state = "closed"
    const { kind, text } = this.#current
    const whole = kind === "function_call" ? { arguments: text } : { text }
    return [
      this.#event(`${streams[kind]}.done`, { ...this.#place, ...whole }),
      ...(kind === "function_call" ? [] : [this.#part("done", text)]),
      this.#event("response.output_item.done", {
        output_index: this.#index,
        item: itemOf(this.#current, "completed"),
      }),
    ]
  }

  #part(what: "added" | "done", text: string): string {
    const part = this.#current.kind === "message" ? messagePart(text) : { type: "reasoning_text", text }
    return this.#event(`response.content_part.${what}`, { ...this.#place, part })
  }

  get #current(): Item {
    return this.#items[this.#index] // there is one: events of an item follow its beginning
  }

  get #index(): number {
    return this.#items.length - 1
  }

  get #place() {
    const place = { item_id: this.#current.id, output_index: this.#index }
    return this.#current.kind === "function_call" ? place : { ...place, content_index: 0 }
  }

  #event(type: string, rest: object): string {
    return eventText({ type, sequence_number: this.#numEvents++, ...rest }, type)
  }
}

const prefixes = { reasoning: "rs_", message: "msg_", function_call: "fc_" } as const

const streams = {
  reasoning: "response.reasoning_text",
  message: "response.output_text",
  function_call: "response.function_call_arguments",
} as const

function itemOf({ kind, id, text, call }: Item, status: "in_progress" | "completed") {
  const isDone = status === "completed"
  switch (kind) {
    case "reasoning": {
      const content = isDone ? [{ type: "reasoning_text", text }] : []
      return { type: kind, id, summary: [], content, status }
    }
    case "message":
      return { type: kind, id, role: "assistant", status, content: isDone ? [messagePart(text)] : [] }
    case "function_call":
      return { type: kind, id, ...call, arguments: text, status }
    default:
      return kind satisfies never
  }
}

function messagePart(text: string) {
  return { type: "output_text", text, annotations: [], logprobs: [] }
}

function usageOf({ promptTokens, cachedTokens, completionTokens, reasoningTokens }: Usage) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  }
}
