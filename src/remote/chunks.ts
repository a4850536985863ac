// Step 9. A response in, its JSON objects out: server-sent events (WHATWG HTML, section 9.2) as they come, or the one
// object of a server that does not stream. Knows nothing of what is in them but errors.

import { createParser } from "eventsource-parser"
import type { ParseError } from "eventsource-parser"
import { errorIn, shortened } from "./failure.ts"
import { maxLength } from "./http.ts"
import type { RemoteHttp } from "./http.ts"
import { asList, asObject, parseObject } from "./json.ts"
import type { JsonObject } from "./json.ts"

/** `done` is said by a server that has sent all. */
export type Chunk = JsonObject | "done"

export async function* readChunks(
  http: RemoteHttp,
  response: Response,
  signal?: AbortSignal,
): AsyncGenerator<Chunk, void> {
  const type = response.headers.get("content-type") ?? ""
  if (type.includes("event-stream")) return yield* readEvents(http, response, signal)
  const body = await http.json(response, signal)
  refuseError(http, body)
  refuseEmpty(http, body)
  yield body
  yield "done"
}

async function* readEvents(
  http: RemoteHttp,
  response: Response,
  signal?: AbortSignal,
): AsyncGenerator<Chunk, void> {
  const texts: string[] = []
  const parser = createParser({
    onEvent: ({ data }) => texts.push(data),
    onError: (error) => {
      const failure = failureOf(error)
      if (failure !== undefined) texts.push(failure)
    },
    maxBufferSize: maxLength,
  })
  const utf8 = new TextDecoder()
  for await (const bytes of http.bytes(response, signal)) {
    parser.feed(utf8.decode(bytes, { stream: true }))
    for (const text of texts.splice(0)) {
      const chunk = readChunk(http, text)
      yield chunk
      if (chunk === "done") return
    }
  }
  // The last event of a server that forgets its empty line.
  parser.feed(`${utf8.decode()}\n\n`)
  for (const text of texts) yield readChunk(http, text)
}

/** What is no event, as one that says so; fields that nobody knows are passed over, as the standard has it. */
function failureOf({ type, field, value = "" }: ParseError): string | undefined {
  // llama-server writes `error: {...}` where its reply fails.
  if (type === "unknown-field")
    return field === "error" ? JSON.stringify({ error: parseObject(value) ?? value }) : undefined
  return type === "max-buffer-size-exceeded"
    ? JSON.stringify({ error: "sent an event without end" })
    : undefined
}

function readChunk(http: RemoteHttp, text: string): Chunk {
  if (text.trim() === "[DONE]") return "done"
  const chunk = parseObject(text)
  if (!chunk) {
    const why = `sent an event that is no JSON object (${shortened(text)})`
    throw http.fail({ code: "network", why, advice: "check the URL", kind: "final" })
  }
  refuseError(http, chunk)
  return chunk
}

function refuseEmpty(http: RemoteHttp, body: JsonObject): void {
  if (asObject(asObject(asList(body.choices)[0])?.message)) return
  const why = `sent no choices[0].message (only ${shortened(Object.keys(body).join(", ")) || "{}"})`
  throw http.fail({ code: "network", why, advice: "check the URL", kind: "final" })
}

function refuseError(http: RemoteHttp, body: JsonObject): void {
  const told = errorIn(body)
  if (told === undefined) return
  const why = `ended the reply with an error (${told})`
  throw http.fail({ code: "network", why, advice: "see what its log says", kind: "final" })
}
