import { readFileSync } from "node:fs"
import type { ServerResponse } from "node:http"
import fc from "fast-check"
import { afterEach, describe, expect, test } from "vitest"
import { answering, events, json } from "../../test/answering-server.ts"
import type { AnsweringServer, Asked } from "../../test/answering-server.ts"
import { addEvent, emptyReply } from "../chat/reply.ts"
import type { Reply } from "../chat/reply.ts"
import type { ChatEvent, ChatModel, ChatRequest, Tool } from "../types.ts"
import type { Dialect } from "./dialect.ts"
import { remote } from "./remote.ts"
import type { RemoteOptions } from "./remote.ts"

let server: AnsweringServer | undefined
afterEach(() => server?.close())

async function serverThat(answer: (asked: Asked, response: ServerResponse) => void): Promise<string> {
  server = await answering(answer)
  return server.url
}

const tools: Tool[] = ["get_weather", "get_time"].map((name) => ({ type: "function", function: { name } }))
const messages: ChatRequest["messages"] = [{ role: "user", content: "2 + 2?" }]

async function eventsOf(model: ChatModel, request: Partial<ChatRequest> = {}): Promise<ChatEvent[]> {
  const all: ChatEvent[] = []
  for await (const event of model.chat({ messages, ...request })) all.push(event)
  return all
}

function replyOf(all: readonly ChatEvent[]): Reply {
  const reply = emptyReply()
  for (const event of all) addEvent(reply, event)
  return reply
}

const read = (dialect: string, file: string) =>
  readFileSync(new URL(`fixtures/${dialect}/${file}`, import.meta.url), "utf8")

/** Plays the transcripts of one server. */
function playing(dialect: string, pieceBytes?: number): Promise<string> {
  return serverThat(({ path, body }, response) => {
    const kind = body.tools ? "tools" : "thinking"
    if (path === "/v1/models") json(response, JSON.parse(read(dialect, "models.json")))
    else if (path !== "/v1/chat/completions") response.writeHead(404).end()
    else if (body.stream) void events(response, read(dialect, `${kind}.sse`), pieceBytes)
    else json(response, JSON.parse(read(dialect, `${kind}.json`)))
  })
}

const servers = ["vllm", "sglang", "llama-server", "openai"] as const satisfies readonly Dialect[]
/** OpenAI keeps its thoughts. */
const thoughts = { openai: "", vllm: "Two and two make four." }
const thoughtOf = (dialect: Dialect) => (dialect === "openai" ? thoughts.openai : thoughts.vllm)
/** Those that count the tokens of a thought. */
const counting: readonly Dialect[] = ["sglang", "openai"]

describe.each(servers)("a transcript of %s", (dialect) => {
  const usage = {
    promptTokens: 31,
    cachedTokens: 16,
    completionTokens: 21,
    reasoningTokens: counting.includes(dialect) ? 7 : 0,
    prefillMs: expect.any(Number),
    decodeMs: expect.any(Number),
  }

  test.each(["stream", "whole"] as const)("is a reply with thought and answer: %s", async (delivery) => {
    const model = remote(await playing(dialect), { delivery })
    expect(await model.identity()).toMatchObject({ dialect })
    expect(replyOf(await eventsOf(model))).toEqual({
      reasoning: thoughtOf(dialect),
      content: "It is 4 – surely.",
      toolCalls: [],
      usage,
      finishReason: "stop",
    })
  })

  test.each(["stream", "whole"] as const)("is a reply that calls two tools: %s", async (delivery) => {
    const reply = replyOf(await eventsOf(remote(await playing(dialect), { delivery }), { tools }))
    expect(reply).toEqual({
      reasoning: thoughtOf(dialect),
      content: "",
      toolCalls: [
        {
          id: expect.any(String),
          type: "function",
          function: { name: "get_weather", arguments: '{"city": "München"}' },
        },
        { id: expect.any(String), type: "function", function: { name: "get_time", arguments: "{}" } },
      ],
      usage,
      finishReason: "tool_calls",
    })
  })

  test("is the same events in whatever pieces it comes", async () => {
    const expected = await eventsOf(remote(await playing(dialect)), { tools })
    await server?.close()
    const pieces = await eventsOf(remote(await playing(dialect, 7)), { tools })
    const timeless = (all: ChatEvent[]) => all.filter(({ type }) => type !== "usage")
    expect(timeless(pieces)).toEqual(timeless(expected))
  })

  test("has deltas that make up each call", async () => {
    const all = await eventsOf(remote(await playing(dialect)), { tools })
    for (const call of all.filter((event) => event.type === "tool-call")) {
      const deltas = all.flatMap((event) =>
        event.type === "tool-call-delta" && event.index === call.index ? [event.arguments] : [],
      )
      expect(deltas.join("")).toBe(call.arguments)
    }
    expect(all.map(({ type }) => type).slice(-2)).toEqual(["usage", "finish"])
  })
})

