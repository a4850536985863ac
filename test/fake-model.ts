// A served model for tests of the server: replies are written in pieces, as they would come from a tokenizer, and go
// through the real parser. It can be made to work for long before its first word, and says what it was asked.

import { ReplyParser } from "../src/chat/parser.ts"
import type { Family } from "../src/chat/thinking.ts"
import type { Health } from "../src/engine/failures.ts"
import type { CompletionRequest, EngineStatus, ModelLoad, ServedModel } from "../src/server/served-model.ts"
import { StopStrings } from "../src/stop-strings.ts"
import type { ChatEvent, ChatRequest, Usage } from "../src/types.ts"
import { UserError } from "../src/util/errors.ts"

/** A reply in the pieces that it comes in, tags as text. */
export type Pieces = readonly string[]

export interface FakeOptions {
  says?: Pieces | ((request: ChatRequest) => Pieces)
  /** How it goes on with a text. */
  completes?: Pieces
  reason?: "stop" | "length"
  family?: Family
  /** The end of the prompt that the reply continues. */
  prompt?: string
}

export const fakeUsage: Usage = {
  promptTokens: 11,
  cachedTokens: 7,
  completionTokens: 5,
  reasoningTokens: 2,
  prefillMs: 1,
  decodeMs: 4,
}

export class FakeModel implements ServedModel {
  readonly context = 1000
  readonly family: Family
  readonly requests: (ChatRequest | CompletionRequest)[] = []
  /** Replies that have begun and not ended. */
  numLive = 0
  /** What it does before the first piece of a reply; a signal ends it. */
  work: (signal?: AbortSignal) => Promise<void> = async () => undefined
  state: "open" | "freed" = "open"
  health: Health = "sound"
  readonly #options: FakeOptions

  constructor(options: FakeOptions = {}) {
    this.#options = options
    this.family = options.family ?? "hybrid"
  }

  get load(): ModelLoad {
    return { running: this.numLive, waiting: 0, usedPages: this.numLive, pages: 8 }
  }

  get status(): EngineStatus {
    const kv = { tiers: { T0: this.numLive, T1: 0, T2: 0, T3: 0 }, bytes: 64 * this.numLive, savedBytes: 0 }
    const attention = { scanned: 3, fellBack: 1, kept: 1.9, tokens: 4096 }
    return { kv, tokens: { prefilled: 11, reused: 7, generated: 5 }, experts: [[1, 2]], attention }
  }

  async *chat(request: ChatRequest): AsyncGenerator<ChatEvent> {
    this.requests.push(request)
    this.#checkLength(this.render(request))
    const { says = ["Hello."], reason = "stop", prompt = "<|im_start|>assistant\n" } = this.#options
    const pieces = typeof says === "function" ? says(request) : says
    const parser = new ReplyParser({ prompt, tags: {}, toolFormat: "hermes", tools: request.tools })
    yield* this.#play(pieces, request, {
      push: (piece) => parser.push(0, piece),
      end: () => parser.end("", reason, fakeUsage),
    })
  }

  async *complete(request: CompletionRequest): AsyncGenerator<ChatEvent> {
    this.requests.push(request)
    const { completes = ["Hello."], reason = "stop" } = this.#options
    this.#checkLength(typeof request.prompt === "string" ? request.prompt : this.decode(request.prompt))
    yield* this.#play(completes, request, {
      push: (text) => [{ type: "content", text }],
      end: () => [
        { type: "usage", usage: fakeUsage },
        { type: "finish", reason },
      ],
    })
  }

  render(request: ChatRequest): string {
    return request.messages.map(({ role, content }) => `${role}: ${JSON.stringify(content)}\n`).join("")
  }

  encode(text: string): Int32Array {
    return Int32Array.from(new TextEncoder().encode(text))
  }

  decode(ids: readonly number[]): string {
    const wrong = ids.find((id) => id > 255)
    if (wrong !== undefined) throw new UserError("bad-argument", `there is no token ${wrong}`)
    return new TextDecoder().decode(Uint8Array.from(ids))
  }

  settled(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  async free(): Promise<void> {
    this.state = "freed"
  }

  async *#play(
    pieces: Pieces,
    { stop, signal, logprobs }: Pick<ChatRequest, "stop" | "signal" | "logprobs">,
    forms: { push: (piece: string) => ChatEvent[]; end: () => ChatEvent[] },
  ): AsyncGenerator<ChatEvent> {
    const stops = new StopStrings(stop)
    this.numLive++
    try {
      await this.work(signal)
      for (const piece of pieces) {
        if (signal?.aborted) throw new UserError("cancelled", "cancelled", { cause: signal.reason })
        for (const event of stops.pass(forms.push(piece))) yield withLogprobs(event, logprobs)
        if (stops.found !== undefined) break
        await new Promise((resolve) => setImmediate(resolve))
      }
      const stopString = stops.found
      for (const event of stops.pass(forms.end()))
        yield event.type === "finish" && stopString !== undefined ? { ...event, stopString } : event
    } finally {
      this.numLive--
    }
  }

  #checkLength(prompt: string): void {
    if (prompt.length < this.context) return
    const message = `context is 1,000 tokens; prompt has ${prompt.length.toLocaleString("en-US")}: shorten it`
    throw new UserError("context-exceeded", message)
  }
}

/** One token for each piece of content, half of what there is. */
function withLogprobs(event: ChatEvent, numTop: number | undefined): ChatEvent {
  if (event.type !== "content" || numTop === undefined) return event
  const token = { token: event.text, logprob: -Math.LN2, bytes: [...new TextEncoder().encode(event.text)] }
  return { ...event, logprobs: [{ ...token, top: Array.from({ length: numTop }, () => token) }] }
}

/** Work that never ends by itself. */
export function untilAborted(signal?: AbortSignal): Promise<void> {
  return new Promise((_, reject) => {
    const fail = () => reject(new UserError("cancelled", "cancelled", { cause: signal?.reason }))
    if (signal?.aborted) fail()
    signal?.addEventListener("abort", fail)
  })
}
