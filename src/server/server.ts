// Steps 1 and 9. The app on a socket of Node's: begins to listen, and ends without cutting anybody off.

import { STATUS_CODES, createServer } from "node:http"
import type { Server } from "node:http"
import { Socket } from "node:net"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import { RequestError, getRequestListener } from "@hono/node-server"
import { UserError, messageOf, systemCode } from "../util/errors.ts"
import { ApiError, openAiError, toApiError } from "./api-error.ts"
import type { App } from "./app.ts"
import type { RunningServer } from "./running-server.ts"

export interface ListenOptions {
  host: string
  /** 0 takes a free one. */
  port: number
}

/** A client must have sent its whole request by then. */
const receiveMs = 60_000
/** Longer than the pools of common proxies and clients keep a connection, so that they close it and not we. */
const keepAliveMs = 75_000

export async function listen(app: App, options: ListenOptions): Promise<RunningServer> {
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false, errorHandler: refuse })
  const server = createServer({ requestTimeout: receiveMs, keepAliveTimeout: keepAliveMs }, listener)
  server.on("clientError", refuseHead)
  await bind(server, options)
  return {
    url: urlOf(server.address() as AddressInfo), // it listens on TCP
    async close(graceMs) {
      const closed = new Promise((resolve) => server.close(resolve))
      await app.service.drain(graceMs)
      // Answers are still on their way; what then is left belongs to clients that do not read theirs.
      const idle = setInterval(() => server.closeIdleConnections(), 20)
      const all = setTimeout(() => server.closeAllConnections(), 1000)
      await closed
      clearInterval(idle)
      clearTimeout(all)
    },
  }
}

/** A host or path that no URL can be made of. */
function refuse(error: unknown): Response {
  const isTheirs = error instanceof RequestError
  const failure = isTheirs ? new ApiError(400, `${error.message}: send another`) : toApiError(error)
  return Response.json(openAiError(failure), { status: failure.status })
}

/** What is no HTTP, or took too long to come, never becomes a request; its sender gets an error all the same. */
function refuseHead(error: Error, socket: Duplex): void {
  // In the middle of an answer, or behind one, there is no place for another.
  if (!socket.writable || !(socket instanceof Socket) || socket.bytesWritten > 0) return void socket.destroy()
  const { status, message } = headError(systemCode(error))
  const body = JSON.stringify(openAiError(new ApiError(status, message)))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ]
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`)
}

function headError(code: string | undefined): { status: 400 | 408 | 431; message: string } {
  if (code === "HPE_HEADER_OVERFLOW") return { status: 431, message: "the headers are too long: send fewer" }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT")
    return { status: 408, message: "the request did not come in time: send it at once" }
  return { status: 400, message: "this is no HTTP request that could be read: send one" }
}

function bind(server: Server, { host, port }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, host, port)))
    server.listen(port, host, resolve)
  })
}

function listenError(error: Error, host: string, port: number): UserError {
  const at = `port ${port} of ${host}`
  switch (systemCode(error)) {
    case "EADDRINUSE":
      return new UserError("bad-argument", `${at} is in use: choose another one with --port`, {
        cause: error,
      })
    case "EACCES":
      return new UserError("permission", `no permission to listen on ${at}: choose one from 1024 up`, {
        cause: error,
      })
    case "ENOTFOUND":
    case "EADDRNOTAVAIL":
      return new UserError("bad-argument", `${host} is no address of this machine: choose another --host`, {
        cause: error,
      })
    default:
      return new UserError("network", `cannot listen on ${at}: ${messageOf(error)}`, { cause: error })
  }
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`
}
