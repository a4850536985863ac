import { describe, expect, test } from "vitest"
import { formatOf } from "../../chat/format.ts"
import { render } from "../../chat/messages.ts"
import { splitReply } from "../../chat/reply.ts"
import { ChatTemplate } from "../../chat/template.ts"
import type { Message, Tool } from "../../types.ts"
import { nanoTemplate } from "./template.ts"

const format = formatOf(ChatTemplate.compile(nanoTemplate))
const hello: Message[] = [{ role: "user", content: "Hello" }]
const tool: Tool = {
  type: "function",
  function: { name: "get_order", description: "Get an order.", parameters: { type: "object" } },
}
const call: Message = {
  role: "assistant",
  reasoning_content: "Get it.",
  content: "",
  tool_calls: [{ type: "function", function: { name: "get_order", arguments: { id: "A1" } } }],
}

describe("nano's chat template", () => {
  test("is found to be hybrid, with tools in the Hermes form", () => {
    expect(format).toMatchObject({ family: "hybrid", toolFormat: "hermes", argumentsForm: "text" })
  })

  test("leaves the thought to the model, or closes an empty one", () => {
    expect(render(format, { messages: hello, thinking: "on" })).toBe(
      "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    )
    expect(render(format, { messages: hello, thinking: "off" })).toBe(
      "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    )
  })

  test("shows the system message and the tools in one turn", () => {
    const messages: Message[] = [{ role: "system", content: "Be kind." }, ...hello]
    expect(render(format, { messages, tools: [tool] })).toBe(
      '<|im_start|>system\nBe kind.\n\n<tools>\n{"description": "Get an order.", "name": "get_order", ' +
        '"parameters": {"type": "object"}}\n</tools>\nCall: <tool_call>{"name", "arguments"}</tool_call><|im_end|>\n' +
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    )
    expect(render(format, { messages })).toBe(
      "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    )
  })

  test("groups tool results and keeps the thoughts since the last question", () => {
    const results: Message[] = [
      { role: "tool", content: "{1}" },
      { role: "tool", content: "{2}" },
    ]
    expect(render(format, { messages: [...hello, call, ...results], thinking: "on" })).toBe(
      "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n<think>\nGet it.\n</think>\n\n" +
        '<tool_call>\n{"name": "get_order", "arguments": {"id": "A1"}}\n</tool_call><|im_end|>\n' +
        "<|im_start|>user\n<tool_response>\n{1}\n</tool_response>\n<tool_response>\n{2}\n</tool_response><|im_end|>\n" +
        "<|im_start|>assistant\n",
    )
  })

  test("drops the thoughts before the last question, in their field or in the text", () => {
    const old: Message[] = [
      ...hello,
      { role: "assistant", reasoning_content: "A greeting.", content: "Hi!" },
      { role: "user", content: "Again" },
      { role: "assistant", content: "<think>\nSo.\n</think>\n\nHi again!" },
      ...hello,
    ]
    const turns = ["user\nHello", "assistant\nHi!", "user\nAgain", "assistant\nHi again!", "user\nHello"]
    expect(render(format, { messages: old })).toBe(
      turns.map((turn) => `<|im_start|>${turn}<|im_end|>\n`).join("") + "<|im_start|>assistant\n",
    )
  })

  test("is read back by the reply parser: thought, content and several calls", () => {
    const both = [...call.tool_calls!, ...call.tool_calls!]
    const messages: Message[] = [...hello, { ...call, content: "One moment.", tool_calls: both }]
    const prompt = render(format, { messages: hello, tools: [tool] })
    const whole = format.template.render({ messages, tools: [tool], addGenerationPrompt: false })
    expect(whole.startsWith(prompt)).toBe(true)
    const text = whole.slice(prompt.length).replace(/<\|im_end\|>\n$/, "")
    const reply = splitReply(text, { prompt, toolFormat: format.toolFormat, tools: [tool] })
    expect(reply).toMatchObject({ reasoning: "Get it.", content: "One moment.", finishReason: "tool_calls" })
    expect(reply.toolCalls.map((each) => each.function)).toEqual([
      { name: "get_order", arguments: '{"id": "A1"}' },
      { name: "get_order", arguments: '{"id": "A1"}' },
    ])
    expect(reply.diagnostic).toBeUndefined()
  })
})
