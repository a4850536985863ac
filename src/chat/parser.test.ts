import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { ChatEvent, Json, Tool } from "../types.ts"
import { ReplyParser } from "./parser.ts"
import type { ParserOptions } from "./parser.ts"
import { addEvent, emptyReply, splitReply } from "./reply.ts"
import type { Reply } from "./reply.ts"
import { findTags, tagTexts } from "./tags.ts"

// Any ids will do: the parser learns them from the vocabulary.
const vocabulary = new Map([
  ["<think>", 71],
  ["</think>", 72],
  ["<tool_call>", 57],
  ["</tool_call>", 58],
])
const tags = findTags((token) => vocabulary.get(token))
const turn = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"

function tool(name: string, properties: Record<string, Json> = {}): Tool {
  return { type: "function", function: { name, parameters: { type: "object", properties } } }
}
const tools = [
  tool("get_order", { id: { type: "string" }, count: { type: "integer" }, tags: { type: "array" } }),
  tool("write", { path: { type: "string" }, text: { type: "string" }, force: { type: "boolean" } }),
]

/** Words for the prompts and formats that the tests are about. */
const hybrid: ParserOptions = { prompt: turn, tags, toolFormat: "hermes", tools }
const thinking: ParserOptions = { ...hybrid, prompt: `${turn}<think>\n` }
const notThinking: ParserOptions = { ...hybrid, prompt: `${turn}<think>\n\n</think>\n\n` }
const coder: ParserOptions = { ...hybrid, toolFormat: "xml" }

/** The text in pieces as a tokenizer gives them: each tag alone with its id, the rest cut after every `size`. */
function pieces(text: string, size: number): string[] {
  return cut(text, (part) => part.match(new RegExp(`.{1,${size}}`, "gsu")) ?? [])
}

function cut(text: string, rest: (part: string) => string[]): string[] {
  return text
    .split(/(<\/?think>|<\/?tool_call>)/)
    .flatMap((part) => (vocabulary.has(part) ? [part] : rest(part)))
}

function events(
  parts: readonly string[],
  options: ParserOptions,
  reason: "stop" | "length" = "stop",
): ChatEvent[] {
  const parser = new ReplyParser(options)
  return [...parts.flatMap((part) => parser.push(vocabulary.get(part) ?? 0, part)), ...parser.end("", reason)]
}

/** The whole reply, after checking what must hold of any events. */
function gather(stream: readonly ChatEvent[]): Reply {
  const reply = emptyReply()
  const deltas: string[] = []
  for (const event of stream) {
    addEvent(reply, event)
    if (event.type === "tool-call-start") deltas[event.index] = ""
    if (event.type === "tool-call-delta") deltas[event.index] += event.arguments
    if (event.type === "tool-call") expect(event.arguments).toBe(deltas[event.index])
    if (event.type === "reasoning" || event.type === "content") expect(event.text).not.toBe("")
  }
  expect(deltas).toHaveLength(reply.toolCalls.length)
  expect(stream.at(-1)?.type).toBe("finish")
  return reply
}

function parse(text: string, options: ParserOptions, reason: "stop" | "length" = "stop"): Reply {
  return gather(events(pieces(text, 3), options, reason))
}

/** A reply in one line: reasoning | content | name(arguments)... | why it ended. */
function line({ reasoning, content, toolCalls, finishReason }: Reply): string {
  const calls = toolCalls.map(({ function: call }) => `${call.name}(${call.arguments as string})`).join(" ")
  return [reasoning, content, calls, finishReason].join(" | ")
}

const order = '<tool_call>\n{"name": "get_order", "arguments": {"id": "7"}}\n</tool_call>'
const coderOrder =
  "<tool_call>\n<function=get_order>\n<parameter=id>\n7\n</parameter>\n<parameter=count>\n30\n</parameter>\n</function>\n</tool_call>"

