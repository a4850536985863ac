// The two ends of a model's process, with everything between them copied as between processes. A real process that
// crashes is in test/cli-talk.test.ts.

import type { ChildProcess } from "node:child_process"
import { EventEmitter } from "node:events"
import { deserialize, serialize } from "node:v8"
import { expect, test } from "vitest"
import { FakeModel, untilAborted } from "../../test/fake-model.ts"
import { answerOf, eventsIn, post, serving } from "../../test/serving.ts"
import { numberSource } from "../chat/json.ts"
import type { ChatRequest, Json } from "../types.ts"
import { ModelLink } from "./model-link.ts"
import type { Order, Report } from "./model-link.ts"
import { ProcessDesk } from "./process-desk.ts"
import { ProcessModel } from "./process-model.ts"

const chat = "/v1/chat/completions"
const body = { messages: [{ role: "user", content: "Hi" }] }
const copied = <T>(value: T) => deserialize(serialize(value)) as T

/** A process as the link sees it, with a model in it. */
class FakeProcess extends EventEmitter {
  connected = true
  readonly #desk: ProcessDesk

  constructor(model: FakeModel) {
    super()
    const say = (report: Report) =>
      void (this.connected && setImmediate(() => this.emit("message", copied(report))))
    this.#desk = new ProcessDesk(async () => model, say)
  }

  send(order: Order): void {
    const sent = copied(order)
    setImmediate(() => this.connected && void this.#desk.take(sent))
  }

  kill(signal: string): void {
    this.end(null, signal)
  }

  disconnect(): void {
    this.end(0, null)
  }

  end(code: number | null, signal: string | null): void {
    this.connected = false
    this.emit("exit", code, signal)
  }
}

/** An app over models in processes, which are all kept. */
function processes(model = new FakeModel()) {
  const all: FakeProcess[] = []
  const open = async () => {
    const process = new FakeProcess(model)
    all.push(process)
    const link = new ModelLink(process as unknown as ChildProcess, { patienceMs: 30 }) // what the link uses of it
    const opened = await new Promise<Report>((resolve) =>
      link.order({ type: "open", model: "m", options: {} }, resolve),
    )
    if (opened.type !== "answer") throw new Error("it did not open")
    return new ProcessModel(link, { context: model.context, family: model.family })
  }
  return { app: serving(model, { open }), all, model }
}

test("requests, answers, refusals and counts pass from process to process", async () => {
  const { app, model } = processes(new FakeModel({ says: ["<think>", "Hm.", "</think>", "Yes."] }))
  const parameters = { type: "object", properties: { a: { default: "MARK" } } }
  const tools = [{ type: "function", function: { name: "f", parameters } }]
  // As bytes, for JSON.stringify would write the number otherwise.
  const text = JSON.stringify({ ...body, tools }).replace('"MARK"', "1.0")
  expect((await answerOf(post(app, chat, text))).choices[0].message).toMatchObject({
    content: "Yes.",
    reasoning: "Hm.",
  })
  const [{ tools: asked = [] }] = model.requests as ChatRequest[]
  const { a } = asked[0].function.parameters?.properties as { a: { [key: string]: Json } }
  expect(numberSource(a, "default")).toBe("1.0")
  const events = eventsIn(await (await post(app, chat, { ...body, stream: true })).text())
  expect(events.at(-1)).toBe("[DONE]")
  const long = { stream: true, messages: [{ role: "user", content: "x".repeat(2000) }] }
  const refused = await post(app, chat, long)
  expect([refused.status, (await answerOf(refused)).error.code]).toEqual([400, "context_length_exceeded"])
  expect(await answerOf(post(app, "/tokenize", { prompt: "hi" }))).toMatchObject({ tokens: [104, 105] })
  expect(await answerOf(post(app, "/detokenize", { tokens: [104] }))).toMatchObject({ content: "h" })
  expect((await post(app, "/detokenize", { tokens: [999] })).status).toBe(400)
  const report = await answerOf(app.request("http://localhost/api/engine") as Promise<Response>)
  expect(report.engine).toMatchObject({ context: 1000, experts: [[1, 2]], load: { pages: 8 } })
})

test("a client that leaves ends the work in the other process", async () => {
  const { app, model } = processes(new FakeModel({ says: Array(50).fill("word ") }))
  for (const reads of [0, 1, 5]) {
    const response = await post(app, chat, { ...body, stream: true, n: 2 })
    const reader = response.body?.getReader()
    for (let i = 0; i < reads; i++) await reader?.read()
    await reader?.cancel()
    expect([model.numLive, app.service.numActive]).toEqual([0, 0])
  }
  const timed = serving(model, { open: async () => model, maxRequestMs: 20 })
  model.work = untilAborted
  expect((await post(timed, chat, body)).status).toBe(504)
})

test("a model that hangs is ended with its process, and the next request finds a new one", async () => {
  const { app, all, model } = processes()
  model.work = () => new Promise(() => undefined)
  const abort = new AbortController()
  const hanging = post(app, chat, body, { signal: abort.signal })
  await expect.poll(() => model.numLive).toBe(1)
  abort.abort()
  expect((await hanging).status).toBe(500)
  model.work = async () => undefined
  expect((await post(app, chat, body)).status).toBe(200)
  expect(all.map((process) => process.connected)).toEqual([false, true])
})

test("a crash ends its requests with a clean error, streams too, and the next one finds a new process", async () => {
  const { app, all, model } = processes(new FakeModel({ says: ["One", " moment."] }))
  await post(app, chat, body)
  model.work = untilAborted
  const whole = post(app, chat, body)
  const stream = await post(app, chat, { ...body, stream: true })
  const anthropic = post(app, "/v1/messages", { ...body, max_tokens: 5, stream: true })
  await expect.poll(() => app.service.numActive).toBe(3)
  await new Promise((resolve) => setTimeout(resolve, 20))
  all[0].end(null, "SIGSEGV")
  const failed = await whole
  expect(failed.status).toBe(500)
  const shape = { type: "server_error", code: "model_crashed", message: expect.stringContaining("once more") }
  expect((await answerOf(failed)).error).toMatchObject(shape)
  expect(JSON.parse(String(eventsIn(await stream.text()).at(-1))).error).toMatchObject(shape)
  expect(await (await anthropic).text()).toContain(
    'event: error\ndata: {"type":"error","error":{"type":"api_error"',
  )
  expect(app.service.numActive).toBe(0)
  model.work = async () => undefined
  expect((await answerOf(post(app, chat, body))).choices[0].message.content).toBe("One moment.")
  expect(all.length).toBe(2)
  expect(
    app.lines.filter((line) => line.endsWith("500: the model's process ended with SIGSEGV")).length,
  ).toBe(3)
})
