import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { FakeModel, fakeUsage } from "../../../test/fake-model.ts"
import type { FakeOptions } from "../../../test/fake-model.ts"
import { answerOf, eventsIn, jsonEventsOf, post, serving } from "../../../test/serving.ts"
import type { Answer } from "../../../test/serving.ts"
import type { ChatRequest } from "../../types.ts"

const messages = [{ role: "user", content: "How many?" }]
const tools = [{ type: "function", function: { name: "add", parameters: { type: "object" } } }]

function asked(options: FakeOptions, body: object) {
  const model = new FakeModel(options)
  const response = post(serving(model), "/v1/chat/completions", { messages, ...body })
  return { model, response }
}

async function requestOf(body: object): Promise<ChatRequest> {
  const { model, response } = asked({}, body)
  expect((await response).status).toBe(200)
  return model.requests[0] as ChatRequest
}

async function refusalOf(body: object): Promise<Answer> {
  const { model, response } = asked({}, body)
  const { status } = await response
  expect({ status, asked: model.requests.length }).toEqual({ status: 400, asked: 0 })
  return (await answerOf(response)).error
}

/** The message that a client makes of the chunks. */
function joined(chunks: readonly Answer[]) {
  const message = {
    reasoning: "",
    content: "",
    calls: [] as { id: string; name: string; arguments: string }[],
  }
  for (const { choices } of chunks) {
    const { delta } = choices[0] ?? { delta: {} }
    message.reasoning += String(delta.reasoning_content ?? "")
    message.content += String(delta.content ?? "")
    for (const { index, id, function: called } of delta.tool_calls ?? []) {
      const at = Number(index)
      message.calls[at] ??= { id: String(id), name: String(called.name), arguments: "" }
      message.calls[at].arguments += String(called.arguments)
    }
  }
  return message
}

describe("an answer in one piece", () => {
  test("has thought, content and usage in OpenAI's form", async () => {
    const says = ["<think>", "\nLet me see.", "\n</think>", "\n\nThere are 23."]
    const answer = await answerOf(asked({ says }, {}).response)
    expect(answer).toEqual({
      id: expect.stringMatching(/^chatcmpl-/),
      object: "chat.completion",
      created: expect.closeTo(Date.now() / 1000, -1),
      model: "fake",
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: "There are 23.",
            refusal: null,
            reasoning_content: "Let me see.",
            reasoning: "Let me see.",
          },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: {
        prompt_tokens: 11,
        completion_tokens: 5,
        total_tokens: 16,
        prompt_tokens_details: { cached_tokens: 7 },
        completion_tokens_details: { reasoning_tokens: 2 },
      },
    })
  })

  test("has tool calls, and no content where there is none", async () => {
    const says = ['<tool_call>\n{"name": "add", "arguments": {"a": 3}}\n</tool_call>']
    const { choices } = await answerOf(asked({ says }, { tools }).response)
    expect(choices[0].finish_reason).toBe("tool_calls")
    expect(choices[0].message).toEqual({
      role: "assistant",
      content: null,
      refusal: null,
      tool_calls: [
        {
          id: expect.stringMatching(/^call_/),
          type: "function",
          function: { name: "add", arguments: '{"a": 3}' },
        },
      ],
    })
  })

  test("has as many choices as asked for, each with a seed of its own, and the prompt counted once", async () => {
    const { model, response } = asked({}, { n: 3, seed: 7 })
    const { choices, usage } = await answerOf(response)
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(usage).toMatchObject({ prompt_tokens: 11, completion_tokens: 15, total_tokens: 26 })
    expect((model.requests as ChatRequest[]).map(({ sampling }) => sampling?.seed)).toEqual([7, 8, 9])
  })

  test("says what is odd about it", async () => {
    const { choices } = await answerOf(asked({ says: ["<think>", "Hm"], reason: "length" }, {}).response)
    expect(choices[0]).toMatchObject({
      message: { content: "" },
      finish_reason: "length",
      diagnostic: "the reply ended inside its thinking",
    })
  })
})