describe("thinking", () => {
  test.each([
    [
      "is parted from the answer",
      hybrid,
      "<think>\nWhy?\nSo.\n</think>\n\nYes.\n\nSure.",
      "Why?\nSo. | Yes.\n\nSure.",
    ],
    ["begins in the prompt", thinking, "Why?\n</think>\n\nYes.", "Why? | Yes."],
    ["is off in the prompt", notThinking, "Yes.", " | Yes."],
    ["may be empty", hybrid, "<think>\n\n</think>\n\nYes.", " | Yes."],
    ["may be repeated after the prompt's tag", thinking, "<think>\nWhy?\n</think>\n\nYes.", "Why? | Yes."],
    [
      "may come though the prompt has ended it",
      notThinking,
      "<think>\nWhy?\n</think>\n\nYes.",
      "Why? | Yes.",
    ],
    ["may end twice", hybrid, "<think>\nWhy?\n</think>\n\n</think>\n\nYes.", "Why? | Yes."],
    ["is absent in a plain reply", hybrid, "Yes.", " | Yes."],
    ["keeps its inner tags as text", thinking, "A <think> tag\n</think>\n\nYes.", "A <think> tag | Yes."],
    ["does not begin again inside the answer", hybrid, "Write <think> first.", " | Write <think> first."],
  ])("%s", (_, options, text, expected) => {
    const reply = parse(text, options)
    expect(line(reply)).toBe(`${expected} |  | stop`)
    expect(reply.diagnostic).toBeUndefined()
  })

  test("that is cut off is reasoning, and the empty answer says so", () => {
    const reply = parse("Why? Because", thinking, "length")
    expect(line(reply)).toBe("Why? Because |  |  | length")
    expect(reply.diagnostic).toBe("the reply ended inside its thinking")
  })

  test("that ends without having begun is left in the content, and the end says so", () => {
    const reply = parse("Why?\n</think>\n\nYes.", hybrid)
    expect(line(reply)).toBe(" | Why?\n</think>\n\nYes. |  | stop")
    expect(reply.diagnostic).toContain("may be reasoning")
  })

  test("does not follow from tags in earlier turns", () => {
    const history = `<|im_start|>user\nWrite <think> and <tool_call>!<|im_end|>\n`
    expect(line(parse("Yes.", { ...hybrid, prompt: history + turn }))).toBe(" | Yes. |  | stop")
    const closed = `<|im_start|>user\nIs </think> a tag?<|im_end|>\n`
    expect(line(parse("a\n</think>\n\nYes.", { ...hybrid, prompt: `${closed}${turn}<think>\n` }))).toBe(
      "a | Yes. |  | stop",
    )
  })

  test("is counted in tokens", () => {
    const parser = new ReplyParser(thinking)
    for (const part of ["Why", "?", "</think>", "\n\n", "Yes"]) parser.push(vocabulary.get(part) ?? 0, part)
    expect(parser.reasoningTokens).toBe(3)
    expect(parser.phase).toBe("content")
  })
})

describe("an answer", () => {
  test("that is empty never comes without a diagnostic", () => {
    for (const text of ["", "\n\n", "<think>\n\n</think>\n\n"]) {
      const reply = parse(text, hybrid)
      expect(line(reply)).toBe(" |  |  | stop")
      expect(reply.diagnostic).toBe("the reply is empty")
    }
  })

  test("keeps its own whitespace", () => {
    expect(parse("  a\n\n  b  \n", hybrid).content).toBe("  a\n\n  b  \n")
  })

  test("comes out while it is written, but for whitespace that may be the last", () => {
    const parser = new ReplyParser(hybrid)
    const said = ["Yes", ",", " ", "\n", "so"].map((part) =>
      parser.push(0, part).map((event) => ("text" in event ? event.text : "")),
    )
    expect(said).toEqual([["Yes"], [","], [], [], [" \nso"]])
  })

  test("has its usage told before its end", () => {
    const usage = {
      promptTokens: 1,
      cachedTokens: 0,
      completionTokens: 1,
      reasoningTokens: 0,
      prefillMs: 1,
      decodeMs: 1,
    }
    const parser = new ReplyParser(hybrid)
    parser.push(0, "Yes")
    expect(parser.end(".", "stop", usage).map((event) => event.type)).toEqual(["content", "usage", "finish"])
  })
})