test("times are llama-server's own", async () => {
  const { usage } = replyOf(await eventsOf(remote(await playing("llama-server"))))
  expect(usage).toMatchObject({ prefillMs: 250.5, decodeMs: 1400.25 })
})

describe("which server it is", () => {
  const models = (data: object[]) => ({ object: "list", data })

  test("is asked once, with its model and context", async () => {
    const model = remote(await playing("vllm"))
    await eventsOf(model)
    await eventsOf(model)
    expect(await model.identity()).toEqual({ dialect: "vllm", model: "Qwen/Qwen3-30B-A3B", context: 40_960 })
    const paths = server?.asked.map(({ method, path }) => `${method} ${path}`)
    expect(paths).toEqual(["GET /v1/models", "POST /v1/chat/completions", "POST /v1/chat/completions"])
  })

  test("is not asked where it is known", async () => {
    await eventsOf(remote(await playing("vllm"), { dialect: "vllm", model: "m" }))
    expect(server?.asked).toMatchObject([{ method: "POST", body: { model: "m" } }])
  })

  test.each<[Dialect, Record<string, object>]>([
    ["llama-server", { "/props": { default_generation_settings: { n_ctx: 4096 } } }],
    ["vllm", { "/version": { version: "0.11.0" } }],
    ["openai", {}],
  ])("is %s by its other paths, where the models have another owner", async (dialect, paths) => {
    const url = await serverThat(({ path }, response) => {
      if (path === "/v1/models") json(response, models([{ id: "m", owned_by: "someone" }]))
      else json(response, paths[path] ?? { detail: "Not Found" }, path in paths ? 200 : 404)
    })
    expect(await remote(`${url}/v1/`).identity()).toEqual({ dialect, model: "m", context: undefined })
  })

  test("is open where it has no list of models, and the model is named", async () => {
    const url = await serverThat((_, response) => json(response, { error: "no such path" }, 404))
    expect(await remote(`${url}/api`, { model: "m" }).identity()).toMatchObject({
      dialect: "openai",
      model: "m",
    })
    expect(server?.asked.map(({ path }) => path)).toEqual(["/api/models", "/api/props", "/api/version"])
  })

  test.each<[object[], RegExp]>([
    [[], /lists no model: name the one to talk with/],
    [[{ id: "a" }, { id: "b" }], /serves 2 models: name the one .*, one of a, b$/],
  ])("needs a model's name where there is not one: %j", async (data, message) => {
    const url = await serverThat((_, response) => json(response, models(data)))
    await expect(remote(url).identity()).rejects.toThrow(message)
  })
})

