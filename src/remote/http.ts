// Steps 1 and 9. Requests to one server, its answers as JSON or bytes. Knows addresses and the key, which no message
// ever has; nothing of chats.

import { UserError, messageOf } from "../util/errors.ts"
import { RemoteError, shortened, statusFailure } from "./failure.ts"
import type { RemoteFailure } from "./failure.ts"
import { parseObject } from "./json.ts"
import type { JsonObject } from "./json.ts"

/** Characters of a body or an event: many times the longest reply. */
export const maxLength = 1 << 24

export class RemoteHttp {
  /** For messages: without what may be secret. */
  readonly address: string
  readonly #base: URL
  readonly #key: string | undefined

  /** Where `url` has no path, the API is looked for under `/v1`. */
  constructor(url: string, apiKey?: string) {
    this.#base = baseOf(url)
    this.address = this.#base.origin + this.#base.pathname
    if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey))
      throw new UserError(
        "bad-argument",
        `the key for ${this.address} has characters that no key has, such as spaces or line ends: copy it anew`,
      )
    this.#key = apiKey
  }

  fail(failure: RemoteFailure): RemoteError {
    return new RemoteError(this.address, { ...failure, why: this.#withoutKey(failure.why) })
  }

  /** What lies under a path of the API. */
  async get(path: string, signal?: AbortSignal): Promise<JsonObject> {
    return this.json(await this.#fetch(this.#at(path), { signal }), signal)
  }

  /** What lies under a path of the server itself; nothing where it has no such path. */
  async probe(path: string, signal?: AbortSignal): Promise<JsonObject | undefined> {
    const url = new URL(this.#base)
    url.pathname = url.pathname.replace(/\/v1$/, "") + path
    const response = await this.#send(url, { signal })
    const text = await this.text(response, signal)
    return response.ok ? parseObject(text) : undefined
  }

  post(path: string, body: JsonObject, signal?: AbortSignal): Promise<Response> {
    return this.#fetch(this.#at(path), { method: "POST", body: JSON.stringify(body), signal })
  }

  async json(response: Response, signal?: AbortSignal): Promise<JsonObject> {
    const text = await this.text(response, signal)
    const body = parseObject(text)
    if (body) return body
    const why = `sent something that is no JSON object (${shortened(text)})`
    throw this.fail({ code: "network", why, advice: "check the URL", kind: "final" })
  }

  async text(response: Response, signal?: AbortSignal): Promise<string> {
    const utf8 = new TextDecoder()
    let text = ""
    for await (const bytes of this.bytes(response, signal)) {
      text += utf8.decode(bytes, { stream: true })
      if (text.length <= maxLength) continue
      const why = `sent more than ${maxLength.toLocaleString("en-US")} characters`
      throw this.fail({ code: "network", why, advice: "check the URL", kind: "final" })
    }
    return text + utf8.decode()
  }

  /** The body as it comes; whoever stops reading closes the connection. */
  async *bytes(response: Response, signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const bytes of response.body ?? []) yield bytes
    } catch (error) {
      throw this.#broken(error, signal)
    }
  }

  #at(path: string): URL {
    const url = new URL(this.#base)
    url.pathname += path
    return url
  }

  /** A response of success only. */
  async #fetch(url: URL, init: RequestInit): Promise<Response> {
    const response = await this.#send(url, init)
    if (response.ok) return response
    throw this.fail(statusFailure(response.status, await this.text(response, init.signal ?? undefined)))
  }

  async #send(url: URL, init: RequestInit): Promise<Response> {
    const headers = {
      ...(init.body !== undefined && { "content-type": "application/json" }),
      ...(this.#key !== undefined && { authorization: `Bearer ${this.#key}` }),
    }
    try {
      return await fetch(url, { ...init, headers })
    } catch (error) {
      throw this.#broken(error, init.signal ?? undefined)
    }
  }

  #broken(error: unknown, signal: AbortSignal | undefined): UserError {
    if (signal?.aborted)
      return new UserError("cancelled", "the request was cancelled", { cause: signal.reason })
    const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : ""
    const why = `failed: ${messageOf(error)}${cause}`
    return this.fail({
      code: "network",
      why,
      advice: "check that the server runs and can be reached",
      kind: "passing",
      cause: error,
    })
  }

  /** Servers repeat keys that they refuse. */
  #withoutKey(text: string): string {
    return this.#key === undefined ? text : text.replaceAll(this.#key, "***")
  }
}

function baseOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== "http:" && url?.protocol !== "https:")
    throw new UserError(
      "bad-argument",
      `${JSON.stringify(text)} is no address of a server: wanted one such as http://localhost:8000/v1`,
    )
  if (url.username !== "" || url.password !== "")
    throw new UserError(
      "bad-argument",
      `the address of ${url.host} has a name or password in it: give a key instead (apiKey; A3B_API_KEY on the command line)`,
    )
  url.hash = ""
  url.pathname = url.pathname.replace(/\/+$/, "").replace(/\/chat\/completions$/, "")
  if (url.pathname === "/") url.pathname = "/v1"
  return url
}