describe("tool calls", () => {
  test.each([
    ["in JSON", hybrid, order, ' |  | get_order({"id": "7"})'],
    ["in XML", coder, coderOrder, ' |  | get_order({"id": "7", "count": 30})'],
    ["after a thought", hybrid, `<think>\nLook.\n</think>\n\n${order}`, 'Look. |  | get_order({"id": "7"})'],
    ["after content", hybrid, `Wait.\n${order}`, ' | Wait. | get_order({"id": "7"})'],
    [
      "after content, in XML",
      coder,
      `Wait.\n\n${coderOrder}`,
      ' | Wait. | get_order({"id": "7", "count": 30})',
    ],
    ["several", hybrid, `${order}\n${order}`, ' |  | get_order({"id": "7"}) get_order({"id": "7"})'],
    [
      "several in one block",
      hybrid,
      order.replace("\n</", `\n{"name": "b"}\n</`),
      ' |  | get_order({"id": "7"}) b({})',
    ],
    ["without arguments", hybrid, '<tool_call>{"name": "f"}</tool_call>', " |  | f({})"],
    ["without parameters", coder, "<tool_call>\n<function=f>\n</function>\n</tool_call>", " |  | f({})"],
    [
      "arguments first",
      hybrid,
      '<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>',
      ' |  | f({"a": 1})',
    ],
    [
      "arguments as a string",
      hybrid,
      String.raw`<tool_call>{"name": "f", "arguments": "{\"a\": 1}"}</tool_call>`,
      ' |  | f({"a": 1})',
    ],
    ["arguments null", hybrid, '<tool_call>{"name": "f", "arguments": null}</tool_call>', " |  | f({})"],
    [
      "nested JSON",
      hybrid,
      '<tool_call>{"name": "f", "arguments": {"a": {"b": [{}, "}"]}, "c": true}}</tool_call>',
      ' |  | f({"a": {"b": [{}, "}"]}, "c": true})',
    ],
    [
      "tags inside a string",
      hybrid,
      '<tool_call>{"name": "f", "arguments": {"a": "</tool_call><think>"}}</tool_call>',
      ' |  | f({"a": "</tool_call><think>"})',
    ],
    [
      "tags inside a parameter",
      coder,
      coderOrder.replace("7", "x</tool_call>y"),
      ' |  | get_order({"id": "x</tool_call>y", "count": 30})',
    ],
    [
      "a block that is not closed",
      hybrid,
      order.replace("\n</tool_call>", ""),
      ' |  | get_order({"id": "7"})',
    ],
    ["an object that is not closed", hybrid, order.replace('"}}', '"}'), ' |  | get_order({"id": "7"})'],
    [
      "an open block before the next",
      hybrid,
      order.replace("</tool_call>", order),
      ' |  | get_order({"id": "7"}) get_order({"id": "7"})',
    ],
    [
      "without its opening tag",
      coder,
      coderOrder.replace("<tool_call>\n", "Wait.\n"),
      ' | Wait. | get_order({"id": "7", "count": 30})',
    ],
    ["with text behind", hybrid, `${order}\nDone.`, ' | Done. | get_order({"id": "7"})'],
    [
      "with text behind, in XML",
      coder,
      coderOrder.replace("<tool_call>\n", "").replace("</tool_call>", "Done."),
      ' | Done. | get_order({"id": "7", "count": 30})',
    ],
    [
      "with text in the block",
      hybrid,
      order.replace("\n</", "\nDone.</"),
      ' | Done. | get_order({"id": "7"})',
    ],
  ])("are read: %s", (_, options, text, expected) => {
    const reply = parse(text, options)
    expect(line(reply)).toBe(`${expected} | tool_calls`)
    expect(reply.diagnostic).toBeUndefined()
  })

  test("begin as soon as their name is known and have ids of their own", () => {
    const stream = events([...pieces(order, 1), "\n", ...pieces(order, 1)], hybrid)
    const starts = stream.filter((event) => event.type === "tool-call-start")
    expect(starts.map((event) => event.index)).toEqual([0, 1])
    expect(new Set(starts.map((event) => event.id)).size).toBe(2)
    for (const start of starts) expect(start.id).toMatch(/^call_[0-9a-f]{24}$/)
    const types = stream.map((event) => event.type)
    expect(types.slice(0, 3)).toEqual(["tool-call-start", "tool-call-delta", "tool-call-delta"])
  })

  test("in XML keep a string's lines and a nested value's writing", () => {
    const text = '\n  def f():\n\n    return "é\\n"\t</parameter> <b>\n'
    const call = [
      "<tool_call>\n<function=write>\n<parameter=path>\na b.py\n</parameter>\n",
      `<parameter=text>\n${text}\n</parameter>\n<parameter=force>\nTrue\n</parameter>\n</function>\n</tool_call>`,
    ].join("")
    const written = parse(call, coder).toolCalls[0].function.arguments as string
    expect(written).toBe(`{"path": "a b.py", "text": ${JSON.stringify(text)}, "force": true}`)
    const list = coderOrder.replace(
      /<parameter=count>[^]*<\/parameter>/,
      "<parameter=tags>\n['x', 1.0, {\"a\": None}]\n</parameter>",
    )
    expect(parse(list, coder).toolCalls[0].function.arguments).toBe(
      '{"id": "7", "tags": ["x", 1.0, {"a": null}]}',
    )
  })

  test("are content where the request has no tools", () => {
    expect(line(parse(order, { ...hybrid, tools: [] }))).toBe(` | ${order} |  | stop`)
    expect(line(parse(coderOrder, { ...coder, tools: undefined }))).toBe(` | ${coderOrder} |  | stop`)
  })

  test("keep what a reader of the same text would see: numbers, booleans, braces", () => {
    const written = '{"n": 30, "x": 1.0, "e": 1e-07, "b": false, "s": "}}", "l": [1, 2]}'
    const text = `<tool_call>\n{"name": "f", "arguments": ${written}}\n</tool_call>`
    for (const size of [1, 2, 3, 5, 8, 100])
      expect(gather(events(pieces(text, size), hybrid)).toolCalls[0].function.arguments).toBe(written)
  })
})

