import { describe, expect, test } from "vitest"
import { FakeModel } from "../../../test/fake-model.ts"
import type { FakeOptions } from "../../../test/fake-model.ts"
import { answerOf, post, serving } from "../../../test/serving.ts"
import type { Answer } from "../../../test/serving.ts"
import type { ChatRequest } from "../../types.ts"

const messages = [{ role: "user", content: "Hi" }]
const tools = [{ name: "add", input_schema: { type: "object" } }]

async function requestOf(body: object, options: FakeOptions = {}): Promise<ChatRequest> {
  const model = new FakeModel(options)
  const response = await post(serving(model), "/v1/messages", { max_tokens: 9, messages, ...body })
  expect(response.status).toBe(200)
  return model.requests[0] as ChatRequest
}

describe("thinking", () => {
  test.each<[string, object, ChatRequest["thinking"]]>([
    ["is off where nothing is said", {}, "off"],
    ["has its budget", { thinking: { type: "enabled", budget_tokens: 1024 } }, { budget: 1024 }],
    ["goes on as long as it likes", { thinking: { type: "adaptive" } }, "on"],
    ["is off", { thinking: { type: "disabled" } }, "off"],
  ])("%s", async (_, body, thinking) => {
    expect((await requestOf(body)).thinking).toEqual(thinking)
  })

  test("is left to a model that has one mode only", async () => {
    expect((await requestOf({}, { family: "thinking" })).thinking).toBeUndefined()
    expect((await requestOf({}, { family: "plain" })).thinking).toBeUndefined()
  })
})

test("tools are chosen as asked for", async () => {
  const shown = [{ type: "function", function: { name: "add", parameters: { type: "object" } } }]
  const choose = (tool_choice: object) => requestOf({ tools, tool_choice })
  expect((await requestOf({ tools })).tools).toEqual(shown)
  expect((await choose({ type: "none" })).tools).toBeUndefined()
  expect((await choose({ type: "any" })).toolChoice).toBe("required")
  expect((await choose({ type: "auto", disable_parallel_tool_use: true })).maxToolCalls).toBe(1)
  expect((await choose({ type: "tool", name: "add" })).toolChoice).toEqual({ name: "add" })
})

test("blocks of a turn become messages in the order the template wants", async () => {
  const content = [
    { type: "text", text: "And?" },
    {
      type: "tool_result",
      tool_use_id: "t1",
      content: [{ type: "text", text: "no such city" }],
      is_error: true,
    },
  ]
  const request = await requestOf({
    system: [{ type: "text", text: "Be brief." }],
    messages: [{ role: "user", content }],
  })
  expect(request.messages).toEqual([
    { role: "system", content: "Be brief." },
    { role: "tool", tool_call_id: "t1", content: "Error: no such city" },
    { role: "user", content: "And?" },
  ])
})

test("a stop sequence is told apart from the end of a turn", async () => {
  const app = serving(new FakeModel({ says: ["one two", " three"] }))
  const ask = (more: object) => answerOf(post(app, "/v1/messages", { max_tokens: 9, messages, ...more }))
  const stopped = await ask({ stop_sequences: ["two"] })
  expect(stopped).toMatchObject({
    stop_reason: "stop_sequence",
    stop_sequence: "two",
    content: [{ text: "one " }],
  })
  expect(await ask({})).toMatchObject({ stop_reason: "end_turn", stop_sequence: null })
})

test("arguments that broke off are handed over as they are", async () => {
  const says = ['<tool_call>\n{"name": "add", "arguments": {"a": 1']
  const app = serving(new FakeModel({ says, reason: "length" }))
  const answer = await answerOf(post(app, "/v1/messages", { max_tokens: 9, messages, tools }))
  expect(answer).toMatchObject({
    stop_reason: "max_tokens",
    content: [{ type: "tool_use", name: "add", input: { invalid: '{"a": 1' } }],
  })
})

test("what cannot be done is refused in Anthropic's form, with the field's name", async () => {
  const refusal = async (body: object): Promise<Answer> => {
    const response = await post(serving(new FakeModel()), "/v1/messages", {
      max_tokens: 9,
      messages,
      ...body,
    })
    expect(response.status).toBe(400)
    return answerOf(response)
  }
  const image = [{ role: "user", content: [{ type: "image", source: {} }] }]
  for (const [field, body] of [
    ["max_tokens", { max_tokens: 0 }],
    ["messages[0].content", { messages: image }],
    ["tools[0].input_schema", { tools: [{ name: "x" }] }],
    ["tool_choice", { tool_choice: { type: "any" } }],
  ] as const)
    expect(await refusal(body)).toEqual({
      type: "error",
      error: { type: "invalid_request_error", message: expect.stringContaining(field) },
    })
})