describe("an answer in chunks", () => {
  test("begins with the role, ends with a reason and [DONE]", async () => {
    const { response } = asked({ says: ["He", "llo."] }, { stream: true })
    expect((await response).headers.get("content-type")).toBe("text/event-stream; charset=utf-8")
    const data = eventsIn(await (await response).text())
    expect(data.pop()).toBe("[DONE]")
    const chunks = data.map((text) => JSON.parse(text) as Answer)
    const [first, ...rest] = chunks.map(({ choices }) => choices[0])
    expect(first.delta).toEqual({ role: "assistant", content: "" })
    expect(rest.map(({ delta }) => delta)).toEqual([{ content: "He" }, { content: "llo." }, {}])
    expect(rest.map(({ finish_reason }) => finish_reason)).toEqual([null, null, "stop"])
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
  })

  test("has the usage in a chunk of its own where it is asked for", async () => {
    const chunks = await jsonEventsOf(
      asked({}, { stream: true, stream_options: { include_usage: true } }).response,
    )
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: fakeUsage.promptTokens } })
    expect(chunks.slice(0, -1).some((chunk) => "usage" in chunk)).toBe(false)
  })

  test("tells the choices apart", async () => {
    const chunks = await jsonEventsOf(asked({ says: ["a", "b"] }, { stream: true, n: 2 }).response)
    for (const index of [0, 1]) {
      const own = chunks.filter(({ choices }) => (choices[0].index as unknown) === index)
      expect(joined(own).content).toBe("ab")
    }
  })

  test("ends with an error where the model fails after it began", async () => {
    const says = () => {
      throw new TypeError("cannot read /etc/secret")
    }
    const model = new FakeModel({ says })
    model.work = () => new Promise((resolve) => setTimeout(resolve, 5))
    const broken = Object.assign(model, {
      chat: async function* () {
        await model.work()
        says()
      },
    })
    const app = serving(broken)
    const response = await post(app, "/v1/chat/completions", { messages, stream: true })
    expect(response.status).toBe(200)
    const [, failure] = await jsonEventsOf(response)
    expect(failure.error).toMatchObject({ type: "server_error", code: "internal_error" })
    expect(JSON.stringify(failure)).not.toContain("secret")
    expect(app.lines).toEqual([expect.stringMatching(/^req_\w+ POST \S+ 500: cannot read \/etc\/secret$/)])
  })
})

describe("every split of a reply", () => {
  const golden = [
    "<think>\nThe user wants 3 + 4.\n</think>\n\nIt is 7, said the owl: \u{1f989}.",
    '<think>\nA call.\n</think>\n\nOne moment.\n<tool_call>\n{"name": "add", "arguments": {"a": 30, "s": "}}\\" <x>"}}\n</tool_call>',
    '<tool_call>\n{"name": "add", "arguments": {"a": {"b": [1, true]}}}\n</tool_call>\n<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>',
    "x < y and <tool_ call> is no tag\n\n",
    '<think>\nForgot to end.\n<tool_call>\n{"name": "add", "arguments": {"a": 0}}\n</tool_call>',
  ]

  let says: readonly string[] = []
  const app = serving(new FakeModel({ says: () => says }))
  const ask = (body: object) => post(app, "/v1/chat/completions", { messages, tools, ...body })

  async function whole(pieces: readonly string[]) {
    says = pieces
    const { choices } = await answerOf(ask({}))
    const { message, finish_reason } = choices[0]
    const calls = (message.tool_calls ?? []).map(({ function: called }) => called)
    const reasoning = message.reasoning_content ?? ""
    return { reasoning, content: message.content ?? "", calls, finish_reason }
  }

  async function streamed(pieces: readonly string[]) {
    says = pieces
    const chunks = await jsonEventsOf(ask({ stream: true }))
    const { reasoning, content, calls } = joined(chunks)
    const withoutIds = calls.map(({ name, arguments: text }) => ({ name, arguments: text }))
    return { reasoning, content, calls: withoutIds, finish_reason: chunks.at(-1)?.choices[0].finish_reason }
  }

  test.each(golden)("concatenates to the final message: %j", async (reply) => {
    const final = await whole([reply])
    for (let at = 1; at < reply.length; at++)
      expect(await streamed([reply.slice(0, at), reply.slice(at)])).toEqual(final)
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: reply.length - 1 }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        const ends = [...places.sort((a, b) => a - b), reply.length]
        const pieces = ends.map((end, i) => reply.slice(i === 0 ? 0 : ends[i - 1], end))
        expect(await streamed(pieces)).toEqual(final)
        expect(await whole(pieces)).toEqual(final)
      }),
      { numRuns: 15 },
    )
  })
})

