import { afterEach, beforeEach, expect, test, vi } from "vitest"
import type { ChatEvent, Usage } from "../types.ts"
import type { Output } from "./output.ts"
import { ReplyView } from "./reply-view.ts"

const usage: Usage = {
  promptTokens: 1200,
  cachedTokens: 200,
  completionTokens: 31,
  reasoningTokens: 20,
  prefillMs: 2000,
  decodeMs: 3000,
}

class Screen implements Output {
  text = ""
  readonly isTTY: boolean
  constructor(kind: "terminal" | "pipe" = "pipe") {
    this.isTTY = kind === "terminal"
  }
  hasColors(): boolean {
    return this.isTTY
  }
  write(text: string): void {
    this.text += text
  }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** What stands on stdout and stderr after these events. */
function view(events: readonly ChatEvent[], thinking: "shown" | "folded" = "shown", kind?: "terminal") {
  const [out, err] = [new Screen(kind), new Screen(kind)]
  const countTokens = (text: string) => text.split(" ").length
  const shown = new ReplyView({ thinking, countTokens, out, err })
  for (const event of events) shown.push(event)
  shown.end()
  return { out: out.text, err: err.text, reply: shown.reply }
}

const reasoning = (text: string): ChatEvent => ({ type: "reasoning", text })
const content = (text: string): ChatEvent => ({ type: "content", text })
const finish = (reason: "stop" | "length", diagnostic?: string): ChatEvent => ({
  type: "finish",
  reason,
  diagnostic,
})

test("the answer goes to stdout, the thought and what is said about it to stderr", () => {
  const { out, err } = view([reasoning("let me "), reasoning("see"), content("It is "), content("23.")])
  expect(out).toBe("It is 23.\n")
  expect(err).toBe("let me see\n\nthought for 0.0 s, 3 tokens\n")
})

test("a folded thought is one line with its time", () => {
  const [out, err] = [new Screen(), new Screen()]
  const shown = new ReplyView({ thinking: "folded", countTokens: () => 214, out, err })
  shown.push(reasoning("let me see"))
  vi.advanceTimersByTime(3200)
  shown.push(content("23."))
  shown.end()
  expect(err.text).toBe("thought for 3.2 s, 214 tokens\n")
  expect(out.text).toBe("23.\n")
})

test("on a terminal a thought is dimmed, a folded one leaves only its line", () => {
  expect(view([reasoning("hm"), content("x")], "shown", "terminal").err).toContain("\x1b[2mhm\x1b[22m")
  const { err } = view([reasoning("hm"), content("x")], "folded", "terminal")
  const lastLine = err.split("\r").at(-1)
  expect(lastLine).toBe("\x1b[K\x1b[2mthought for 0.0 s, 1 token\x1b[22m\n")
  expect(err).not.toContain("hm")
})

test("a thought that was cut short still gets its line", () => {
  expect(view([reasoning("let me")]).err).toBe("let me\n\nthought for 0.0 s, 2 tokens\n")
})

test("a tool call stands on a line of its own", () => {
  const call: ChatEvent = { type: "tool-call", index: 0, id: "1", name: "add", arguments: '{"a": 1}' }
  expect(view([content("Let me see."), call]).out).toBe('Let me see.\nadd({"a": 1})\n')
  expect(view([call, call]).out).toBe('add({"a": 1})\nadd({"a": 1})\n')
})

test("the speed counts the tokens after the first, and what was not in the cache", () => {
  const { err } = view([content("x"), { type: "usage", usage }])
  expect(err).toBe("31 tokens, 10.0 a second; 1,000 read in 2.0 s, 200 were kept\n")
})

test("what cut the reply is said", () => {
  expect(view([content("x"), finish("length")]).err).toBe("the reply was cut: it is as long as it may be\n")
  expect(view([content("x"), finish("stop", "the thought repeated itself")]).err).toBe(
    "the thought repeated itself\n",
  )
})

test("the reply is kept whole", () => {
  const { reply } = view([
    reasoning("r"),
    content("a"),
    content("b"),
    { type: "usage", usage },
    finish("stop"),
  ])
  expect(reply).toMatchObject({ reasoning: "r", content: "ab", toolCalls: [], usage, finishReason: "stop" })
})
