import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest"
import { FakeModel, untilAborted } from "../../test/fake-model.ts"
import { answerOf, eventsIn, post, serving } from "../../test/serving.ts"
import { UserError } from "../util/errors.ts"
import { hashKey } from "./access.ts"
import { Account } from "./account.ts"
import { addKey, readAccounts } from "./keys.ts"

const chat = "/v1/chat/completions"
const body = { messages: [{ role: "user", content: "Hi" }] }

describe("errors", () => {
  test("of a context that is too short have both numbers", async () => {
    const messages = [{ role: "user", content: "x".repeat(1200) }]
    for (const stream of [false, true]) {
      const response = await post(serving(new FakeModel()), chat, { messages, stream })
      expect(response.status).toBe(400)
      expect((await answerOf(response)).error).toMatchObject({
        type: "invalid_request_error",
        code: "context_length_exceeded",
        message: expect.stringMatching(/context is 1,000 tokens; prompt has 1,2\d\d/),
      })
    }
  })

  test.each<[string, string, string]>([
    ["no JSON", "{", "the body is no valid JSON"],
    ["no object", "[]", "expected object, received array"],
    ["too deep", "[".repeat(5000), "nested more than 100 deep"],
  ])("of a body that is %s say so", async (_, text, message) => {
    const response = await post(serving(new FakeModel()), chat, text)
    expect(response.status).toBe(400)
    expect((await answerOf(response)).error.message).toContain(message)
  })

  test("of a body that is too large name the limit, however it is sent", async () => {
    const app = serving(new FakeModel(), { maxBodyBytes: 1000 })
    const text = JSON.stringify({ messages: [{ role: "user", content: "x".repeat(2000) }] })
    for (const headers of [{ "content-length": String(text.length) }, {}] as Record<string, string>[]) {
      const response = await post(app, chat, text, { headers })
      expect(response.status).toBe(413)
      expect((await answerOf(response)).error.message).toContain("more than 1,000 bytes")
    }
  })

  test("of a client that leaves within its request are nobody's to read and not logged", async () => {
    const app = serving(new FakeModel())
    const cut = new ReadableStream({ pull: (controller) => controller.error(new Error("aborted")) })
    const init = { method: "POST", body: cut, duplex: "half" }
    const response = await app.request(new Request(`http://localhost${chat}`, init as RequestInit))
    expect([response.status, app.lines]).toEqual([499, []])
  })

  test("of ours tell the client nothing but an id, and the log the rest", async () => {
    const open = async () => {
      throw new UserError("bad-file", "/home/someone/model.safetensors is broken")
    }
    const app = serving(new FakeModel(), { open })
    const response = await post(app, chat, body)
    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain("home")
    const id = response.headers.get("x-request-id")
    expect(app.lines).toEqual([`${id} POST ${chat} 500: /home/someone/model.safetensors is broken`])
  })

  test("of a path or a model that is not there are 404", async () => {
    const app = serving(new FakeModel(), { aliases: ["gpt-4o"] })
    expect((await app.request("http://localhost/nothing")).status).toBe(404)
    const response = await post(app, chat, { ...body, model: "other" })
    expect(response.status).toBe(404)
    expect((await answerOf(response)).error).toMatchObject({ code: "model_not_found", param: "model" })
    for (const model of ["fake", "gpt-4o"])
      expect((await post(app, chat, { ...body, model })).status).toBe(200)
    expect((await app.request("http://localhost/v1/models/other")).status).toBe(404)
    const any = serving(new FakeModel(), { aliases: ["*"] })
    expect((await post(any, chat, { ...body, model: "whatever" })).status).toBe(200)
  })

  test("of embeddings say what to use instead", async () => {
    const response = await post(serving(new FakeModel()), "/v1/embeddings", { input: "x" })
    expect(response.status).toBe(501)
    expect((await answerOf(response)).error.message).toContain("use an embedding model")
  })
})

