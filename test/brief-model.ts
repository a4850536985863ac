// A served model whose replies are short, whatever is asked for: real weights for many requests.

import type { CompletionRequest, ServedModel } from "../src/server/served-model.ts"
import type { ChatEvent, ChatRequest, Sampling } from "../src/types.ts"

export class Brief implements ServedModel {
  readonly #model: ServedModel
  readonly #most: number

  constructor(model: ServedModel, most: number) {
    this.#model = model
    this.#most = most
  }

  get context() {
    return this.#model.context
  }

  get family() {
    return this.#model.family
  }

  get load() {
    return this.#model.load
  }

  get status() {
    return this.#model.status
  }

  chat(request: ChatRequest): AsyncIterable<ChatEvent> {
    return this.#model.chat({ ...request, sampling: this.#shortened(request.sampling) })
  }

  complete(request: CompletionRequest): AsyncIterable<ChatEvent> {
    return this.#model.complete({ ...request, sampling: this.#shortened(request.sampling) })
  }

  get health() {
    return this.#model.health
  }

  render(request: ChatRequest) {
    return this.#model.render(request)
  }

  encode(text: string) {
    return this.#model.encode(text)
  }

  decode(ids: readonly number[]) {
    return this.#model.decode(ids)
  }

  settled(): Promise<void> {
    return this.#model.settled()
  }

  free(): Promise<void> {
    return this.#model.free()
  }

  #shortened(sampling: Partial<Sampling> = {}): Partial<Sampling> {
    return { ...sampling, maxTokens: Math.min(this.#most, sampling.maxTokens ?? Infinity) }
  }
}