describe("a tool call inside thinking", () => {
  test("counts where the reply ends with it, and the end says so", () => {
    for (const text of [
      `Look.\n${order}`,
      `Look.\n${order}\n</think>\n\n`,
      `Look.\n${order.replace("\n</tool_call>", "")}`,
    ]) {
      const reply = parse(text, thinking)
      expect(line(reply)).toBe('Look. |  | get_order({"id": "7"}) | tool_calls')
      expect(reply.diagnostic).toBe("a tool call came inside the thinking and ended it")
    }
  })

  test("is only a thought where the thought goes on, is closed, or is cut off", () => {
    expect(line(parse(`I could ${order} now.\n</think>\n\nNo.`, thinking))).toBe(
      `I could ${order} now. | No. |  | stop`,
    )
    expect(line(parse(`I could ${order}\n</think>\n\nNo.`, thinking))).toBe(
      `I could ${order} | No. |  | stop`,
    )
    expect(line(parse(`I write <tool_call> first.\n</think>\n\nNo.`, thinking))).toBe(
      "I write <tool_call> first. | No. |  | stop",
    )
    expect(line(parse(`I could ${order}`, thinking, "length"))).toBe(`I could ${order} |  |  | length`)
  })

  test("is not made a second time when the answer makes it", () => {
    const reply = parse(`I could\n${order}\n</think>\n\n${order}`, thinking)
    expect(line(reply)).toBe(`I could\n${order} |  | get_order({"id": "7"}) | tool_calls`)
    expect(reply.diagnostic).toBeUndefined()
  })

  test("several count together", () => {
    expect(line(parse(`${order}\n${order}`, thinking))).toBe(
      ' |  | get_order({"id": "7"}) get_order({"id": "7"}) | tool_calls',
    )
  })
})

