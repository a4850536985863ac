// Steps 1 and 9. What every endpoint has at hand: the body of its request, the model's names, and the two ways to
// deliver replies.

import type { Context } from "hono"
import type { Reply } from "../chat/reply.ts"
import type { Json } from "../types.ts"
import type { Account } from "./account.ts"
import { ApiError } from "./api-error.ts"
import { readJson } from "./body.ts"
import { gather } from "./replies.ts"
import type { Replies } from "./replies.ts"
import type { Caller, Service } from "./service.ts"
import { eventResponse } from "./sse.ts"
import type { ReplyWriter } from "./sse.ts"

/** Kept with each request. */
export interface ServerEnv {
  Variables: { requestId: string; account: Account | undefined }
}

export type RequestContext = Context<ServerEnv>

export interface EndpointOptions {
  service: Service
  /** What the model is called, in answers and in the list of models. */
  modelId: string
  /** Further names that requests may give it; `*` is any. */
  aliases: readonly string[]
  maxBodyBytes: number
  /** Hears what went wrong after a response had begun. */
  onFailure: (c: RequestContext, error: ApiError) => void
}

/** How replies are wanted. */
export interface Delivery {
  delivery: "stream" | "whole"
  numReplies: number
}

export class Endpoint {
  readonly service: Service
  readonly modelId: string
  readonly #options: EndpointOptions

  constructor(options: EndpointOptions) {
    this.service = options.service
    this.modelId = options.modelId
    this.#options = options
  }

  body(c: RequestContext): Promise<Json> {
    return readJson(c.req.raw, this.#options.maxBodyBytes)
  }

  caller(c: RequestContext): Caller {
    return { signal: c.req.raw.signal, account: c.get("account") }
  }

  /** As the request asks, within what its key may. */
  priority(c: RequestContext, asked?: number): number | undefined {
    const account = c.get("account")
    return account ? account.priorityOf(asked) : asked
  }

  /** Hears what went wrong after a response had begun. */
  onFailure(c: RequestContext, error: ApiError): void {
    this.#options.onFailure(c, error)
  }

  /** Refuses a model that is not served here, whatever would answer in its place. */
  checkModel(name: string | undefined): void {
    const { modelId, aliases } = this.#options
    if (name === undefined || name === modelId || aliases.includes(name) || aliases.includes("*")) return
    const asked = JSON.stringify(name.slice(0, 200))
    const message = `the model ${asked} is not served here: ask for ${modelId}, or start the server with --alias`
    throw new ApiError(404, message, { code: "model_not_found", param: "model" })
  }

  async deliver(
    c: RequestContext,
    replies: Replies,
    { delivery, numReplies }: Delivery,
    forms: { writer: () => ReplyWriter; whole: (replies: Reply[]) => object },
  ): Promise<Response> {
    if (delivery === "stream")
      return eventResponse(replies, forms.writer(), (error) => this.onFailure(c, error))
    return c.json(forms.whole(await gather(replies, numReplies)))
  }
}

/** An id as OpenAI's and Anthropic's clients expect one. */
export function newId(prefix: string): string {
  return `${prefix}${crypto.randomUUID().replaceAll("-", "")}`
}

/** Seconds since 1970. */
export function now(): number {
  return Math.floor(Date.now() / 1000)
}
