// Step 6. A conversation in, the next turn of a model behind OpenAI's chat completions out. Knows HTTP; never tokens.

import { setTimeout as sleep } from "node:timers/promises"
import type { Json, ToolCall } from "../types.ts"
import { UserError, messageOf } from "../util/errors.ts"
import type { Policy, PolicyReply, PolicyRequest } from "./policy.ts"
import type { Endpoint } from "./recipe.ts"
import type { AssistantMessage } from "./world/problem.ts"

export interface RemoteOptions {
  /** Longest time of one attempt. */
  timeoutMs?: number
  /** Pause before the first repetition; each later one is twice as long. */
  pauseMs?: number
  attempts?: number
}

type JsonObject = { [key: string]: Json }

export class RemotePolicy implements Policy {
  readonly #endpoint: Endpoint
  readonly #key: string | undefined
  readonly #options: Required<RemoteOptions>

  constructor(endpoint: Endpoint, options: RemoteOptions = {}) {
    this.#endpoint = endpoint
    this.#options = { timeoutMs: 300_000, pauseMs: 1000, attempts: 4, ...options }
    const { keyVariable } = endpoint
    this.#key = keyVariable === undefined ? undefined : process.env[keyVariable]
    if (keyVariable !== undefined && !this.#key)
      throw new UserError(
        "bad-argument",
        `the recipe takes the teacher's key from ${keyVariable}: set that variable`,
      )
  }

  async reply(request: PolicyRequest): Promise<PolicyReply> {
    const { signal } = request
    const { attempts, pauseMs } = this.#options
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#attempt(request)
      if (!(outcome instanceof Refusal)) return outcome
      if (signal?.aborted)
        throw new UserError("cancelled", "the request was cancelled", { cause: signal.reason })
      if (outcome.kind === "final" || attempt === attempts)
        throw new UserError(
          "network",
          `the teacher at ${this.#endpoint.url} ${outcome.why}: check the endpoint`,
        )
      await sleep(pauseMs * 2 ** (attempt - 1), undefined, { signal })
    }
  }

  async free(): Promise<void> {}

  async #attempt(request: PolicyRequest): Promise<PolicyReply | Refusal> {
    const timeout = AbortSignal.timeout(this.#options.timeoutMs)
    const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout
    try {
      const response = await fetch(`${this.#endpoint.url.replace(/\/+$/, "")}/chat/completions`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          ...(this.#key && { authorization: `Bearer ${this.#key}` }),
        },
        body: JSON.stringify(this.#body(request)),
        signal,
      })
      const text = await response.text()
      if (!response.ok)
        return new Refusal(`answered ${response.status} (${text.slice(0, 200)})`, kindOf(response.status))
      return readReply(text)
    } catch (error) {
      if (error instanceof Refusal) return error
      const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : ""
      const why = timeout.aborted
        ? `took longer than ${this.#options.timeoutMs / 1000} s`
        : `failed: ${messageOf(error)}`
      return new Refusal(why + cause, "passing")
    }
  }

  #body({ messages, tools, mode, temperature, maxTokens, seed }: PolicyRequest) {
    return {
      model: this.#endpoint.model,
      messages,
      ...(tools && tools.length > 0 && { tools }),
      temperature,
      max_tokens: maxTokens,
      seed,
      // How vLLM, SGLang and ms-swift choose Qwen3's mode.
      chat_template_kwargs: { enable_thinking: mode === "thinking" },
    }
  }
}

/** Why there is no reply, and whether asking again may help. */
class Refusal extends Error {
  readonly why: string
  readonly kind: "passing" | "final"

  constructor(why: string, kind: "passing" | "final") {
    super(why)
    this.why = why
    this.kind = kind
  }
}

function kindOf(status: number): "passing" | "final" {
  return status === 408 || status === 429 || status >= 500 ? "passing" : "final"
}

function readReply(text: string): PolicyReply {
  const body = parse(text)
  const choice = Array.isArray(body.choices) ? body.choices[0] : undefined
  const message = isObject(choice) ? choice.message : undefined
  if (!isObject(choice) || !isObject(message))
    throw new Refusal(`sent no choices[0].message (${text.slice(0, 200)})`, "final")
  return { message: readMessage(message), finish: choice.finish_reason === "length" ? "length" : "stop" }
}

function readMessage(message: JsonObject): AssistantMessage {
  const reasoning = message.reasoning_content ?? message.reasoning
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls.map(readCall) : []
  return {
    role: "assistant",
    content: typeof message.content === "string" ? message.content : "",
    ...(typeof reasoning === "string" && reasoning !== "" && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}

function readCall(call: Json): ToolCall {
  const called = isObject(call) ? call.function : undefined
  if (!isObject(call) || !isObject(called) || typeof called.name !== "string")
    throw new Refusal(`sent a tool call without a name (${JSON.stringify(call)})`, "final")
  const { name, arguments: given } = called
  return {
    type: "function",
    ...(typeof call.id === "string" && { id: call.id }),
    function: { name, arguments: typeof given === "string" || isObject(given) ? given : "{}" },
  }
}

function parse(text: string): JsonObject {
  try {
    const value = JSON.parse(text) as Json
    if (isObject(value)) return value
  } catch {
    // Told below, as for JSON that is no object.
  }
  throw new Refusal(`sent something that is no JSON object (${text.slice(0, 200)})`, "final")
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
