// The server under requests that nobody should send: each is tried in process or over a socket, with a model that is
// made up or with one of real weights, and its answer looked at. What is wrong is thrown with the request's number.

import { connect } from "node:net"
import { createParser } from "eventsource-parser"
import { Account } from "../src/server/account.ts"
import { hashKey } from "../src/server/access.ts"
import type { ServedModel } from "../src/server/served-model.ts"
import { listen } from "../src/server/server.ts"
import type { RunningServer } from "../src/server/running-server.ts"
import { anyError, errorShape, shapes } from "./api-shapes.ts"
import { FakeModel } from "./fake-model.ts"
import { fuzzRequest, goodKey, secret } from "./fuzz-request.ts"
import type { FuzzRequest } from "./fuzz-request.ts"
import { integer, seeded } from "./random.ts"
import { serving } from "./serving.ts"
import type { Serving } from "./serving.ts"

/** What came back: nothing, or a part of an answer, where the client left or its request could not be read. */
interface Got {
  status: number
  type: string
  text: string
  end: "whole" | "cut"
}

const allowed = new Set([200, 400, 401, 403, 404, 413, 415, 501])
/** Of a head that is no HTTP, or expects what nobody does. */
const unread = new Set([...allowed, 408, 417, 431])
const maxBodyBytes = 1 << 15