describe("limits", () => {
  test("of requests at once refuse what comes beyond", async () => {
    const model = new FakeModel()
    model.work = untilAborted
    const app = serving(model, { maxRequests: 2 })
    const abort = new AbortController()
    const waiting = [1, 2].map(() => post(app, chat, body, { signal: abort.signal }))
    await vi.waitFor(() => expect(model.numLive).toBe(2))
    const response = await post(app, chat, body)
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"])
    abort.abort()
    for (const one of waiting) expect((await one).status).toBe(499)
    expect(app.service.numActive).toBe(0)
  })

  test("of time end a reply, streaming or not", async () => {
    const model = new FakeModel()
    model.work = untilAborted
    const app = serving(model, { maxRequestMs: 30 })
    const whole = await post(app, chat, body)
    expect(whole.status).toBe(504)
    expect((await answerOf(whole)).error).toMatchObject({ type: "timeout_error", code: "timeout" })
    const streamed = await post(app, chat, { ...body, stream: true })
    expect(await streamed.text()).toContain('"code":"timeout"')
    expect(model.numLive).toBe(0)
  })
})

describe("API keys", () => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-keys-"))
  const path = join(folder, "keys.json")
  afterAll(() => rmSync(folder, { recursive: true }))
  const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } })

  test("let in who has one, by either header, and nobody else", async () => {
    const key = addKey(path, { name: "alice" })
    expect(readFileSync(path, "utf8")).not.toContain(key)
    expect(readFileSync(path, "utf8")).toContain(hashKey(key))
    expect(statSync(path).mode & 0o077).toBe(0)
    expect(() => addKey(path, { name: "alice" })).toThrow("alice already")
    const other = addKey(path, { name: "bob", requestsPerMinute: 1 })
    const app = serving(new FakeModel(), { accounts: readAccounts(path) })
    for (const init of [bearer(key), { headers: { "x-api-key": other } }])
      expect((await post(app, chat, body, init)).status).toBe(200)
    for (const init of [{}, bearer("a3b-wrong"), { headers: { authorization: key } }]) {
      const response = await post(app, chat, body, init)
      expect(response.status).toBe(401)
      expect((await answerOf(response)).error).toMatchObject({ code: "invalid_api_key" })
    }
    expect((await app.request("http://localhost/metrics")).status).toBe(401)
    expect((await app.request("http://localhost/health")).status).toBe(200)
    expect(app.lines.join()).not.toContain("a3b-")
  })

  test("have limits of requests and of tokens a minute", async () => {
    let time = 0
    const of = (limits: object) => new Account({ name: "x", ...limits }, () => time)
    const key = "k"
    const accounts = (account: Account) => new Map([[hashKey(key), account]])
    for (const limits of [{ requestsPerMinute: 2 }, { tokensPerMinute: 20 }]) {
      const app = serving(new FakeModel(), { accounts: accounts(of(limits)) })
      const ask = () => post(app, chat, body, bearer(key))
      // A reply of the fake takes 16 tokens: the second one is let in, and the debt has to be paid first.
      expect([(await ask()).status, (await ask()).status]).toEqual([200, 200])
      const refused = await ask()
      expect(refused.status).toBe(429)
      expect((await answerOf(refused)).error).toMatchObject({ type: "rate_limit_error" })
      time += 1000 * Number(refused.headers.get("retry-after"))
      expect((await ask()).status).toBe(200)
    }
  })

  test("keep requests from going before others", async () => {
    const key = addKey(path, { name: "batch", priority: 5 })
    const model = new FakeModel()
    const app = serving(model, { accounts: readAccounts(path) })
    const priorityOf = async (where: string, more: object, init = bearer(key)) => {
      const response = await post(app, where, { ...body, max_tokens: 9, ...more }, init)
      expect(response.status).toBe(200)
      return (model.requests.at(-1) as { priority?: number }).priority
    }
    for (const [asked, wanted] of [
      [undefined, 5],
      [-1, 5],
      [9, 9],
    ])
      // prettier-ignore
      expect(await priorityOf(chat, { priority: asked })).toBe(wanted)
    expect(await priorityOf("/v1/completions", { prompt: "x", priority: 9 })).toBe(9)
    expect(await priorityOf("/v1/responses", { input: "x", priority: 4 })).toBe(5)
    expect(await priorityOf("/v1/messages", {})).toBe(5)
    const usual = bearer(addKey(path, { name: "carol" }))
    const later = serving(model, { accounts: readAccounts(path) })
    await post(later, chat, { ...body, priority: -3 }, usual)
    expect((model.requests.at(-1) as { priority?: number }).priority).toBe(0)
    // Without keys all are the owner's.
    await post(serving(model), chat, { ...body, priority: -3 })
    expect((model.requests.at(-1) as { priority?: number }).priority).toBe(-3)
  })

  test("come from a file that is checked", () => {
    const absent = join(tmpdir(), "a3b-no-such-file.json")
    expect(() => readAccounts(absent)).toThrow("does not exist")
    expect(() => readAccounts("package.json")).toThrow("package.json is no file of API keys: keys: ")
    expect(() => readAccounts("README.md")).toThrow("README.md is no JSON")
  })
})