describe("a malformed tool call", () => {
  test.each([
    ["no JSON", hybrid, "Wait.\n<tool_call>\nget_order(7)\n</tool_call>"],
    ["no name", hybrid, 'Wait.\n<tool_call>\n{"arguments": {"a": 1}}\n</tool_call>'],
    ["a name that is no string", hybrid, 'Wait.\n<tool_call>\n{"name": 3}\n</tool_call>'],
    ["a key without quotes", hybrid, "Wait.\n<tool_call>\n{name: 3}\n</tool_call>"],
    ["cut before its name", hybrid, 'Wait.\n<tool_call>\n{"na'],
    ["no function", coder, "Wait.\n<tool_call>\nget_order(7)\n</tool_call>"],
    ["an unfinished function", coder, "Wait.\n<tool_call>\n<function=get"],
  ])("with %s is content, whole, with a diagnostic", (_, options, text) => {
    const reply = parse(text, options)
    expect(line(reply)).toBe(` | ${text} |  | stop`)
    expect(reply.diagnostic).toContain("left in the content")
  })

  test.each([
    ["broken arguments", '{"a": 1,}', "not valid JSON"],
    ["a line break in a string", '{"a": "x\ny"}', "not valid JSON"],
    ["unclosed arguments", '{"a": [1', "cut short"],
  ])("with %s is a call with the raw text and a diagnostic", (_, written, diagnostic) => {
    const closing = diagnostic === "cut short" ? "" : "}"
    const reply = parse(`<tool_call>{"name": "f", "arguments": ${written}${closing}</tool_call>`, hybrid)
    expect(line(reply)).toBe(` |  | f(${written}) | tool_calls`)
    expect(reply.diagnostic).toContain(diagnostic)
  })

  test("tells text that belongs nowhere", () => {
    const reply = parse(order.replace('"}}', '"}]'), hybrid)
    expect(line(reply)).toBe(' |  | get_order({"id": "7"}) | tool_calls')
    expect(reply.diagnostic).toContain("dropped: ]")
    const element = coderOrder.replace("<parameter=id>", "<b> hm</b>\n<parameter=id>")
    expect(parse(element, coder).diagnostic).toContain("dropped: <b>hm</b>")
  })

  test("that is cut off never looks complete", () => {
    for (let length = order.indexOf("{") + 22; length < order.indexOf('"}}') + 2; length++) {
      const reply = parse(order.slice(0, length), hybrid, "length")
      expect(reply.finishReason).toBe("length")
      if (reply.toolCalls.length === 0) continue
      expect(() => JSON.parse(reply.toolCalls[0].function.arguments as string)).toThrow()
      expect(reply.diagnostic).toContain("cut short")
    }
    const begin = coderOrder.indexOf("get_order>") + 10
    for (let length = begin; length < coderOrder.indexOf("</function>"); length++) {
      const reply = parse(coderOrder.slice(0, length), coder, "length")
      expect(() => JSON.parse(reply.toolCalls[0].function.arguments as string)).toThrow()
      expect(reply.diagnostic).toContain("cut short")
    }
  })
})

describe("a vocabulary without the tags", () => {
  const text = `<think>\nWhy < 3?\n</think>\n\nYes <b>.\n${order}`

  test("has them found in the text, however it is split", () => {
    const untagged = { ...hybrid, tags: {} }
    const expected = 'Why < 3? | Yes <b>. | get_order({"id": "7"}) | tool_calls'
    expect(line(splitReply(text, untagged))).toBe(expected)
    for (let at = 0; at <= text.length; at++)
      expect(line(gather(events([text.slice(0, at), text.slice(at)], untagged)))).toBe(expected)
    expect(line(gather(events([...text], untagged)))).toBe(expected)
  })

  test("shows what only began like a tag", () => {
    expect(splitReply("a <tool_cal", { ...hybrid }).content).toBe("a <tool_cal")
  })

  test("does not matter where the tags are tokens: the same characters spelled out are text", () => {
    const spelled = [..."Write <tool_call> here."]
    expect(line(gather(events(spelled, hybrid)))).toBe(" | Write <tool_call> here. |  | stop")
  })
})