describe("what a request says", () => {
  test("reaches the model under its own names", async () => {
    const request = await requestOf({
      temperature: 0.5,
      top_p: 0.9,
      top_k: -1,
      min_p: 0.1,
      presence_penalty: 1,
      frequency_penalty: -1,
      repetition_penalty: 1.1,
      seed: 5,
      logit_bias: { 7: -100 },
      max_completion_tokens: 9,
      max_tokens: 8,
      stop: "END",
      chat_template_kwargs: { enable_thinking: false },
    })
    expect(request.sampling).toEqual({
      temperature: 0.5,
      topP: 0.9,
      topK: 0,
      minP: 0.1,
      presencePenalty: 1,
      frequencyPenalty: -1,
      repetitionPenalty: 1.1,
      seed: 5,
      logitBias: { 7: -100 },
      maxTokens: 9,
    })
    expect(request).toMatchObject({ stop: ["END"], templateVariables: { enable_thinking: false } })
    expect(request.thinking).toBeUndefined()
  })

  test("leaves to the checkpoint what it does not say", async () => {
    expect((await requestOf({ temperature: null, stop: null })).sampling).toEqual({})
  })

  test.each([
    [{ thinking: "off" }, "off"],
    [{ thinking: { budget: 100 } }, { budget: 100 }],
    [{ thinking: { type: "disabled" } }, "off"],
    [{ thinking: { type: "enabled", budget_tokens: 9 } }, { budget: 9 }],
    [{ enable_thinking: false }, "off"],
    [{ enable_thinking: true }, "on"],
    [{ enable_thinking: true, thinking_budget: 50 }, { budget: 50 }],
    [{ reasoning_effort: "none" }, "off"],
    [{ reasoning_effort: "low" }, { budget: 2048 }],
    [{ reasoning_effort: "high" }, "on"],
  ])("%j is thinking %j", async (body, thinking) => {
    expect((await requestOf(body)).thinking).toEqual(thinking)
  })

  test("is the same for all forms of a message", async () => {
    const call = { id: "c1", type: "function", function: { name: "add", arguments: '{"a": 1}' } }
    const request = await requestOf({
      messages: [
        { role: "developer", content: [{ type: "text", text: "Be brief." }] },
        { role: "user", content: "3 + 4?" },
        { role: "assistant", content: null, reasoning: "A sum.", tool_calls: [call] },
        { role: "tool", tool_call_id: "c1", content: "7" },
      ],
    })
    expect(request.messages).toEqual([
      { role: "system", content: [{ type: "text", text: "Be brief." }] },
      { role: "user", content: "3 + 4?" },
      { role: "assistant", content: undefined, reasoning_content: "A sum.", tool_calls: [call] },
      { role: "tool", content: "7", tool_call_id: "c1" },
    ])
  })

  test("chooses tools", async () => {
    const { tools: shown, ...auto } = await requestOf({ tools })
    expect(shown).toEqual(tools)
    expect([auto.toolChoice, auto.maxToolCalls]).toEqual([undefined, undefined])
    expect((await requestOf({ tools, tool_choice: "none" })).tools).toBeUndefined()
    expect((await requestOf({ tools, tool_choice: "required" })).toolChoice).toBe("required")
    expect((await requestOf({ tools, parallel_tool_calls: false })).maxToolCalls).toBe(1)
    const named = { type: "function", function: { name: "add" } }
    const request = await requestOf({ tools, tool_choice: named })
    expect(request).toMatchObject({ toolChoice: { name: "add" }, maxToolCalls: 1 })
  })

  test("shows tools of equal meaning as equal", async () => {
    const odd = { function: { parameters: { type: "object" }, x: 1, name: "add" }, type: "function" }
    expect(JSON.stringify((await requestOf({ tools: [odd] })).tools)).toBe(JSON.stringify(tools))
  })

  test("says of each tool how strictly its calls are kept to it", async () => {
    const of = async (path: string, tool: object) => {
      const model = new FakeModel()
      await post(serving(model), path, { messages, input: messages, max_tokens: 9, tools: [tool] })
      return (model.requests[0] as ChatRequest).tools?.[0].function.strict
    }
    for (const strict of [true, false, undefined]) {
      const name = "add"
      const all = [
        await of("/v1/chat/completions", { type: "function", function: { name, strict } }),
        await of("/v1/responses", { type: "function", name, strict }),
        await of("/v1/messages", { name, input_schema: {}, strict }),
      ]
      expect(all).toEqual([strict, strict, strict])
    }
  })
})

