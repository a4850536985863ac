import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import type { ChatRequest, Message } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { formatOf } from "./format.ts"
import { normaliseMessages, render } from "./messages.ts"
import type { IncomingMessage } from "./messages.ts"
import { ChatTemplate } from "./template.ts"

const fixture = (name: string) =>
  formatOf(ChatTemplate.compile(readFileSync(new URL(`./jinja/fixtures/${name}`, import.meta.url), "utf8")))
const hermes = fixture("hermes.jinja")
const coder = fixture("coder.jinja")
const user: Message = { role: "user", content: "1" }

function call(written: string): Message {
  return { role: "assistant", content: null, tool_calls: [{ function: { name: "f", arguments: written } }] }
}

const prompt = (format: typeof hermes, messages: IncomingMessage[], more: Partial<ChatRequest> = {}) =>
  render(format, { messages, ...more })

describe("messages as clients send them", () => {
  test("may have null content, no content, or parts", () => {
    const messages: Message[] = [
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" },
        ],
      },
      { role: "assistant", content: null },
      { role: "user" },
    ]
    expect(normaliseMessages(messages, "text").map((message) => message.content)).toEqual(["a\nb", "", ""])
    for (const format of [hermes, coder]) expect(prompt(format, messages)).toContain("a\nb<|im_end|>")
  })

  test("may name their thought in either way", () => {
    const turn = (thought: object): IncomingMessage[] => [
      user,
      { role: "assistant", content: "2", ...thought },
    ]
    const expected = "<think>\nwhy\n</think>\n\n2<|im_end|>"
    expect(prompt(hermes, turn({ reasoning_content: "why" }))).toContain(expected)
    expect(prompt(hermes, turn({ reasoning: "why" }))).toContain(expected)
    expect(prompt(hermes, turn({ reasoning: "no", reasoning_content: "why" }))).toContain(expected)
    expect(prompt(hermes, turn({ reasoning: null, content: "<think>\nwhy\n</think>\n\n2" }))).toContain(
      expected,
    )
  })

  test("do not show the model how strictly its calls are kept to a tool", () => {
    const tool = { type: "function", function: { name: "f", parameters: { a: 1 } } } as const
    const strict = { ...tool, function: { ...tool.function, strict: true } }
    for (const format of [hermes, coder])
      expect(prompt(format, [user], { tools: [strict] })).toBe(prompt(format, [user], { tools: [tool] }))
  })

  test("keep arguments' text where the template takes text", () => {
    expect(prompt(hermes, [user, call('{"a":  1.0}')])).toContain('"arguments": {"a":  1.0}}')
    expect(prompt(hermes, [user, call("")])).toContain('"arguments": {}}')
  })

  test("have arguments read where the template needs the object, numbers as written", () => {
    expect(prompt(coder, [user, call('{"a": 1.0, "b": 12345678901234567890, "c": true}')])).toContain(
      "<parameter=a>\n1.0\n</parameter>\n<parameter=b>\n12345678901234567890\n</parameter>\n<parameter=c>\nTrue\n",
    )
    expect(prompt(coder, [user, call(" ")])).toContain("<function=f>\n</function>")
  })

  test("may hold system messages anywhere", () => {
    const messages: Message[] = [{ role: "system", content: "A" }, user, { role: "system", content: "B" }]
    for (const format of [hermes, coder])
      expect(prompt(format, messages)).toMatch(/system\nA<.*user\n1<.*system\nB<.*assistant\n$/s)
  })

  test("may come with an empty list of tools or of calls", () => {
    const messages: Message[] = [user, { role: "assistant", content: "2", tool_calls: [] }]
    expect(prompt(hermes, messages, { tools: [] })).toBe(
      prompt(hermes, [user, { role: "assistant", content: "2" }]),
    )
  })

  test("are left as they came", () => {
    const messages = [user, call("{}")]
    const before = structuredClone(messages)
    prompt(coder, messages)
    expect(messages).toEqual(before)
  })

  test.each([
    ["no messages", [], "messages is empty"],
    ["an unknown role", [{ role: "robot", content: "a" }], 'messages[0].role is "robot"'],
    [
      "an image",
      [{ role: "user", content: [{ type: "image_url" }] }],
      "messages[0].content[0] is not a text part",
    ],
    ["content of another kind", [{ role: "user", content: 3 }], "messages[0].content is neither"],
    [
      "arguments that are no JSON",
      [user, call("{a")],
      "messages[1].tool_calls[0].arguments must hold a JSON object",
    ],
    [
      "arguments that are no object",
      [user, call("[1]")],
      "messages[1].tool_calls[0].arguments must hold a JSON object",
    ],
  ])("with %s are refused", (_, messages, message) => {
    expect(() => prompt(coder, messages as Message[])).toThrow(
      expect.objectContaining({
        name: "UserError",
        code: "bad-request",
        message: expect.stringContaining(message),
      }),
    )
  })
})

test("whatever is called messages renders or is refused with a typed error", () => {
  const call = fc.record({ function: fc.record({ name: fc.jsonValue(), arguments: fc.jsonValue() }) })
  const message = fc.record(
    {
      role: fc.oneof(fc.constantFrom("user", "assistant", "tool", "system"), fc.jsonValue()),
      content: fc.oneof(fc.string(), fc.jsonValue()),
      reasoning: fc.jsonValue(),
      tool_calls: fc.oneof(fc.array(call), fc.jsonValue()),
    },
    { requiredKeys: ["role"] },
  )
  const messages = fc.oneof(fc.array(fc.oneof(message, fc.jsonValue())), fc.array(message), fc.jsonValue())
  fc.assert(
    fc.property(messages, fc.constantFrom(hermes, coder), (given, format) => {
      try {
        expect(prompt(format, given as Message[])).toContain("assistant")
      } catch (error) {
        expect(error).toBeInstanceOf(UserError)
      }
    }),
    { numRuns: 2000 },
  )
})

test("template variables of the request come last", () => {
  const variables = { templateVariables: { enable_thinking: false } }
  expect(prompt(hermes, [user], { thinking: "on", ...variables })).toMatch(/<think>\n\n<\/think>\n\n$/)
})
