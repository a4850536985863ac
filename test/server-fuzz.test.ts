// Requests that nobody should send: none of them crashes the server, none gets a 500, every answer has the shape that
// clients expect, and nothing that they sent is logged. bench/fuzz.ts tries 100,000 of them, nano among the models;
// A3B_FUZZ multiplies how many are tried here.

import { connect } from "node:net"
import fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import { listen } from "../src/server/server.ts"
import type { RunningServer } from "../src/server/running-server.ts"
import { errorShape } from "./api-shapes.ts"
import { FakeModel } from "./fake-model.ts"
import { ServerFuzz } from "./fuzz-server.ts"
import { post, serving } from "./serving.ts"

const times = Number(process.env.A3B_FUZZ ?? 1)

test("no request crashes the server, gets an answer without a shape or leaves anything behind", async () => {
  const fuzz = new ServerFuzz()
  for (let number = 0; number < 600 * times; number++) await fuzz.try(number)
  await fuzz.end()
  // Most of what there is was met: answers, and each way to be refused.
  expect([...fuzz.counts.keys()]).toEqual(expect.arrayContaining([200, 400, 401, 403, 404, 413, 415, 501]))
  expect(fuzz.counts.get(200)).toBeGreaterThan(80 * times)
}, 600_000)

test("clients that leave at any moment leave nothing behind", async () => {
  const model = new FakeModel({ says: Array.from({ length: 20 }, (_, i) => `${i} `) })
  const app = serving(model)
  const leaving = fc.record({
    afterReads: fc.nat(12),
    n: fc.integer({ min: 1, max: 3 }),
    how: fc.constantFrom("cancel", "abort"),
  })
  await fc.assert(
    fc.asyncProperty(leaving, async ({ afterReads, n, how }) => {
      const abort = new AbortController()
      const body = { messages: [{ role: "user", content: "Hi" }], stream: true, n }
      const response = await post(app, "/v1/chat/completions", body, { signal: abort.signal })
      const reader = response.body!.getReader() // a stream has one
      for (let i = 0; i < afterReads; i++) await reader.read()
      if (how === "abort") {
        abort.abort()
        while (!(await reader.read()).done);
      } else await reader.cancel()
      expect([app.service.numActive, model.numLive]).toEqual([0, 0])
    }),
    { numRuns: 60 * times, seed: 1 },
  )
}, 600_000)

let server: RunningServer
beforeAll(async () => (server = await listen(serving(new FakeModel()), { host: "127.0.0.1", port: 0 })))
afterAll(() => server.close(0))

function answerTo(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1", () => socket.write(bytes))
    let text = ""
    socket.on("data", (chunk) => (text += chunk.toString()))
    socket.on("error", reject)
    socket.on("close", () => resolve(text))
  })
}

test("what is no HTTP gets an error in OpenAI's form too", async () => {
  for (const [bytes, status] of [
    ["GET /health HTTP/1.1\r\nhost: [::1\r\nconnection: close\r\n\r\n", 400],
    ["GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1039047\r\nconnection: close\r\n\r\n", 400],
    ["GET / HTTP/9.9\r\n\r\n", 400],
    ["\u0016\u0003\u0001 TLS\r\n\r\n", 400],
    [`GET /health HTTP/1.1\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, 431],
  ] as const) {
    const [head, body] = (await answerTo(bytes)).split("\r\n\r\n")
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(errorShape("/").safeParse(JSON.parse(body)).success).toBe(true)
  }
})