test("the rest of a character cut short comes before the tag", () => {
  const parser = new ReplyParser(thinking)
  const stream = [...parser.push(0, "a"), ...parser.push(72, "\ufffd</think>"), ...parser.end("b", "stop")]
  expect(line(gather(stream))).toBe("a\ufffd | b |  | stop")
})

describe("for every split of a reply", () => {
  const hard = '{"s": "a\\"}{\\\\", "u": "😀é\\u00e9", "n": -1.50e+3, "o": {"l": [[], {}], "z": null}}'
  const value = 'x < y\n\n</parameter> "😀\\\n</function> <parameter>\n'
  const replies: [string, ParserOptions][] = [
    [`<think>\nA \n\nb\n</think>\n\nYes. \n\n${order}\n${order}`, hybrid],
    [
      `<tool_call>\n{"name": "f", "arguments": ${hard}}\n</tool_call>\n<tool_call>{"arguments": ${hard}, "name": "g"}</tool_call>`,
      hybrid,
    ],
    [
      `Hm.\n\n${coderOrder}\n${coderOrder.replace("7", value).replace("get_order", "write").replace("=id", "=text")}\n end`,
      coder,
    ],
    [`Look.\n${order}\n</think>\n\n`, thinking],
    [`Wait.\n<tool_call>\n{"arguments": 3}\n</tool_call> end`, hybrid],
    [coderOrder.replace("</parameter>\n</function>", "</function>"), coder],
  ]

  test.each(replies)("the events say the same: %#", (text, options) => {
    const untagged = { ...options, tags: {} }
    const whole = said([text], untagged)
    for (let at = 1; at < text.length; at++)
      expect(said([text.slice(0, at), text.slice(at)], untagged)).toEqual(whole)
    for (let size = 1; size < 20; size++) expect(said(pieces(text, size), options)).toEqual(whole)
    const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(sizes, (sizes) => {
        expect(said(chunks(text, sizes), untagged)).toEqual(whole)
        expect(
          said(
            cut(text, (part) => chunks(part, sizes)),
            options,
          ),
        ).toEqual(whole)
      }),
      { numRuns: 300 },
    )
  })
})

/** The text cut into pieces of these sizes in turn. */
function chunks(text: string, sizes: readonly number[]): string[] {
  const parts: string[] = []
  for (let at = 0, i = 0; at < text.length; at += sizes[i++ % sizes.length])
    parts.push(text.slice(at, at + sizes[i % sizes.length]))
  return parts
}

/** All that a reply says, but for the calls' random ids. */
function said(parts: readonly string[], options: ParserOptions, reason: "stop" | "length" = "stop") {
  const reply = gather(events(parts, options, reason))
  return { ...reply, toolCalls: reply.toolCalls.map((call) => call.function) }
}

test("any text at all comes back as some event or diagnostic", () => {
  const word = fc.constantFrom(
    ...Object.values(tagTexts),
    ...'{}[]"\\:,<>/\n a1=',
    '{"name": "f"',
    '"arguments": ',
    "<parameter=p>",
    "</parameter>",
    "</function>",
    "f>",
  )
  const options = fc.constantFrom(hybrid, thinking, notThinking, coder, { ...coder, prompt: thinking.prompt })
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 40 }),
      options,
      fc.constantFrom("stop" as const, "length" as const),
      (words, by, reason) => {
        const { content, toolCalls, diagnostic } = said(words, by, reason)
        if (content === "" && toolCalls.length === 0) expect(diagnostic).toBeDefined()
        const text = words.join("")
        const untagged = { ...by, tags: {} }
        expect(said([...text], untagged, reason)).toEqual(said([text], untagged, reason))
      },
    ),
    { numRuns: 3000 },
  )
})