describe("what cannot be done is refused with the field's name", () => {
  test.each<[string, object]>([
    ["messages", { messages: [] }],
    ["messages[0].role", { messages: [{ role: "robot", content: "x" }] }],
    [
      "messages[0].content",
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
    ],
    ["temperature", { temperature: -1 }],
    ["top_p", { top_p: 0 }],
    ["n", { n: 0 }],
    ["max_tokens", { max_tokens: 1.5 }],
    ["stop", { stop: 5 }],
    ["logit_bias.x", { logit_bias: { x: 1 } }],
    ["priority", { priority: 0.5 }],
    ["top_logprobs", { top_logprobs: 3 }],
    ["top_logprobs", { logprobs: true, top_logprobs: 21 }],
    ["response_format.type", { response_format: { type: "grammar" } }],
    ["response_format.schema", { response_format: { type: "json_schema" } }],
    ["response_format.json_schema.schema", { response_format: { type: "json_schema", json_schema: {} } }],
    ["guided_grammar", { guided_grammar: "root ::= a" }],
    ["guided_json", { guided_json: "{" }],
    ["structured_outputs.regex", { structured_outputs: { regex: "(a" } }],
    ["functions", { functions: [] }],
    ["tools[0].function.name", { tools: [{ type: "function", function: {} }] }],
    ["tools[0].type", { tools: [{ type: "web_search" }] }],
    ["tool_choice", { tool_choice: "required" }],
    ["tool_choice", { tools, tool_choice: { type: "function", function: { name: "sub" } } }],
    ["thinking_budget", { enable_thinking: false, thinking_budget: 5 }],
  ])("%s", async (param, body) => {
    const error = await refusalOf(body)
    expect(error).toMatchObject({ type: "invalid_request_error", param })
    expect(error.message).toContain(param)
  })
})

describe("the form of the content", () => {
  const schema = { type: "object", properties: { a: { type: "integer" } } }

  test.each<[string, object, object]>([
    [
      "of OpenAI",
      { response_format: { type: "json_schema", json_schema: { name: "n", strict: true, schema } } },
      { type: "json_schema", schema },
    ],
    ["of any object", { response_format: { type: "json_object" } }, { type: "json_object" }],
    ["of vLLM", { guided_json: JSON.stringify(schema) }, { type: "json_schema", schema }],
    ["of vLLM's patterns", { guided_regex: "a+" }, { type: "regex", pattern: "a+" }],
    ["of vLLM's choices", { guided_choice: ["a.b", "c"] }, { type: "regex", pattern: "a\\.b|c" }],
    ["of vLLM's newer names", { structured_outputs: { json: schema } }, { type: "json_schema", schema }],
  ])("%s reaches the model", async (_, body, responseFormat) => {
    expect(await requestOf(body)).toMatchObject({ responseFormat })
  })

  test("is none where none is asked for", async () => {
    expect((await requestOf({ response_format: { type: "text" } })).responseFormat).toBeUndefined()
  })

  test("is refused with the path of what is wrong in it", async () => {
    const wrong = { type: "object", properties: { a: { anyOf: [{ type: "int" }] } } }
    const refusal = await refusalOf({
      response_format: { type: "json_schema", json_schema: { schema: wrong } },
    })
    expect(refusal).toMatchObject({
      param: "response_format.json_schema.schema",
      message: expect.stringContaining("response_format.json_schema.schema.properties.a.anyOf[0].type is"),
    })
  })
})

describe("log probabilities", () => {
  const token = (text: string) => ({
    token: text,
    logprob: -Math.LN2,
    bytes: [...new TextEncoder().encode(text)],
  })
  test("come in one piece as in a stream", async () => {
    const body = { logprobs: true, top_logprobs: 2 }
    const says = ["Es", " über"]
    const expected = says.map((text) => ({ ...token(text), top_logprobs: [token(text), token(text)] }))
    const { choices } = await answerOf(asked({ says }, body).response)
    expect(choices[0].logprobs).toEqual({ content: expected, refusal: null })
    const chunks = await jsonEventsOf(asked({ says }, { ...body, stream: true }).response)
    const streamed = chunks.flatMap(
      ({ choices: [choice] }) => (choice?.logprobs as Answer | null)?.content ?? [],
    )
    expect(streamed).toEqual(expected)
  })

  test("are of as many other tokens as asked for, and of none where that is not said", async () => {
    expect((await requestOf({ logprobs: true })).logprobs).toBe(0)
    expect((await requestOf({ logprobs: true, top_logprobs: 20 })).logprobs).toBe(20)
    expect((await requestOf({})).logprobs).toBeUndefined()
  })
})
