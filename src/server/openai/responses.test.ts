import { describe, expect, test } from "vitest"
import { FakeModel } from "../../../test/fake-model.ts"
import type { FakeOptions } from "../../../test/fake-model.ts"
import { answerOf, jsonEventsOf, post, serving } from "../../../test/serving.ts"
import type { ChatRequest } from "../../types.ts"

async function requestOf(body: object): Promise<ChatRequest> {
  const model = new FakeModel()
  const response = await post(serving(model), "/v1/responses", body)
  expect(response.status).toBe(200)
  return model.requests[0] as ChatRequest
}

const ask = (options: FakeOptions, body: object) =>
  post(serving(new FakeModel(options)), "/v1/responses", { input: "Hi", ...body })

test("items become messages, those of one turn one", async () => {
  const call = (call_id: string) => ({ type: "function_call", call_id, name: "add", arguments: '{"a": 1}' })
  const { messages } = await requestOf({
    instructions: "Be brief.",
    input: [
      { role: "user", content: [{ type: "input_text", text: "3 + 4?" }] },
      { type: "reasoning", id: "rs", summary: [], content: [{ type: "reasoning_text", text: "A sum." }] },
      { type: "message", role: "assistant", content: [{ type: "output_text", text: "One moment." }] },
      call("c1"),
      call("c2"),
      { type: "function_call_output", call_id: "c1", output: "7" },
      { type: "function_call_output", call_id: "c2", output: "7" },
      { role: "assistant", content: "It is 7." },
      { role: "assistant", content: "Seven." },
    ],
  })
  const made = (id: string) => ({ id, type: "function", function: { name: "add", arguments: '{"a": 1}' } })
  expect(messages).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "3 + 4?" },
    {
      role: "assistant",
      content: "One moment.",
      reasoning_content: "A sum.",
      tool_calls: [made("c1"), made("c2")],
    },
    { role: "tool", tool_call_id: "c1", content: "7" },
    { role: "tool", tool_call_id: "c2", content: "7" },
    { role: "assistant", content: "It is 7." },
    { role: "assistant", content: "Seven." },
  ])
})

test("tools, effort and lengths reach the model", async () => {
  const tools = [{ type: "function", name: "add", parameters: {}, strict: true }]
  const request = await requestOf({
    input: "3 + 4?",
    tools,
    tool_choice: { type: "function", name: "add" },
    reasoning: { effort: "minimal" },
    max_output_tokens: 50,
  })
  expect(request).toMatchObject({
    tools: [{ type: "function", function: { name: "add", parameters: {} } }],
    toolChoice: { name: "add" },
    maxToolCalls: 1,
    thinking: { budget: 512 },
    sampling: { maxTokens: 50 },
  })
})

test("a stream's last event has what the whole response has", async () => {
  const says = ["<think>", "Hm.", "</think>", "\n\nOne", " two."]
  const whole = await answerOf(ask({ says }, {}))
  const events = await jsonEventsOf(ask({ says }, { stream: true }))
  const plain = (value: unknown) => JSON.stringify(value).replace(/"(id|created_at)":("\w+"|\d+)/g, '"$1":0')
  expect(plain(events.at(-1)?.response)).toBe(plain(whole))
  const deltas = events.filter(({ type }) => String(type) === "response.output_text.delta")
  expect(deltas.map(({ delta }) => String(delta)).join("")).toBe("One two.")
  const open = events
    .map(({ type }) => String(type))
    .filter((type) => /output_item\.(added|done)$/.test(type))
  expect(open.map((type) => type.split(".").at(-1))).toEqual(["added", "done", "added", "done"])
})

test("a response that was cut is incomplete", async () => {
  expect(await answerOf(ask({ reason: "length" }, {}))).toMatchObject({
    status: "incomplete",
    incomplete_details: { reason: "max_output_tokens" },
  })
})

describe("what cannot be done is refused with the field's name", () => {
  test.each<[string, object]>([
    ["input", { input: [] }],
    ["input", { input: [{ role: "user", content: [{ type: "input_image" }] }] }],
    ["previous_response_id", { previous_response_id: "resp_1" }],
    ["conversation", { conversation: "conv_1" }],
    ["background", { background: true }],
    ["text.format.schema", { text: { format: { type: "json_schema" } } }],
    ["text.format.schema", { text: { format: { type: "json_schema", name: "n", schema: { type: "int" } } } }],
    ["tools[0].type", { tools: [{ type: "web_search_preview" }] }],
    ["tool_choice", { tool_choice: "required" }],
  ])("%s", async (param, body) => {
    const response = await ask({}, body)
    expect(response.status).toBe(400)
    expect((await answerOf(response)).error).toMatchObject({ param, message: expect.stringContaining(param) })
  })
})
