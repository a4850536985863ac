// Step 9. Events in, the AI SDK's stream parts out: stretches of text and reasoning with a beginning and an end, calls in
// deltas and whole.

import type { LanguageModelV3StreamPart, SharedV3Warning } from "@ai-sdk/provider"
import type { ChatEvent, Usage } from "../types.ts"
import { endingOf, failedEnding } from "./ending.ts"

export interface StreamPartsOptions {
  modelId: string
  warnings: SharedV3Warning[]
  /** Why the caller ended it, if that is so. */
  abort: () => unknown
}

export async function* streamParts(
  events: AsyncIterable<ChatEvent>,
  { modelId, warnings, abort }: StreamPartsOptions,
): AsyncGenerator<LanguageModelV3StreamPart, void> {
  yield { type: "stream-start", warnings }
  yield { type: "response-metadata", modelId, timestamp: new Date() }
  const stretches = new Stretches()
  try {
    for await (const event of events) yield* stretches.push(event)
  } catch (error) {
    const reason = abort()
    if (reason !== undefined) throw reason
    yield* stretches.close()
    yield { type: "error", error }
    yield { type: "finish", ...failedEnding }
  }
}

class Stretches {
  #open: { kind: "text" | "reasoning"; id: string } | undefined
  #num = 0
  readonly #callIds: string[] = []
  #usage: Usage | undefined;

  *push(event: ChatEvent): Generator<LanguageModelV3StreamPart> {
    switch (event.type) {
      case "reasoning":
        return yield* this.#say("reasoning", event.text)
      case "content":
        return yield* this.#say("text", event.text)
      case "tool-call-start":
        yield* this.close()
        this.#callIds[event.index] = event.id
        return yield { type: "tool-input-start", id: event.id, toolName: event.name }
      case "tool-call-delta":
        return yield { type: "tool-input-delta", id: this.#callIds[event.index], delta: event.arguments }
      case "tool-call":
        yield { type: "tool-input-end", id: event.id }
        return yield { type: "tool-call", toolCallId: event.id, toolName: event.name, input: event.arguments }
      case "usage":
        this.#usage = event.usage
        return
      case "finish":
        yield* this.close()
        return yield { type: "finish", ...endingOf(event, this.#usage) }
      default:
        event satisfies never
    }
  }

  *close(): Generator<LanguageModelV3StreamPart> {
    if (this.#open) yield { type: `${this.#open.kind}-end`, id: this.#open.id }
    this.#open = undefined
  }

  *#say(kind: "text" | "reasoning", delta: string): Generator<LanguageModelV3StreamPart> {
    if (this.#open?.kind !== kind) {
      yield* this.close()
      this.#open = { kind, id: String(this.#num++) }
      yield { type: `${kind}-start`, id: this.#open.id }
    }
    yield { type: `${kind}-delta`, id: this.#open.id, delta }
  }
}
