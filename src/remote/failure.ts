// What a server elsewhere did wrong, or says that we did: address, what came, what to do.

import { UserError } from "../util/errors.ts"
import type { ErrorCode } from "../util/errors.ts"
import { asList, asObject, asText, parseObject } from "./json.ts"
import type { JsonObject } from "./json.ts"

export interface RemoteFailure {
  code: ErrorCode
  /** What happened, as a sentence that begins with the server. */
  why: string
  /** What the caller can do. */
  advice: string
  /** Whether asking again may help. */
  kind: "passing" | "final"
  cause?: unknown
}

export class RemoteError extends UserError {
  readonly why: string
  readonly kind: "passing" | "final"

  constructor(address: string, { code, why, advice, kind, cause }: RemoteFailure) {
    super(code, `${address} ${why}: ${advice}`, { cause })
    this.why = why
    this.kind = kind
  }
}

const longest = 300

/** Why the server answered with a status that is no success. */
export function statusFailure(status: number, text: string): RemoteFailure {
  const told = toldBy(text)
  const why = `answered ${status}${told === "" ? "" : ` (${told})`}`
  if (status === 401 || status === 403) {
    const advice = "give the key that it asks for (apiKey; A3B_API_KEY on the command line)"
    return { code: "permission", why, advice, kind: "final" }
  }
  if (status === 408 || status === 429 || status >= 500)
    return { code: "network", why, advice: "try again later", kind: "passing" }
  if (/exceed_context_size|context_length_exceeded|maximum context|context length|context is /i.test(text))
    return { code: "context-exceeded", why, advice: "shorten the conversation", kind: "final" }
  if (status === 404) {
    const advice = "check the URL and the model's name"
    return { code: "not-found", why, advice, kind: "final" }
  }
  if (status >= 400) return { code: "bad-request", why, advice: "change the request", kind: "final" }
  return { code: "network", why, advice: "check the URL", kind: "final" }
}

/** What an error object says that came in place of a piece of the reply; nothing where there is none. */
export function errorIn(body: JsonObject): string | undefined {
  if ((body.error ?? null) === null && body.object !== "error") return undefined
  return shortened(messageIn(body) ?? "it does not say which")
}

export function shortened(text: string): string {
  return text.length > longest ? `${text.slice(0, longest)}...` : text
}

function toldBy(text: string): string {
  return shortened((messageIn(parseObject(text)) ?? text).replace(/\s+/g, " ").trim())
}

/** In the forms that servers have: OpenAI's, vLLM's older one, FastAPI's two. */
function messageIn(body: JsonObject | undefined): string | undefined {
  const detail = asObject(asList(body?.detail)[0])
  const texts = [asObject(body?.error)?.message, body?.error, body?.message, body?.detail, detail?.msg]
  return texts.map(asText).find((text) => text !== undefined)
}