export class ServerFuzz {
  /** Answers by status. */
  readonly counts = new Map<number, number>()
  #says: string[] = []
  readonly #fake = new FakeModel({ says: () => this.#says })
  readonly #open = serving(this.#fake, { aliases: ["*"], maxBodyBytes })
  readonly #keyed = serving(this.#fake, {
    aliases: ["*"],
    maxBodyBytes,
    accounts: new Map([[hashKey(goodKey), new Account({ name: "one" })]]),
  })
  readonly #real: Serving | undefined
  #server: RunningServer | undefined

  /** `model` has real weights and writes few tokens, whatever it is asked for. */
  constructor(model?: ServedModel) {
    this.#real = model && serving(model, { aliases: ["*"], maxBodyBytes })
  }

  /** One of 20 requests goes over a socket, another to the real model where there is one. */
  async try(number: number): Promise<void> {
    const request = fuzzRequest(number)
    this.#says = request.says
    const real = number % 20 === 1 ? this.#real : undefined
    const app = real ?? (number % 3 === 0 ? this.#keyed : this.#open)
    try {
      const got = number % 20 === 0 ? await this.#overSocket(number, request) : await inProcess(app, request)
      await settled(number % 20 === 0 ? this.#open : app)
      this.#checkLogs()
      if (!got) return
      checkAnswer(request.path, got, number, number % 20 === 0 ? unread : allowed)
      this.counts.set(got.status, (this.counts.get(got.status) ?? 0) + 1)
    } catch (error) {
      throw new Error(`request ${number} (${request.method} ${request.path})`, { cause: error })
    }
  }

  /** Nothing may be left over. */
  async end(): Promise<void> {
    await this.#server?.close(0)
    this.#checkLogs()
    if (this.#fake.numLive > 0) throw new Error(`${this.#fake.numLive} replies go on that nobody waits for`)
  }

  /** Only what is our own doing is logged, and there is none. */
  #checkLogs(): void {
    const lines = [this.#open, this.#keyed, this.#real].flatMap((app) => app?.lines ?? [])
    if (lines.length > 0) throw new Error(`logged: ${lines.join("\n")}`)
  }

  async #overSocket(number: number, request: FuzzRequest): Promise<Got | undefined> {
    this.#server ??= await listen(this.#open, { host: "127.0.0.1", port: 0 })
    return overSocket(new URL(this.#server.url), request, seeded(number))
  }
}

async function inProcess(app: Serving, { method, path, headers, body, leaves }: FuzzRequest): Promise<Got> {
  const abort = new AbortController()
  const init = { method, headers, signal: abort.signal, ...(method !== "GET" && { body }) }
  const response = await app.request(new Request(`http://localhost${path}`, init))
  const { status } = response
  const type = response.headers.get("content-type") ?? ""
  const reader = response.body?.getReader()
  const chunks: Uint8Array[] = []
  let end: Got["end"] = "whole"
  for (let reads = 0; reader !== undefined; reads++) {
    if (leaves?.afterReads === reads) {
      end = "cut"
      if (leaves.how === "cancel") {
        await reader.cancel()
        break
      }
      abort.abort()
    }
    const { done, value } = await reader.read()
    if (done) break
    chunks.push(value)
  }
  return { status, type, text: Buffer.concat(chunks).toString(), end }
}

/** Nothing where the connection was closed before an answer began. */
function overSocket(url: URL, request: FuzzRequest, random: () => number): Promise<Got | undefined> {
  const { method, path, headers, body, leaves } = request
  const fields = { host: url.host, connection: "close", "content-length": String(body.length), ...headers }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`)
  const isBroken = random() < 0.3
  if (isBroken) head[integer(random, 0, head.length - 1)] = integer(random, 0, 255)
  const sent = Buffer.concat([head, body])
  // A length that does not fit leaves the server waiting: the client gives up.
  const isOdd = isBroken || headers["content-length"] !== undefined || headers.expect !== undefined
  return new Promise((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname)
    const chunks: Buffer[] = []
    let numBytes = 0
    let end: Got["end"] = isOdd ? "cut" : "whole"
    const leave = leaves ? 150 * leaves.afterReads : Infinity
    socket.on("connect", () => {
      const cut = integer(random, 1, sent.length)
      socket.write(sent.subarray(0, cut))
      if (isOdd) socket.end(sent.subarray(cut))
      else socket.write(sent.subarray(cut))
    })
    socket.on("data", (chunk) => {
      chunks.push(chunk)
      numBytes += chunk.length
      if (numBytes < leave) return
      end = "cut"
      socket.destroy()
    })
    socket.on("error", () => (end = "cut"))
    socket.on("close", () => {
      try {
        resolve(answerIn(Buffer.concat(chunks).toString(), end))
      } catch (error) {
        reject(error as Error)
      }
    })
  })
}

function answerIn(text: string, end: Got["end"]): Got | undefined {
  const split = text.indexOf("\r\n\r\n")
  if (split < 0) {
    if (end === "whole") throw new Error(`no answer came, but ${JSON.stringify(text)}`)
    return undefined
  }
  const head = text.slice(0, split)
  const body = text.slice(split + 4)
  const isChunked = /^transfer-encoding: chunked$/im.test(head)
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
    type: /^content-type: (.*)$/im.exec(head)?.[1] ?? "",
    // Lengths count bytes, and these bodies are cut at characters: only the frames' own lines are taken out.
    text: isChunked ? body.replace(/(^|\r\n)[0-9a-f]+\r\n/g, "").replace(/\r\n$/, "") : body,
    end,
  }
}

function checkAnswer(target: string, got: Got, number: number, statuses: ReadonlySet<number>): void {
  const { status, type, text, end } = got
  const path = target.split("?")[0]
  if (!statuses.has(status)) throw new Error(`status ${status}: ${text}`)
  if (text.includes(`${secret}-`)) throw new Error(`the key is in the answer: ${text}`)
  if (/\bat \S+ \(|node:|\/src\/|\.[jt]s:\d/.test(text)) throw new Error(`code is in the answer: ${text}`)
  if (status === 200 && type.startsWith("text/event-stream")) return checkStream(path, got, number)
  if (end === "cut" && !isJson(text)) return
  if (!type.startsWith("application/json")) throw new Error(`an answer of type ${type}`)
  const refusal = statuses === unread ? anyError : errorShape(path)
  const shape = status === 200 ? shapes[path].whole : refusal
  shape.parse(JSON.parse(text))
}

/** The stream comes in other pieces to each of its readers. */
function checkStream(path: string, { text, end }: Got, number: number): void {
  const { event: shape, last } = shapes[path]
  const events: string[] = []
  const parser = createParser({ onEvent: ({ data }) => events.push(data) })
  const random = seeded(number)
  for (let at = 0; at < text.length;) {
    const next = at + integer(random, 1, 200)
    parser.feed(text.slice(at, next))
    at = next
  }
  for (const event of events) if (event !== "[DONE]") shape?.parse(JSON.parse(event))
  if (end === "whole" && !last?.test(events.at(-1) ?? ""))
    throw new Error(`a stream ends with ${events.at(-1)}`)
}

/** A client that left is noticed within some turns of the event loop. */
async function settled({ service }: Serving): Promise<void> {
  for (let turns = 0; service.numActive > 0; turns++) {
    if (turns === 2000) throw new Error(`${service.numActive} requests go on that nobody waits for`)
    await new Promise((resolve) => (turns < 100 ? setImmediate(resolve) : setTimeout(resolve, 5)))
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
