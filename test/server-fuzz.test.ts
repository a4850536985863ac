// Bodies that nobody should send: none of them crashes the server, none gets a 500, and every answer has the shape that
// clients expect. A3B_FUZZ multiplies how many are tried.

import fc from "fast-check"
import { expect, test } from "vitest"
import { FakeModel } from "./fake-model.ts"
import { eventsIn, post, serving } from "./serving.ts"

const times = Number(process.env.A3B_FUZZ ?? 1)

const messages = [
  { role: "user", content: [{ type: "text", text: "Hi" }] },
  { role: "assistant", content: null, tool_calls: [{ function: { name: "add", arguments: '{"a": 1.0}' } }] },
]
const tool = { type: "function", function: { name: "add", parameters: { type: "object" } } }
const valid: Record<string, object> = {
  "/v1/chat/completions": {
    messages,
    tools: [tool],
    tool_choice: "auto",
    temperature: 1,
    stop: ["x"],
    n: 2,
    logit_bias: { 1: 2 },
    thinking: { budget: 1 },
    chat_template_kwargs: {},
    stream_options: { include_usage: true },
  },
  "/v1/completions": { prompt: ["Hi"], max_tokens: 2, n: 2, stop: "x", seed: 1 },
  "/v1/responses": {
    input: [
      { role: "user", content: [{ type: "input_text", text: "Hi" }] },
      { type: "function_call", call_id: "c", name: "add", arguments: "{}" },
    ],
    tools: [{ type: "function", name: "add" }],
    reasoning: { effort: "low" },
  },
  "/v1/messages": {
    max_tokens: 9,
    system: [{ type: "text", text: "Hi" }],
    messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "x" }] }],
    tools: [{ name: "add", input_schema: {} }],
    thinking: { type: "enabled", budget_tokens: 1 },
  },
  "/v1/messages/count_tokens": { messages: [{ role: "user", content: "Hi" }] },
  "/tokenize": { messages },
  "/detokenize": { tokens: [104] },
}

/** The body with one of its values, however deep, in place of another. */
function changed(value: unknown, path: readonly number[], other: unknown): unknown {
  const [at, ...rest] = path
  if (at === undefined || typeof value !== "object" || value === null) return other
  const keys = Object.keys(value)
  if (keys.length === 0) return other
  const key = keys[at % keys.length]
  const copy = Array.isArray(value) ? [...value] : { ...value }
  return Object.assign(copy, { [key]: changed(value[key as keyof typeof value], rest, other) })
}

const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    -1,
    0,
    1e400,
    2 ** 53,
    "",
    "__proto__",
    "\ud800",
    [[]],
    {},
    true,
    "x".repeat(3000),
  ),
)

const body = fc.constantFrom(...Object.keys(valid)).chain((path) =>
  fc.record({
    path: fc.constant(path),
    text: fc.oneof(
      { weight: 8, arbitrary: changedBody(valid[path]) },
      { weight: 1, arbitrary: fc.json() },
      { weight: 1, arbitrary: fc.string() },
    ),
  }),
)

function changedBody(original: object) {
  const change = fc.tuple(fc.array(fc.nat(20), { minLength: 1, maxLength: 5 }), odd)
  return fc.tuple(fc.array(change, { minLength: 1, maxLength: 3 }), fc.boolean()).map(([changes, stream]) => {
    const all = changes.reduce<unknown>((value, [path, other]) => changed(value, path, other), original)
    return JSON.stringify(typeof all === "object" && all !== null ? { ...all, stream } : all) ?? ""
  })
}

const says = ["<think>", "Hm.", "</think>", '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>']

test("no body crashes the server or gets an answer without a shape", async () => {
  const model = new FakeModel({ says })
  const app = serving(model, { aliases: ["*"] })
  const statuses = new Set<number>()
  await fc.assert(
    fc.asyncProperty(body, async ({ path, text }) => {
      const response = await post(app, path, text)
      const answer = await response.text()
      statuses.add(response.status)
      expect([200, 400, 404]).toContain(response.status)
      expect(answer).not.toMatch(/\bat \S+ \(|node:|\/src\/|\.ts:\d/)
      if (response.status !== 200) {
        const { error } = JSON.parse(answer)
        expect(error).toMatchObject({ type: expect.any(String), message: expect.any(String) })
      } else if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
        const events = eventsIn(answer)
        expect(events.length).toBeGreaterThan(1)
        for (const event of events) if (event !== "[DONE]") expect(JSON.parse(event)).toBeTypeOf("object")
      } else expect(JSON.parse(answer)).toBeTypeOf("object")
    }),
    { numRuns: 700 * times },
  )
  expect(statuses.has(200) && statuses.has(400)).toBe(true)
  expect([app.lines, app.service.numActive, model.numLive]).toEqual([[], 0, 0])
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
    { numRuns: 60 * times },
  )
}, 600_000)
