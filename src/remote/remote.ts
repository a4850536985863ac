// The spine of a reply that is made elsewhere: any server of OpenAI's chat completions as a `ChatModel`. A request in,
// the events of a local model out. Knows HTTP; never tokens, templates or who reads the events.

import { CallLimit } from "../call-limit.ts"
import type { ChatEvent, ChatModel, ChatRequest } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { dialects, identify } from "./dialect.ts"
import type { Dialect, Identity } from "./dialect.ts"
import { readChunks } from "./chunks.ts"
import { RemoteHttp } from "./http.ts"
import { ReplyReader } from "./reply-reader.ts"
import { requestBody } from "./request.ts"

export interface RemoteOptions {
  /** As the server calls it; needed where it serves several. */
  model?: string
  /** Sent as a bearer token, and shown nowhere. */
  apiKey?: string
  /** How the server names what OpenAI's API does not have; asked of the server where left out. */
  dialect?: Dialect | "auto"
  /** `whole` replies come at once, for those who do not read along and servers that do not stream. */
  delivery?: "stream" | "whole"
}

/** A model behind a URL such as `http://localhost:8000/v1`. Asks the server nothing before the first request. */
export function remote(url: string, options: RemoteOptions = {}): RemoteModel {
  return new RemoteModel(url, options)
}

export class RemoteModel implements ChatModel {
  readonly #http: RemoteHttp
  readonly #options: RemoteOptions
  #identity: Identity | undefined

  /** Use `remote`. */
  constructor(url: string, options: RemoteOptions = {}) {
    const { dialect = "auto", apiKey } = options
    if (dialect !== "auto" && !dialects.includes(dialect))
      throw new UserError(
        "bad-argument",
        `the dialect is ${JSON.stringify(dialect)}: wanted auto or one of ${dialects.join(", ")}`,
      )
    this.#http = new RemoteHttp(url, apiKey)
    this.#options = options
  }

  /** Where it is, without what may be secret. */
  get address(): string {
    return this.#http.address
  }

  /** Which server it is and what it serves; asked once. */
  async identity(signal?: AbortSignal): Promise<Identity> {
    const { dialect = "auto", model } = this.#options
    return (this.#identity ??= await identify(this.#http, { dialect, model }, signal))
  }

  /**
   * As a local model's. The server's count of tokens comes as `usage`, and no such event where it gives none. Throws
   * `UserError`: `permission`, `not-found`, `bad-request`, `context-exceeded`, `network`, `cancelled`.
   */
  async *chat(request: ChatRequest): AsyncGenerator<ChatEvent> {
    const { signal } = request
    const { delivery = "stream" } = this.#options
    const body = requestBody(request, await this.identity(signal), delivery)
    const reader = new ReplyReader({ request, broken: (why) => this.#broken(why) })
    const calls = new CallLimit(request.maxToolCalls)
    const response = await this.#http.post("/chat/completions", body, signal)
    for await (const chunk of readChunks(this.#http, response, signal)) {
      yield* calls.pass(reader.push(chunk))
      if (calls.state === "reached") break
    }
    yield* calls.pass(reader.end(calls.state === "reached" ? "reader" : "server"))
  }

  #broken(why: string): UserError {
    return this.#http.fail({ code: "network", why, advice: "see what its log says", kind: "passing" })
  }
}
