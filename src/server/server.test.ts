import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { describe, expect, onTestFinished, test } from "vitest"
import { FakeModel, untilAborted } from "../../test/fake-model.ts"
import { answerOf, serving } from "../../test/serving.ts"
import type { AppOptions } from "./app.ts"
import { listen } from "./server.ts"

const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }], stream: true })
const local = { host: "127.0.0.1", port: 0 }

async function listening(model: FakeModel, options: Partial<AppOptions> = {}) {
  const app = serving(model, options)
  const server = await listen(app, local)
  onTestFinished(() => server.close(0))
  const url = `${server.url}/v1/chat/completions`
  const ask = (init: RequestInit = {}) => fetch(url, { method: "POST", body, ...init })
  return { app, server, url, ask }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}

describe("a client that hangs up", () => {
  test.each(["streaming", "not streaming"])("while its prompt is read, %s, ends the work", async (kind) => {
    const model = new FakeModel()
    model.work = untilAborted
    const { app, ask } = await listening(model)
    const abort = new AbortController()
    const whole = { body: body.replace("true", "false") }
    const asking = ask({ signal: abort.signal, ...(kind === "not streaming" && whole) })
    const gone = asking.then((response) => response.text())
    gone.catch(() => undefined)
    await until(() => model.numLive === 1)
    abort.abort()
    await until(() => model.numLive === 0 && app.service.numActive === 0)
    await expect(gone).rejects.toThrow()
    expect(app.lines).toEqual([])
  })

  test("in the middle of a reply ends it within a step", async () => {
    let numSaid = 0
    const endless = function* () {
      for (;;) yield `word ${++numSaid} `
    }
    const model = new FakeModel({ says: () => endless() as unknown as string[] })
    const { app, url } = await listening(model)
    const asking = request(url, { method: "POST" })
    const begun = new Promise((resolve) =>
      asking.on("response", (response) => response.once("data", resolve)),
    )
    asking.on("error", () => undefined)
    asking.end(body)
    await begun
    asking.destroy()
    await until(() => app.service.numActive === 0)
    expect(model.numLive).toBe(0)
    const saidByThen = numSaid
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(numSaid).toBe(saidByThen)
  })
})

describe("closing", () => {
  test("waits for the replies under way, refuses others, and frees the model", async () => {
    const model = new FakeModel()
    let finish = () => {}
    model.work = () => new Promise((resolve) => (finish = resolve))
    const { app, server, ask } = await listening(model)
    const first = await ask()
    await until(() => model.numLive === 1)
    const closing = server.close(10_000)
    const refused = await app.request("http://localhost/health")
    expect([refused.status, await answerOf(refused)]).toEqual([
      503,
      { status: "draining", model: "ready", restarts: 0 },
    ])
    const late = await app.request("http://localhost/v1/chat/completions", { method: "POST", body })
    expect(late.status).toBe(503)
    expect((await answerOf(late)).error).toMatchObject({ code: "shutting_down" })
    finish()
    expect(await first.text()).toContain("[DONE]")
    await closing
    expect(model.state).toBe("freed")
    await expect(ask()).rejects.toThrow()
  })

  test("ends what takes too long with a clean error", async () => {
    const model = new FakeModel()
    model.work = untilAborted
    const { server, ask } = await listening(model)
    const response = await ask()
    await server.close(10)
    expect(await response.text()).toContain('"code":"shutting_down"')
    expect(model.numLive).toBe(0)
  })
})

test("a port that is taken is said so", async () => {
  const other = createServer().listen(0, "127.0.0.1")
  onTestFinished(() => void other.close())
  await new Promise((resolve) => other.once("listening", resolve))
  const { port } = other.address() as AddressInfo
  const refused = listen(serving(new FakeModel()), { host: "127.0.0.1", port })
  await expect(refused).rejects.toThrow(`port ${port} of 127.0.0.1 is in use: choose another one with --port`)
})