describe("a request in each dialect", () => {
  async function bodyOf(dialect: Dialect, request: Partial<ChatRequest>): Promise<Asked["body"]> {
    const url = await playing(dialect === "a3b" ? "vllm" : dialect)
    await eventsOf(remote(url, { dialect, model: "m", delivery: "whole" }), request)
    const { model, messages: sent, ...rest } = server?.asked.at(-1)?.body ?? {}
    expect(model).toBe("m")
    return "tools" in rest || request.messages ? { ...rest, messages: sent } : rest
  }

  const off = "off" as const
  test.each<[Dialect, ChatRequest["thinking"], object]>([
    ["vllm", off, { chat_template_kwargs: { enable_thinking: false } }],
    ["vllm", "on", { chat_template_kwargs: { enable_thinking: true } }],
    ["vllm", { budget: 9 }, { chat_template_kwargs: { enable_thinking: true }, thinking_token_budget: 9 }],
    ["sglang", off, { chat_template_kwargs: { enable_thinking: false } }],
    [
      "sglang",
      { budget: 9 },
      { chat_template_kwargs: { enable_thinking: true }, custom_params: { thinking_budget: 9 } },
    ],
    ["llama-server", off, { chat_template_kwargs: { enable_thinking: false } }],
    [
      "llama-server",
      { budget: 9 },
      {
        chat_template_kwargs: { enable_thinking: true },
        thinking_budget_tokens: 9,
        reasoning_budget_tokens: 9,
      },
    ],
    ["a3b", off, { thinking: "off" }],
    ["a3b", { budget: 9 }, { thinking: { budget: 9 } }],
    ["a3b", { budget: Infinity }, { thinking: "on" }],
    ["openai", off, { reasoning_effort: "none" }],
    ["openai", "on", { reasoning_effort: "high" }],
    ["openai", { budget: 0 }, { reasoning_effort: "none" }],
    ["openai", { budget: 512 }, { reasoning_effort: "minimal" }],
    ["openai", { budget: 513 }, { reasoning_effort: "low" }],
    ["openai", { budget: 8192 }, { reasoning_effort: "medium" }],
    ["openai", { budget: 8193 }, { reasoning_effort: "high" }],
    ["vllm", undefined, {}],
  ])("asks %s for thinking %j", async (dialect, thinking, fields) => {
    expect(await bodyOf(dialect, { thinking })).toEqual(fields)
  })

  const sampling = {
    temperature: 0.6,
    topK: 0,
    topP: 0.9,
    minP: 0.1,
    repetitionPenalty: 1.1,
    maxTokens: 5,
    seed: 3,
  }
  const common = { temperature: 0.6, top_k: -1, top_p: 0.9, min_p: 0.1, seed: 3 }
  test.each<[Dialect, object]>([
    ["vllm", { ...common, repetition_penalty: 1.1, max_tokens: 5 }],
    ["llama-server", { ...common, repeat_penalty: 1.1, max_tokens: 5 }],
    ["openai", { ...common, repetition_penalty: 1.1, max_completion_tokens: 5 }],
  ])("names for %s how to draw", async (dialect, fields) => {
    expect(await bodyOf(dialect, { sampling })).toEqual(fields)
  })

  test("tells a server how urgent it is, but for one that would refuse the field", async () => {
    expect(await bodyOf("vllm", { priority: -1 })).toEqual({ priority: -1 })
    expect(await bodyOf("openai", { priority: -1 })).toEqual({})
  })

  test("streams with usage, and stops where it is told", async () => {
    await eventsOf(remote(await playing("vllm")), { stop: ["x"] })
    expect(server?.asked.at(-1)?.body).toEqual({
      model: "Qwen/Qwen3-30B-A3B",
      messages,
      stop: ["x"],
      stream: true,
      stream_options: { include_usage: true },
    })
  })

  const named = { type: "function", function: { name: "get_time" } }
  test.each<[Dialect, object]>([
    ["vllm", { tools, tool_choice: named, parallel_tool_calls: false }],
    ["llama-server", { tools: [tools[1]], tool_choice: "required", parallel_tool_calls: false }],
  ])("asks %s for a call of one tool", async (dialect, fields) => {
    const body = await bodyOf(dialect, { tools, toolChoice: { name: "get_time" }, maxToolCalls: 1 })
    expect(body).toEqual({ ...fields, messages })
  })

  test("lets llama-server call several tools, as others do by themselves", async () => {
    expect(await bodyOf("llama-server", { tools })).toEqual({ tools, parallel_tool_calls: true, messages })
  })

  const history: ChatRequest["messages"] = [
    { role: "user", content: [{ type: "text", text: "Weather?" }] },
    {
      role: "assistant",
      reasoning_content: "hm",
      tool_calls: [
        { function: { name: "get_weather", arguments: { city: "Paris" } } },
        { id: "b", function: { name: "get_time", arguments: "{}" } },
      ],
    },
    { role: "tool", content: "sunny" },
    { role: "tool", content: "noon", tool_call_id: "b" },
  ]
  test.each<[Dialect, object]>([
    ["vllm", { reasoning_content: "hm", reasoning: "hm" }],
    ["sglang", { reasoning_content: "hm" }],
    ["openai", {}],
  ])("tells %s what was said before, with ids for calls that have none", async (dialect, thought) => {
    const call = (id: string, name: string, text: string) => ({
      id,
      type: "function",
      function: { name, arguments: text },
    })
    expect((await bodyOf(dialect, { messages: history })).messages).toEqual([
      history[0],
      {
        role: "assistant",
        content: null,
        ...thought,
        tool_calls: [call("call_0", "get_weather", '{"city":"Paris"}'), call("b", "get_time", "{}")],
      },
      { role: "tool", content: "sunny", tool_call_id: "call_0" },
      { role: "tool", content: "noon", tool_call_id: "b" },
    ])
  })

  test.each<[Dialect, Partial<ChatRequest>, RegExp]>([
    ["openai", { templateVariables: { a: 1 } }, /take variables for its template \(a\): .*dialect/],
    ["vllm", { thinking: { budget: -1 } }, /budget is -1: wanted a number/],
    ["vllm", { toolChoice: "required" }, /there are no tools: send tools/],
    ["llama-server", { tools, toolChoice: { name: "x" } }, /"x", which is none of the tools/],
  ])("is refused by %s where it has no word for it", async (dialect, request, message) => {
    await expect(
      eventsOf(remote("http://nowhere.invalid", { dialect, model: "m" }), request),
    ).rejects.toThrow(message)
  })
})

