// Steps 1 and 9. One request's time with the model: admitted or refused, lent the model, given a signal that ends it
// when the client hangs up, when its time is over or when the server goes down, measured, and let go. Knows requests
// and events; nothing of their forms on the wire.

import type { ChatEvent } from "../types.ts"
import { ApiError } from "./api-error.ts"
import type { Account } from "./account.ts"
import type { Metrics } from "./metrics.ts"
import type { Lease, ModelHost } from "./model-host.ts"
import { Replies } from "./replies.ts"
import type { ServedModel } from "./served-model.ts"

export interface ServiceOptions {
  host: ModelHost
  metrics: Metrics
  /** A request that takes longer is ended. */
  maxRequestMs: number
  /** Requests beyond these are refused at once. */
  maxRequests: number
}

export interface Caller {
  /** Aborted when the client hangs up. */
  signal: AbortSignal
  /** Whose limits count, where there are keys. */
  account?: Account
}

/** Asks the model for the replies to one request. */
export type Ask = (model: ServedModel, signal: AbortSignal) => AsyncIterable<ChatEvent>[]

export class Service {
  readonly #options: ServiceOptions
  readonly #active = new Set<AbortController>()
  #state: "open" | "draining" = "open"
  #context: number | undefined
  #emptied: (() => void) | undefined

  constructor(options: ServiceOptions) {
    this.#options = options
  }

  get state(): "open" | "draining" {
    return this.#state
  }

  get numActive(): number {
    return this.#active.size
  }

  /** Begins the replies to one request; throws what is wrong with it before any work was done. */
  async begin(caller: Caller, ask: Ask): Promise<Replies> {
    this.#admit(caller.account)
    const { abort, close } = this.#open(caller.signal)
    let lease: Lease | undefined
    const onEnd = () => {
      lease?.release()
      close()
    }
    try {
      lease = await this.#options.host.lease()
      abort.signal.throwIfAborted()
      const { model } = lease
      const sources = ask(model, abort.signal).map((events) => this.#measured(events, caller.account))
      return await Replies.begin(sources, {
        abort: () => abort.abort(),
        onEnd,
        settled: () => model.settled(),
      })
    } catch (error) {
      onEnd()
      throw error
    }
  }

  /** The model's context; asking for it again does not open a model that was freed. */
  async context(): Promise<number> {
    return (this.#context ??= await this.look((model) => model.context))
  }

  /** Lends the model for what takes no steps of it, such as counting tokens. */
  async look<T>(work: (model: ServedModel) => T | Promise<T>): Promise<T> {
    if (this.#state === "draining") throw draining()
    const { model, release } = await this.#options.host.lease()
    try {
      return await work(model)
    } finally {
      release()
    }
  }

  /** Refuses new requests and waits for those that run; ends what is left after `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    this.#state = "draining"
    if (this.#active.size > 0) {
      const emptied = new Promise<void>((resolve) => (this.#emptied = resolve))
      const timer = setTimeout(() => this.#abortAll(), graceMs)
      await emptied
      clearTimeout(timer)
    }
    await this.#options.host.free()
  }

  #admit(account: Account | undefined): void {
    if (this.#state === "draining") throw draining()
    const { maxRequests } = this.#options
    if (this.#active.size >= maxRequests) {
      const message = `the server is busy with ${this.#active.size} requests, as many as it takes: try again later`
      throw new ApiError(503, message, { code: "server_busy", headers: { "retry-after": "5" } })
    }
    account?.admit()
  }

  #open(client: AbortSignal): { abort: AbortController; close: () => void } {
    const { maxRequestMs } = this.#options
    const abort = new AbortController()
    const hangUp = () => abort.abort(hungUp())
    if (client.aborted) hangUp()
    client.addEventListener("abort", hangUp)
    const timer = setTimeout(() => abort.abort(timedOut(maxRequestMs)), maxRequestMs)
    this.#active.add(abort)
    const close = () => {
      clearTimeout(timer)
      client.removeEventListener("abort", hangUp)
      this.#active.delete(abort)
      if (this.#active.size === 0) this.#emptied?.()
    }
    return { abort, close }
  }

  async *#measured(
    events: AsyncIterable<ChatEvent>,
    account: Account | undefined,
  ): AsyncGenerator<ChatEvent> {
    const { metrics } = this.#options
    const startedAt = performance.now()
    const secondsSince = (time: number) => (performance.now() - time) / 1000
    let lastAt: number | undefined
    let numTokens = 0
    try {
      for await (const event of events) {
        if (event.type === "usage") {
          metrics.usage(event.usage)
          numTokens = event.usage.promptTokens + event.usage.completionTokens
        } else if (event.type === "finish") metrics.reply(event.reason, secondsSince(startedAt))
        else {
          if (lastAt === undefined) metrics.firstToken(secondsSince(startedAt))
          else metrics.nextToken(secondsSince(lastAt))
          lastAt = performance.now()
          numTokens++ // until the usage says better: a reply that is cut off has cost something too
        }
        yield event
      }
    } finally {
      account?.charge(numTokens)
    }
  }

  #abortAll(): void {
    for (const abort of this.#active) abort.abort(draining())
  }
}

function hungUp(): ApiError {
  return new ApiError(499, "the client closed the connection")
}

function draining(): ApiError {
  const headers = { "retry-after": "30" }
  return new ApiError(503, "the server is shutting down: try again later", { code: "shutting_down", headers })
}

function timedOut(maxRequestMs: number): ApiError {
  const seconds = (maxRequestMs / 1000).toLocaleString("en-US")
  const message = `the reply took longer than the ${seconds} s that a request may take: ask for fewer tokens`
  return new ApiError(504, message, { code: "timeout" })
}
