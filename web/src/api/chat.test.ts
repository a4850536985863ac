import { expect, test } from "vitest"
import { eventsOf } from "./chat.ts"

const chunk = (delta: object, rest: object = {}) => ({ choices: [{ delta, ...rest }] })

test("thoughts, text and calls come out of chunks, and empty pieces do not", () => {
  expect(eventsOf(chunk({ role: "assistant", content: "" }), 1)).toEqual([])
  expect(eventsOf(chunk({ reasoning_content: "Hm", reasoning: "Hm" }), 2)).toEqual([
    { type: "thought", text: "Hm", atMs: 2 },
  ])
  const called = { tool_calls: [{ index: 0, id: "call_1", function: { name: "add", arguments: "" } }] }
  expect(eventsOf(chunk(called), 3)).toEqual([
    { type: "call", index: 0, id: "call_1", name: "add", arguments: "", atMs: 3 },
  ])
  expect(eventsOf(chunk({}, { finish_reason: "length", diagnostic: "cut" }), 4)).toEqual([
    { type: "finish", reason: "length", diagnostic: "cut", atMs: 4 },
  ])
})

test("the last chunk has the counts", () => {
  const usage = {
    prompt_tokens: 11,
    completion_tokens: 5,
    prompt_tokens_details: { cached_tokens: 7 },
    completion_tokens_details: { reasoning_tokens: 2 },
  }
  expect(eventsOf({ choices: [], usage }, 9)).toEqual([
    { type: "usage", promptTokens: 11, cachedTokens: 7, tokens: 5, thoughtTokens: 2, atMs: 9 },
  ])
})

test("an error in the stream is thrown in the server's words", () => {
  expect(() => eventsOf({ error: { message: "the server is shutting down" } }, 1)).toThrow(
    "the server is shutting down",
  )
})