/** A reply as an odd server sends it: deltas in, events out. */
async function streamed(text: string, request: Partial<ChatRequest> = {}): Promise<ChatEvent[]> {
  const url = await serverThat((_, response) => void events(response, text))
  return eventsOf(remote(url, { dialect: "vllm", model: "m" }), request)
}

const chunk = (delta: object, finish: string | null = null, more: object = {}) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish, ...more }] })}\n\n`
const done = "data: [DONE]\n\n"

describe("a stream", () => {
  const expected = { reasoning: "hm", content: "Grüße!", finishReason: "stop" }
  const plain =
    chunk({ reasoning_content: "hm" }) + chunk({ content: "Grü" }) + chunk({ content: "ße!" }, "stop")

  test.each<[string, string]>([
    ["as it should be", plain + done],
    ["without the end that OpenAI writes", plain],
    ["with comments, which keep it alive", `: ping\n\n${plain.replaceAll("data", ": ping\n\ndata")}${done}`],
    ["with carriage returns", (plain + done).replaceAll("\n", "\r\n")],
    ["without a space after the colon", (plain + done).replaceAll("data: ", "data:")],
    ["with ids, types and fields that nobody knows", `id: 1\nevent: message\nfoo: bar\n${plain}${done}`],
    ["without the last empty line", (plain + done).trimEnd()],
    ["whose finish reason never comes", plain.replace('"stop"', "null") + done],
    ["with what follows its end", `${plain}${done}data: {"error": "late"}\n\n`],
  ])("%s is read", async (_, text) => {
    expect(replyOf(await streamed(text))).toMatchObject(expected)
  })

  test("is read in whatever pieces its bytes come", async () => {
    const bytes = Buffer.from(plain + done)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: bytes.length }), async (size) => {
        const url = await serverThat((_, response) => void events(response, plain + done, size))
        const all = await eventsOf(remote(url, { dialect: "vllm", model: "m" }))
        expect(replyOf(all)).toMatchObject(expected)
        await server?.close()
      }),
      { numRuns: 10, seed: 1 },
    )
  })

  test.each<[string, string, RegExp]>([
    ["breaks off", chunk({ content: "a" }), /broke off in the middle of its reply/],
    [
      "fails",
      `${chunk({ content: "a" })}data: {"error": {"message": "out of memory"}}\n\n`,
      /\(out of memory\)/,
    ],
    ["fails as llama-server's does", `error: {"message": "slot lost"}\n\n`, /\(slot lost\)/],
    ["fails as older vLLM's does", `data: {"object": "error", "message": "no room"}\n\n`, /\(no room\)/],
    ["is no JSON", "data: oops\n\n", /event that is no JSON object \(oops\)/],
  ])("that %s is told of by its address", async (_, text, message) => {
    const outcome = streamed(text)
    await expect(outcome).rejects.toMatchObject({ code: "network" })
    await expect(outcome).rejects.toThrow(message)
    await expect(outcome).rejects.toThrow(/^http:\/\/127\.0\.0\.1:\d+\/v1 /)
  })

  test("whose connection breaks is told of, after the events that came", async () => {
    const url = await serverThat((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.write(chunk({ content: "a" }), () => setTimeout(() => response.destroy(), 10))
    })
    const seen: ChatEvent[] = []
    const read = async () => {
      for await (const event of remote(url, { dialect: "vllm", model: "m" }).chat({ messages }))
        seen.push(event)
    }
    await expect(read()).rejects.toMatchObject({ code: "network", kind: "passing" })
    expect(seen).toEqual([{ type: "content", text: "a" }])
  })

  test("says what ended it", async () => {
    const all = await streamed(chunk({ content: "a" }, "stop", { stop_reason: "###" }) + done, {
      stop: ["###"],
    })
    expect(all.at(-1)).toEqual({ type: "finish", reason: "stop", stopString: "###" })
    const cut = await streamed(chunk({ content: "a" }, "length", { matched_stop: 7 }) + done)
    expect(cut.at(-1)).toEqual({ type: "finish", reason: "length" })
    const odd = await streamed(chunk({ content: "a" }, "content_filter") + done)
    expect(odd.at(-1)).toMatchObject({
      reason: "stop",
      diagnostic: "the server ended the reply: content_filter",
    })
  })

  test.each<[string, object[], string]>([
    ["nothing", [], "the reply is empty"],
    ["nothing but a thought", [{ reasoning: "hm" }], "the reply ended inside its thinking"],
    ["nothing but space", [{ content: " \n" }], "the reply is empty"],
  ])("of %s is told of", async (_, deltas, diagnostic) => {
    const all = await streamed(deltas.map((delta) => chunk(delta)).join("") + chunk({}, "stop") + done)
    expect(all.at(-1)).toEqual({ type: "finish", reason: "stop", diagnostic })
  })

  test("without usage has no event that says so", async () => {
    expect((await streamed(plain + done)).map(({ type }) => type)).toEqual([
      "reasoning",
      "content",
      "content",
      "finish",
    ])
  })
})

describe("text of a server that reads no thoughts and calls", () => {
  test("is split by our own reader", async () => {
    const call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    const pieces = ["<thi", "nk>\nhm\n</think>", "\n\nOne moment.\n", call.slice(0, 20), call.slice(20)]
    const all = await streamed(
      pieces.map((content) => chunk({ content })).join("") + chunk({}, "stop") + done,
      { tools },
    )
    expect(replyOf(all)).toMatchObject({
      reasoning: "hm",
      content: "One moment.",
      toolCalls: [{ function: { name: "get_weather", arguments: '{"city": "Paris"}' } }],
      finishReason: "tool_calls",
    })
  })

  test("with a thought that has no beginning is content, and that is said", async () => {
    const reply = replyOf(await streamed(chunk({ content: "hm\n</think>\n\nYes." }, "stop") + done))
    expect(reply.content).toContain("Yes.")
    expect(reply.diagnostic).toMatch(/a thought ended that had not begun/)
  })

  test("before a call that the server reads keeps its place and its own numbers", async () => {
    const call = (index: number, name: string) => ({ index, id: name, function: { name, arguments: "{}" } })
    const all = await streamed(
      chunk({ content: "<think>\nhm\n</think>\n\n" }) +
        chunk({ tool_calls: [call(0, "get_time")] }, "stop") +
        done,
      { tools },
    )
    expect(all).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "tool-call-start", index: 0, id: "get_time", name: "get_time" },
      { type: "tool-call-delta", index: 0, arguments: "{}" },
      { type: "tool-call", index: 0, id: "get_time", name: "get_time", arguments: "{}" },
      { type: "finish", reason: "tool_calls" },
    ])
  })
})

describe("tool calls", () => {
  const callsOf = async (deltas: object[], request: Partial<ChatRequest> = {}) => {
    const text = deltas.map((delta) => chunk({ tool_calls: [delta] })).join("")
    const all = await streamed(text + chunk({}, "tool_calls") + done, { tools, ...request })
    return replyOf(all).toolCalls.map(({ function: called }) => [called.name, called.arguments])
  }
  const piece = (name: string | null, text: unknown, more: object = {}) => ({
    ...more,
    function: { name, arguments: text },
  })
  const two = [
    ["get_weather", '{"city": "Paris"}'],
    ["get_time", "{}"],
  ]

  test.each<[string, object[]]>([
    [
      "without numbers",
      [
        piece("get_weather", "", { id: "a" }),
        piece(null, '{"city": '),
        piece(null, '"Paris"}'),
        piece("get_time", "", { id: "b" }),
      ],
    ],
    [
      "all numbered 0",
      [
        piece("get_weather", two[0][1], { id: "a", index: 0 }),
        piece("get_time", "{}", { id: "b", index: 0 }),
      ],
    ],
    [
      "with the name in every piece",
      [
        piece("get_weather", '{"city": ', { index: 0, id: "a" }),
        piece("get_weather", '"Paris"}', { index: 0, id: "a2" }),
        piece("get_weather", "", { index: 0, id: "a3" }),
        piece("get_time", "{}", { index: 1, id: "b" }),
      ],
    ],
    ["without ids or numbers", [piece("get_weather", two[0][1]), piece("get_time", "{}")]],
    [
      "whose name comes late",
      [
        piece(null, '{"city": ', { index: 0, id: "a" }),
        piece("get_weather", '"Paris"}', { index: 0 }),
        piece("get_time", null, { index: 1 }),
      ],
    ],
  ])("%s are told apart", async (_, deltas) => {
    expect(await callsOf(deltas)).toEqual(two)
  })

  test("with arguments as an object are text", async () => {
    expect(await callsOf([piece("get_weather", { city: "Paris" })])).toEqual([
      ["get_weather", '{"city":"Paris"}'],
    ])
  })

  test("beyond those that are allowed are left out, and the connection is closed", async () => {
    let closed: Promise<void> | undefined
    const url = await serverThat((_, response) => {
      closed = new Promise((resolve) => response.on("close", resolve))
      response.writeHead(200, { "content-type": "text/event-stream" })
      for (const index of [0, 1]) response.write(chunk({ tool_calls: [piece("get_time", "{}", { index })] }))
    })
    const model = remote(url, { dialect: "vllm", model: "m" })
    const reply = replyOf(await eventsOf(model, { tools, maxToolCalls: 1 }))
    expect(reply).toMatchObject({
      toolCalls: [{ function: { name: "get_time" } }],
      finishReason: "tool_calls",
    })
    await closed
  })

  test("that make no sense are told of", async () => {
    await expect(callsOf([piece(null, "{}")])).rejects.toThrow(/a tool call without a name/)
    const late = [
      piece("get_time", "{}", { index: 0 }),
      piece("get_time", "{}", { index: 1 }),
      piece(null, "x", { index: 0 }),
    ]
    await expect(callsOf(late)).rejects.toThrow(/went on with a call of get_time after the next one/)
    const all = await streamed(chunk({ tool_calls: [piece("get_time", "{oops")] }, "stop") + done, { tools })
    expect(replyOf(all).diagnostic).toBe("the arguments of get_time are no JSON object")
  })
})

describe("a server that refuses", () => {
  async function refused(status: number, body: unknown, options: RemoteOptions = {}): Promise<unknown> {
    const url = await serverThat((_, response) => json(response, body, status))
    return eventsOf(remote(url, { dialect: "vllm", model: "m", ...options })).catch((error: unknown) => error)
  }

  test.each<[number, unknown, string, RegExp]>([
    [
      401,
      { error: { message: "no key" } },
      "permission",
      /answered 401 \(no key\): give the key .*A3B_API_KEY/,
    ],
    [404, { error: "no model m" }, "not-found", /answered 404 \(no model m\): check the URL/],
    [
      400,
      { object: "error", message: "top_k must be" },
      "bad-request",
      /\(top_k must be\): change the request/,
    ],
    [422, { detail: [{ msg: "Field required" }] }, "bad-request", /\(Field required\)/],
    [
      400,
      { error: { type: "exceed_context_size_error", message: "the request exceeds" } },
      "context-exceeded",
      /shorten the conversation/,
    ],
    [
      400,
      { message: "This model's maximum context length is 4096 tokens." },
      "context-exceeded",
      /4096 tokens/,
    ],
    [429, "slow down", "network", /answered 429 .*: try again later/],
    [503, {}, "network", /answered 503/],
  ])("with %d says why, and what to do", async (status, body, code, message) => {
    const error = await refused(status, body)
    expect(error).toMatchObject({ code, kind: code === "network" ? "passing" : "final" })
    expect(String(error)).toMatch(message)
  })

  test("is not sent keys that cannot be keys, and no message repeats one", async () => {
    const apiKey = "sk-very-secret"
    const error = await refused(401, { error: { message: `Incorrect key ${apiKey}` } }, { apiKey })
    expect(server?.asked[0].authorization).toBe(`Bearer ${apiKey}`)
    expect(String(error)).toContain("Incorrect key ***")
    const wrong = () => remote("http://localhost", { apiKey: "sk-very\nsecret" })
    expect(wrong).toThrow(/characters that no key has/)
    expect(wrong).not.toThrow(/very/)
  })

  test.each([
    ["localhost:8000", /is no address of a server/],
    ["ftp://host", /is no address of a server/],
    ["http://me:secret@host/v1", /^the address of host has a name or password in it/],
  ])("is not even asked at %s", (url, message) => {
    expect(() => remote(url)).toThrow(message)
  })

  test("sends a page in place of a reply", async () => {
    const url = await serverThat((_, response) => response.end("<html>"))
    await expect(eventsOf(remote(url, { dialect: "vllm", model: "m" }))).rejects.toThrow(
      /no JSON object \(<html>\): check the URL/,
    )
  })

  test("sends more than any reply is long", async () => {
    const url = await serverThat((_, response) => response.end("a".repeat((1 << 24) + 1)))
    await expect(eventsOf(remote(url, { dialect: "vllm", model: "m" }))).rejects.toThrow(
      /sent more than 16,777,216 characters/,
    )
  })

  test("or is not there is told of by its address, without what may be secret", async () => {
    const url = await playing("vllm")
    await server?.close()
    const error = await eventsOf(remote(`${url}/v1?token=secret`)).catch((failure: unknown) => failure)
    expect(error).toMatchObject({ code: "network" })
    expect(String(error)).toMatch(
      /\/v1 failed: fetch failed \(.*ECONNREFUSED.*\): check that the server runs/,
    )
    expect(String(error)).not.toContain("secret")
  })
})

describe("a reply that is aborted", () => {
  const begins = () => {
    let closed: Promise<void> | undefined
    const url = serverThat((_, response) => {
      closed = new Promise((resolve) => response.on("close", resolve))
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.write(chunk({ content: "a" }))
    })
    return { url, closed: () => closed }
  }

  test("throws that it was, and closes the connection", async () => {
    const { url, closed } = begins()
    const controller = new AbortController()
    const model = remote(await url, { dialect: "vllm", model: "m" })
    const read = async () => {
      for await (const _ of model.chat({ messages, signal: controller.signal })) controller.abort()
    }
    await expect(read()).rejects.toMatchObject({ name: "UserError", code: "cancelled" })
    await closed()
  })

  test("by whoever stops reading closes the connection", async () => {
    const { url, closed } = begins()
    for await (const _ of remote(await url, { dialect: "vllm", model: "m" }).chat({ messages })) break
    await closed()
  })

  test("before it began is not asked for", async () => {
    const signal = AbortSignal.abort()
    const model = remote(await playing("vllm"))
    await expect(eventsOf(model, { signal })).rejects.toMatchObject({ code: "cancelled" })
    expect(server?.asked).toEqual([])
  })
})
