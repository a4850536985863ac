// Step 9. Replies in, a response of server-sent events out (WHATWG HTML, section 9.2). A comment now and then keeps
// the connection open while a long prompt is read.

import type { ChatEvent } from "../types.ts"
import { toApiError } from "./api-error.ts"
import type { ApiError } from "./api-error.ts"
import type { Replies } from "./replies.ts"

/** One protocol's way to write replies as they come; each text is one server-sent event, as `eventText` makes it. */
export interface ReplyWriter {
  begin(): string[]
  push(choice: number, event: ChatEvent): string[]
  end(): string[]
  /** In place of `end`, after which nothing follows. */
  fail(error: ApiError): string[]
}

const keepAliveMs = 10_000

export function eventText(data: unknown, event?: string): string {
  const text = typeof data === "string" ? data : JSON.stringify(data)
  return event === undefined ? `data: ${text}\n\n` : `event: ${event}\ndata: ${text}\n\n`
}

/** `onFailure` hears what went wrong after the response had begun. */
export function eventResponse(
  replies: Replies,
  writer: ReplyWriter,
  onFailure: (error: ApiError) => void,
): Response {
  const texts = write(replies, writer, onFailure)
  const utf8 = new TextEncoder()
  let keepAlive: NodeJS.Timeout
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      keepAlive = setInterval(() => controller.enqueue(utf8.encode(": still here\n\n")), keepAliveMs)
    },
    async pull(controller) {
      const { done, value } = await texts.next()
      if (!done) return controller.enqueue(utf8.encode(value))
      clearInterval(keepAlive)
      controller.close()
    },
    async cancel() {
      clearInterval(keepAlive)
      await replies.return()
    },
  })
  const headers = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
  }
  return new Response(body, { headers })
}

async function* write(
  replies: Replies,
  writer: ReplyWriter,
  onFailure: (error: ApiError) => void,
): AsyncGenerator<string, void> {
  try {
    yield writer.begin().join("")
    for await (const { choice, event } of replies) {
      const text = writer.push(choice, event).join("")
      if (text !== "") yield text
    }
    yield writer.end().join("")
  } catch (error) {
    const failure = toApiError(error)
    onFailure(failure)
    yield writer.fail(failure).join("")
  }
}
