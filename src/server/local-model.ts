// Steps 1 and 9. The model of this process as the server wants it. Knows the spine's calls, nothing of HTTP.

import { render } from "../chat/messages.ts"
import type { Family } from "../chat/thinking.ts"
import { ContentLogprobs } from "../content-logprobs.ts"
import type { Health } from "../engine/failures.ts"
import type { Llm } from "../llm.ts"
import { StopStrings } from "../stop-strings.ts"
import type { ChatEvent, ChatRequest } from "../types.ts"
import type { CompletionRequest, EngineStatus, ModelLoad, ServedModel } from "./served-model.ts"

export class LocalModel implements ServedModel {
  readonly #llm: Llm

  constructor(llm: Llm) {
    this.#llm = llm
  }

  get context(): number {
    return this.#llm.context
  }

  get family(): Family {
    return this.#llm.format.family
  }

  get health(): Health {
    return this.#llm.engine.health
  }

  get load(): ModelLoad {
    return this.#llm.engine.load
  }

  get status(): EngineStatus {
    const { engine, model } = this.#llm
    const experts = model.expertVisits().map((layer) => [...layer])
    return { ...engine.status, experts, attention: model.selections() }
  }

  chat(request: ChatRequest): AsyncIterable<ChatEvent> {
    return this.#llm.chat(request)
  }

  async *complete({ prompt, stop, ...rest }: CompletionRequest): AsyncGenerator<ChatEvent> {
    const ids = typeof prompt === "string" ? this.encode(prompt) : Int32Array.from(prompt)
    const text = this.#llm.tokenizer.stream({ skipSpecialTokens: "yes" })
    const stops = new StopStrings(stop)
    const logprobs = new ContentLogprobs(this.#llm.tokenizer)
    const generation = this.#llm.generate(ids, rest)
    for await (const id of generation) {
      const drawn = generation.takeLogprobs()
      if (drawn) logprobs.note(drawn)
      yield* logprobs.pass(stops.pass([{ type: "content", text: text.push(id) }]))
      if (stops.found !== undefined) break
    }
    const reason = stops.found === undefined ? (generation.finishReason ?? "stop") : "stop"
    yield* stops.pass([
      { type: "content", text: text.end() },
      { type: "usage", usage: generation.usage },
      { type: "finish", reason },
    ])
  }

  render(request: ChatRequest): string {
    return render(this.#llm.format, request)
  }

  encode(text: string): Int32Array {
    return this.#llm.tokenizer.encode(text)
  }

  decode(ids: readonly number[]): string {
    return this.#llm.tokenizer.decode(ids)
  }

  /** A refusal takes no longer than the current turn of the event loop; work does. */
  settled(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  free(): Promise<void> {
    return this.#llm.free()
  }
}
