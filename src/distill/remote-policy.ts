// Step 6. A conversation in, the next turn of a model behind OpenAI's chat completions out. Asks again while that may
// help; knows neither HTTP nor tokens.

import { setTimeout as sleep } from "node:timers/promises"
import { addEvent, emptyReply } from "../chat/reply.ts"
import { RemoteError } from "../remote/failure.ts"
import { remote } from "../remote/remote.ts"
import type { RemoteModel } from "../remote/remote.ts"
import { UserError } from "../util/errors.ts"
import { messageOf } from "./policy.ts"
import type { Policy, PolicyReply, PolicyRequest } from "./policy.ts"
import type { Endpoint } from "./recipe.ts"

export interface RemoteOptions {
  /** Longest time of one attempt. */
  timeoutMs?: number
  /** Pause before the first repetition; each later one is twice as long. */
  pauseMs?: number
  attempts?: number
}

export class RemotePolicy implements Policy {
  readonly #endpoint: Endpoint
  readonly #model: RemoteModel
  readonly #options: Required<RemoteOptions>

  constructor(endpoint: Endpoint, options: RemoteOptions = {}) {
    this.#endpoint = endpoint
    this.#options = { timeoutMs: 300_000, pauseMs: 1000, attempts: 4, ...options }
    const { url, model, keyVariable } = endpoint
    const apiKey = keyVariable === undefined ? undefined : process.env[keyVariable]
    if (keyVariable !== undefined && !apiKey)
      throw new UserError(
        "bad-argument",
        `the recipe takes the teacher's key from ${keyVariable}: set that variable`,
      )
    // vLLM, SGLang and ms-swift choose Qwen3's mode alike.
    this.#model = remote(url, { model, apiKey, dialect: "vllm", delivery: "whole" })
  }

  async reply(request: PolicyRequest): Promise<PolicyReply> {
    const { attempts, pauseMs } = this.#options
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#attempt(request)
      if (!("why" in outcome)) return outcome
      if (outcome.kind === "final" || attempt === attempts)
        throw new UserError(
          "network",
          `the teacher at ${this.#endpoint.url} ${outcome.why}: check the endpoint`,
        )
      await sleep(pauseMs * 2 ** (attempt - 1), undefined, { signal: request.signal })
    }
  }

  async free(): Promise<void> {}

  /** A reply, or why there is none. */
  async #attempt(request: PolicyRequest): Promise<PolicyReply | Pick<RemoteError, "why" | "kind">> {
    const { messages, tools, mode, temperature, maxTokens, seed } = request
    const { timeoutMs } = this.#options
    const timeout = AbortSignal.timeout(timeoutMs)
    const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout
    const thinking = mode === "thinking" ? "on" : "off"
    const sampling = { temperature, maxTokens, seed }
    const reply = emptyReply()
    try {
      for await (const event of this.#model.chat({ messages, tools, thinking, sampling, signal }))
        addEvent(reply, event)
    } catch (error) {
      if (error instanceof RemoteError) return error
      if (!timeout.aborted || request.signal?.aborted) throw error
      return { why: `took longer than ${timeoutMs / 1000} s`, kind: "passing" }
    }
    return { message: messageOf(reply), finish: reply.finishReason === "length" ? "length" : "stop" }
  }
}
