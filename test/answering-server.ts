// A server that answers as a test tells it to and remembers what it was asked, for tests of clients.

import { createServer } from "node:http"
import type { ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { Json } from "../src/types.ts"

export interface Asked {
  method: string
  path: string
  authorization: string | undefined
  body: { [key: string]: Json }
}

export type Answer = (asked: Asked, response: ServerResponse) => void

export interface AnsweringServer {
  readonly url: string
  readonly asked: Asked[]
  close(): Promise<void>
}

export async function answering(answer: Answer): Promise<AnsweringServer> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    let text = ""
    request.setEncoding("utf8").on("data", (piece: string) => (text += piece))
    request.on("end", () => {
      const { method = "", url = "", headers } = request
      const one = { method, path: url, authorization: headers.authorization, body: JSON.parse(text || "{}") }
      asked.push(one)
      answer(one, response)
    })
  })
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))
  const { port } = server.address() as AddressInfo // it listens on TCP
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    close: () =>
      new Promise((closed) => {
        server.closeAllConnections()
        server.close(() => closed())
      }),
  }
}

export function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value))
}

/** Server-sent events in pieces of so many bytes, each a write of its own. */
export async function events(response: ServerResponse, text: string, pieceBytes = Infinity): Promise<void> {
  response.writeHead(200, { "content-type": "text/event-stream" })
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    response.write(bytes.subarray(at, at + pieceBytes))
    await new Promise((resolve) => setImmediate(resolve))
  }
  response.end()
}
