// Generated ids in, text out as it comes, as in Transformers and transformers.js: whole characters only.

import type { TextStream } from "../tokenizer/stream.ts"
import type { PreTrainedTokenizer } from "./tokenizer.ts"

/** Told of the prompt first, then of each new id. */
export interface Streamer {
  put(ids: number[][]): void
  end(): void
}

export interface TextStreamerOptions {
  skip_prompt?: boolean
  skip_special_tokens?: boolean
  /** Takes each piece of text; standard output where left out. */
  callback_function?: (text: string) => void
  /** Takes each id. */
  token_callback_function?: (ids: number[]) => void
}

export class TextStreamer implements Streamer {
  readonly #options: TextStreamerOptions
  readonly #newStream: () => TextStream
  #stream: TextStream
  #next: "prompt" | "reply" = "prompt"

  constructor(tokenizer: PreTrainedTokenizer, options: TextStreamerOptions = {}) {
    this.#options = options
    this.#newStream = () => tokenizer.stream({ skip_special_tokens: options.skip_special_tokens })
    this.#stream = this.#newStream()
  }

  put([ids]: number[][]): void {
    const isPrompt = this.#next === "prompt"
    this.#next = "reply"
    if (isPrompt && this.#options.skip_prompt) return
    this.#options.token_callback_function?.(ids)
    for (const id of ids) this.#show(this.#stream.push(id))
  }

  end(): void {
    this.#show(this.#stream.end())
    this.#next = "prompt"
    this.#stream = this.#newStream()
  }

  #show(text: string): void {
    const { callback_function = (piece: string) => void process.stdout.write(piece) } = this.#options
    if (text !== "") callback_function(text)
  }
}
