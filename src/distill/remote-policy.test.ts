import { createServer } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import type { PolicyRequest } from "./policy.ts"
import { RemotePolicy } from "./remote-policy.ts"

interface Received {
  path: string | undefined
  authorization: string | undefined
  body: Record<string, unknown>
}

let server: Server
let received: Received[]
let respond: (response: ServerResponse, attempt: number) => void

beforeEach(async () => {
  received = []
  server = createServer((request: IncomingMessage, response) => {
    let text = ""
    request.on("data", (piece) => (text += piece))
    request.on("end", () => {
      received.push({
        path: request.url,
        authorization: request.headers.authorization,
        body: JSON.parse(text),
      })
      respond(response, received.length)
    })
  })
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
  vi.unstubAllEnvs()
})

const request: PolicyRequest = {
  messages: [{ role: "user", content: "How many?" }],
  tools: [{ type: "function", function: { name: "count" } }],
  mode: "plain",
  temperature: 0.7,
  maxTokens: 50,
  seed: 3,
}

const json = (response: ServerResponse, value: unknown) => void response.end(JSON.stringify(value))

function policy(endpoint: { keyVariable?: string } = {}, options = {}): RemotePolicy {
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/v1/`
  return new RemotePolicy({ url, model: "large", ...endpoint }, { pauseMs: 1, ...options })
}

describe("a teacher behind an endpoint", () => {
  test("is asked as OpenAI's API is, and answers with thought, text and calls", async () => {
    vi.stubEnv("TEACHER_KEY", "secret")
    const call = { id: "c1", type: "function", function: { name: "count", arguments: '{"what": "hens"}' } }
    respond = (response) =>
      json(response, {
        choices: [
          {
            finish_reason: "tool_calls",
            message: { content: null, reasoning_content: "hm", tool_calls: [call] },
          },
        ],
      })
    const { message, finish, tokens } = await policy({ keyVariable: "TEACHER_KEY" }).reply(request)
    expect(message).toEqual({ role: "assistant", content: "", reasoning_content: "hm", tool_calls: [call] })
    expect({ finish, tokens }).toEqual({ finish: "stop", tokens: undefined })
    expect(received).toEqual([
      {
        path: "/v1/chat/completions",
        authorization: "Bearer secret",
        body: {
          model: "large",
          messages: request.messages,
          tools: request.tools,
          temperature: 0.7,
          max_tokens: 50,
          seed: 3,
          chat_template_kwargs: { enable_thinking: false },
        },
      },
    ])
  })

  test("is asked again while it is busy, and a reply that was cut is known as such", async () => {
    respond = (response, attempt) => {
      if (attempt < 3) response.writeHead(attempt === 1 ? 429 : 503).end("busy")
      else json(response, { choices: [{ finish_reason: "length", message: { content: "23" } }] })
    }
    const reply = await policy().reply(request)
    expect(reply).toEqual({ message: { role: "assistant", content: "23" }, finish: "length" })
    expect(received).toHaveLength(3)
  })

  test.each<[string, (response: ServerResponse) => void, RegExp, number]>([
    [
      "refuses",
      (response) => response.writeHead(401).end("no key"),
      /answered 401 \(no key\): check the endpoint$/,
      1,
    ],
    ["is always busy", (response) => response.writeHead(500).end(), /answered 500/, 4],
    ["hangs up", (response) => response.destroy(), /failed: fetch failed \(/, 4],
    ["sends no JSON", (response) => response.end("<html>"), /no JSON object \(<html>\)/, 1],
    ["sends no choice", (response) => json(response, { choices: [] }), /no choices\[0\]\.message/, 1],
  ])("that %s is told of by its address", async (_, how, message, attempts) => {
    respond = how
    const reply = policy().reply(request)
    await expect(reply).rejects.toMatchObject({ code: "network" })
    await expect(reply).rejects.toThrow(message)
    await expect(reply).rejects.toThrow(/the teacher at http:\/\/127\.0\.0\.1/)
    expect(received).toHaveLength(attempts)
  })

  test("that is silent is given up after the time that it has", async () => {
    respond = () => undefined
    const reply = policy({}, { timeoutMs: 300, attempts: 2 }).reply(request)
    await expect(reply).rejects.toThrow(/took longer than 0\.3 s/)
    expect(received).toHaveLength(2)
  })

  test("is left at once when the run is cancelled", async () => {
    const controller = new AbortController()
    respond = () => controller.abort()
    await expect(policy().reply({ ...request, signal: controller.signal })).rejects.toMatchObject({
      code: "cancelled",
    })
  })

  test("needs the key that the recipe names", () => {
    vi.stubEnv("TEACHER_KEY", "")
    expect(() => policy({ keyVariable: "TEACHER_KEY" })).toThrow(/key from TEACHER_KEY: set that variable/)
  })
})