describe("a stream", () => {
  test("has a comment now and then while nothing else comes", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
    onTestFinished(() => void vi.useRealTimers())
    const model = new FakeModel()
    let finish = () => {}
    model.work = () => new Promise((resolve) => (finish = resolve))
    const response = await post(serving(model), chat, { ...body, stream: true })
    vi.advanceTimersByTime(21_000)
    finish()
    const text = await response.text()
    expect(text.match(/^: .*$/gm)?.length).toBe(2)
    expect(eventsIn(text).at(-1)).toBe("[DONE]")
    expect(vi.getTimerCount()).toBe(0)
  })

  test("has the headers of every answer", async () => {
    const headers = { origin: "https://example.com" }
    const app = serving(new FakeModel(), { origins: ["*"] })
    const response = await post(app, chat, { ...body, stream: true }, { headers })
    expect(response.headers.get("x-request-id")).toMatch(/^req_/)
    expect(response.headers.get("access-control-allow-origin")).toBe("*")
    await response.body?.cancel()
  })
})

describe("pages of other sites", () => {
  const origin = "https://example.com"

  test("may not ask unless they are named", async () => {
    const refused = await post(serving(new FakeModel()), chat, body, { headers: { origin } })
    expect(refused.status).toBe(403)
    expect(refused.headers.get("access-control-allow-origin")).toBeNull()
    const app = serving(new FakeModel(), { origins: [origin] })
    const response = await post(app, chat, body, { headers: { origin } })
    expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([200, origin])
    const preflight = await app.request(`http://localhost${chat}`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    })
    expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([204, origin])
  })

  test("may where they come from the server itself", async () => {
    const headers = { origin: "http://localhost:8080", host: "localhost:8080" }
    expect((await post(serving(new FakeModel()), chat, body, { headers })).status).toBe(200)
  })

  test("cannot reach it by giving their name this machine's address", async () => {
    const headers = { host: "evil.example:8080" }
    expect((await post(serving(new FakeModel()), chat, body, { headers })).status).toBe(403)
    expect((await post(serving(new FakeModel(), { reach: "network" }), chat, body, { headers })).status).toBe(
      200,
    )
    for (const host of ["127.0.0.1:8080", "[::1]:8080", "localhost"])
      expect((await post(serving(new FakeModel()), chat, body, { headers: { host } })).status).toBe(200)
  })
})

