// A model hub on this machine for tests: lists files as Hugging Face and ModelScope do, serves them with ranges, and
// breaks its word where a test says so. Shares no code with the package.

import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { onTestFinished } from "vitest"
import type { Json } from "../src/types.ts"

/** What the server would answer if it were honest. */
export interface Reply {
  status: number
  headers: Record<string, string>
  body: Uint8Array
}

/** Answers in its own way; `honestly` sends a reply whole. */
export type Fault = (response: ServerResponse, reply: Reply, request: IncomingMessage) => void

export interface HubRequest {
  path: string
  range: string | undefined
  authorization: string | undefined
}

export const modelId = "owner/model"

export class HubServer {
  readonly url: string
  readonly files: Map<string, Uint8Array>
  readonly requests: HubRequest[] = []
  /** By file, what to do with the next requests, one by one. */
  readonly faults = new Map<string, Fault[]>()
  /** Sent with each listing. */
  listingHeaders: Record<string, string> = {}
  /** Changes the listing's entries. */
  relist: (entries: Record<string, Json>[]) => Json = (entries) => entries

  private constructor(url: string, files: Record<string, Uint8Array>) {
    this.url = url
    this.files = new Map(Object.entries(files))
  }

  static async start(files: Record<string, Uint8Array> = {}): Promise<HubServer> {
    const http = createServer((request, response) => hub.#serve(request, response))
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
    const { port } = http.address() as AddressInfo // a TCP server's address is one
    const hub = new HubServer(`http://127.0.0.1:${port}`, files)
    onTestFinished(() => {
      http.closeAllConnections()
      http.close()
    })
    return hub
  }

  /** The next requests for a file meet these, then the server is honest again. */
  fault(file: string, ...faults: Fault[]): void {
    this.faults.set(file, faults)
  }

  /** Requests for one file. */
  requestsFor(file: string): HubRequest[] {
    return this.requests.filter(({ path }) => path.endsWith(`/${file}`))
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url ?? "", this.url)
    const { range, authorization } = request.headers
    this.requests.push({ path: pathname, range, authorization })
    const listing = this.#listing(pathname)
    if (listing !== undefined) return honestly(response, json(listing, this.listingHeaders), request)
    const [, revision, file] = /\/resolve\/([^/]+)\/(.+)$/.exec(decodeURIComponent(pathname)) ?? []
    const bytes = revision === undefined ? undefined : this.files.get(file)
    if (bytes === undefined) return fail(404)(response, missing, request)
    const fault = this.faults.get(file)?.shift() ?? honestly
    fault(response, replyOf(bytes, range), request)
  }

  #listing(path: string): Json | undefined {
    const entries = [...this.files]
    if (path.startsWith(`/api/models/${modelId}/tree/`))
      return this.relist(entries.map(([file, bytes]) => huggingFaceEntry(file, bytes)))
    if (path !== `/api/v1/models/${modelId}/repo/files`) return undefined
    const files = entries.map(([file, bytes]) => modelScopeEntry(file, bytes))
    return {
      Code: 200,
      Data: { Files: this.relist([{ Type: "tree", Path: "folder" }, ...files]) },
      Success: true,
    }
  }
}

function huggingFaceEntry(path: string, bytes: Uint8Array): Record<string, Json> {
  const oid = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex")
  const entry = { type: "file", oid, size: bytes.length, path }
  if (path.endsWith(".json")) return entry
  return { ...entry, oid: "0".repeat(40), lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } }
}

function modelScopeEntry(path: string, bytes: Uint8Array): Record<string, Json> {
  return { Type: "blob", Path: path, Name: path, Size: bytes.length, Sha256: sha256(bytes) }
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

const missing: Reply = { status: 404, headers: {}, body: new Uint8Array(0) }

function json(value: Json, headers: Record<string, string>): Reply {
  return { status: 200, headers, body: new TextEncoder().encode(JSON.stringify(value)) }
}

function replyOf(bytes: Uint8Array, range: string | undefined): Reply {
  const headers = { etag: `"${sha256(bytes)}"` }
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? []
  if (from === undefined) return { status: 200, headers, body: bytes }
  const end = to ? Math.min(Number(to) + 1, bytes.length) : bytes.length
  if (Number(from) >= end) return { status: 416, headers, body: new Uint8Array(0) }
  const contentRange = `bytes ${from}-${end - 1}/${bytes.length}`
  return {
    status: 206,
    headers: { ...headers, "content-range": contentRange },
    body: bytes.slice(Number(from), end),
  }
}

// ---- ways to answer

export const honestly: Fault = (response, { status, headers, body }) => {
  response.writeHead(status, { "content-length": body.length, ...headers })
  response.end(body)
}

/** Sends some bytes of what was promised, then closes the connection. */
export function cutAfter(bytes: number): Fault {
  return (response, { status, headers, body }) => {
    response.writeHead(status, { "content-length": body.length, ...headers })
    response.write(body.slice(0, bytes), () => response.destroy())
  }
}

/** Sends some bytes, then nothing more, and leaves the connection open. */
export function stallAfter(bytes: number): Fault {
  return (response, { status, headers, body }) => {
    response.writeHead(status, { "content-length": body.length, ...headers })
    response.write(body.slice(0, bytes))
  }
}

/** Never answers. */
export const silent: Fault = () => {}

export function fail(status: number): Fault {
  return (response, _, request) => honestly(response, { ...missing, status }, request)
}

/** Sends another reply in place of the honest one. */
export function instead(change: (reply: Reply) => Partial<Reply>): Fault {
  return (response, reply, request) => honestly(response, { ...reply, ...change(reply) }, request)
}

/** Sends a body without saying how long it is. */
export function chunked(change: (body: Uint8Array) => Uint8Array): Fault {
  return (response, { status, headers, body }) => {
    response.writeHead(status, headers)
    response.end(change(body))
  }
}