describe("the model", () => {
  test("is listed, for OpenAI's and for Anthropic's clients", async () => {
    const { object, data, has_more } = await answerOf(
      await serving(new FakeModel()).request("http://localhost/v1/models"),
    )
    expect({ object, has_more }).toEqual({ object: "list", has_more: false })
    expect(data).toEqual([
      expect.objectContaining({ id: "fake", object: "model", type: "model", context_length: 1000 }),
    ])
  })

  test("is freed when nobody has used it for a while, and opened again", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    onTestFinished(() => void vi.useRealTimers())
    const models: FakeModel[] = []
    const open = async () => {
      models.push(new FakeModel())
      return models.at(-1) as FakeModel
    }
    const app = serving(new FakeModel(), { open, idleMs: 1000 })
    const state = async () => (await answerOf(await app.request("http://localhost/health"))).model
    expect(await state()).toBe("unloaded")
    await post(app, chat, body)
    vi.advanceTimersByTime(900)
    await post(app, chat, body)
    vi.advanceTimersByTime(900)
    expect([await state(), models.map((model) => model.state)]).toEqual(["ready", ["open"]])
    await app.request("http://localhost/v1/models")
    vi.advanceTimersByTime(1100)
    expect([await state(), models.map((model) => model.state)]).toEqual(["unloaded", ["freed"]])
    // Whoever looks in now and then does not keep it in memory.
    expect((await app.request("http://localhost/v1/models")).status).toBe(200)
    expect(await state()).toBe("unloaded")
    await Promise.all([post(app, chat, body), post(app, chat, body)])
    expect(models.map((model) => model.state)).toEqual(["freed", "open"])
  })

  test("that failed a step is opened anew once nobody has it, one that broke at once", async () => {
    const models: FakeModel[] = []
    const open = async () => {
      models.push(new FakeModel())
      return models.at(-1) as FakeModel
    }
    const app = serving(new FakeModel(), { open })
    const health = async () => answerOf(app.request("http://localhost/health") as Promise<Response>)
    await post(app, chat, body)
    models[0].work = untilAborted
    const abort = new AbortController()
    const slow = post(app, chat, { ...body, stream: true }, { signal: abort.signal })
    await (await slow).body?.getReader().read()
    models[0].health = "suspect"
    await post(app, "/tokenize", { prompt: "Hi" })
    expect(models.length).toBe(1)
    abort.abort()
    await expect.poll(() => app.service.numActive).toBe(0)
    expect((await post(app, chat, body)).status).toBe(200)
    expect(models.map((model) => model.state)).toEqual(["freed", "open"])
    models[1].health = "broken"
    expect(await health()).toEqual({ status: "ok", model: "failed", restarts: 1 })
    expect((await post(app, chat, body)).status).toBe(200)
    expect(await health()).toEqual({ status: "ok", model: "ready", restarts: 2 })
    expect(models.map((model) => model.state)).toEqual(["freed", "freed", "open"])
    expect(app.lines).toEqual(Array(2).fill("the model failed: it is opened anew"))
  })

  test("that failed to open is tried again at the next request", async () => {
    let numTries = 0
    const open = async () => {
      if (++numTries === 1) throw new UserError("out-of-memory", "no memory")
      return new FakeModel()
    }
    const app = serving(new FakeModel(), { open })
    expect((await post(app, chat, body)).status).toBe(503)
    expect((await post(app, chat, body)).status).toBe(200)
  })
})

describe("tokens", () => {
  test("of a text and of messages are counted and listed", async () => {
    const app = serving(new FakeModel())
    for (const field of ["prompt", "content"])
      expect(await answerOf(post(app, "/tokenize", { [field]: "hi" }))).toEqual({
        tokens: [104, 105],
        count: 2,
        max_model_len: 1000,
      })
    const { count } = await answerOf(post(app, "/tokenize", body))
    expect(count).toBe('user: "Hi"\n'.length)
  })

  test("become a text again, and unknown ones are refused", async () => {
    const app = serving(new FakeModel())
    const { prompt, content } = await answerOf(post(app, "/detokenize", { tokens: [104, 105] }))
    expect([prompt, content]).toEqual(["hi", "hi"])
    for (const tokens of [[999], [-1], [0.5], "hi"])
      expect((await post(app, "/detokenize", { tokens })).status).toBe(400)
  })
})

describe("metrics", () => {
  test("count what was done, under our names and vLLM's", async () => {
    const app = serving(new FakeModel({ says: ["a", "b", "c"] }))
    await post(app, chat, body)
    await post(app, chat, { ...body, temperature: -1 })
    const response = await app.request("http://localhost/metrics")
    expect(response.headers.get("content-type")).toContain("text/plain")
    const lines = (await response.text()).split("\n")
    const vllm = '{model_name="fake"}'
    expect(lines).toEqual(
      expect.arrayContaining([
        "a3b_prompt_tokens_total 11",
        `vllm:prompt_tokens_total${vllm} 11`,
        "a3b_cached_tokens_total 7",
        `vllm:prefix_cache_hits_total${vllm} 7`,
        `vllm:prefix_cache_queries_total${vllm} 11`,
        `vllm:generation_tokens_total${vllm} 5`,
        'a3b_replies_total{finished_reason="stop"} 1',
        'vllm:request_success_total{model_name="fake",finished_reason="stop"} 1',
        'a3b_failures_total{status="400"} 1',
        "a3b_requests_running 0",
        `vllm:num_requests_waiting${vllm} 0`,
        `vllm:kv_cache_usage_perc${vllm} 0`,
        "a3b_time_to_first_token_seconds_count 1",
        `vllm:inter_token_latency_seconds_count${vllm} 2`,
      ]),
    )
  })
})
