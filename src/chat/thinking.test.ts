import { describe, expect, test } from "vitest"
import { UserError } from "../util/errors.ts"
import { beginsThinking, stopThinkingText, thinkingVariables } from "./thinking.ts"

describe("a request's thinking", () => {
  test("is a variable of hybrid templates", () => {
    expect(thinkingVariables("hybrid", "on")).toEqual({ enable_thinking: true })
    expect(thinkingVariables("hybrid", { budget: 100 })).toEqual({ enable_thinking: true })
    expect(thinkingVariables("hybrid", "off")).toEqual({ enable_thinking: false })
  })

  test("may be what the checkpoint does anyway, or unsaid", () => {
    expect(thinkingVariables("thinking", "on")).toEqual({})
    expect(thinkingVariables("thinking", { budget: 100 })).toEqual({})
    expect(thinkingVariables("plain", "off")).toEqual({})
    for (const family of ["hybrid", "thinking", "plain"] as const)
      expect(thinkingVariables(family, undefined)).toEqual({})
  })

  test("is refused where the checkpoint cannot", () => {
    expect(() => thinkingVariables("thinking", "off")).toThrow(UserError)
    expect(() => thinkingVariables("plain", "on")).toThrow(/cannot think/)
    expect(() => thinkingVariables("plain", { budget: 100 })).toThrow(UserError)
  })
})

test.each([
  ["<|im_start|>assistant\n<think>\n", true],
  ["<|im_start|>assistant\n", false],
  ["<|im_start|>assistant\n<think>\n\n</think>\n\n", false],
  ["<|im_start|>assistant\n<think>\nSo far", true],
  ["<|im_start|>user\n<think><|im_end|>\n<|im_start|>assistant\n", false],
  ["<|im_start|>user\n</think><|im_end|>\n<|im_start|>assistant\n<think>\n", true],
  ["User: a\nAssistant: <think>\n", true],
  ["Explain <think> to me", false],
  ["", false],
])("a reply to %j begins thinking: %s", (prompt, expected) => expect(beginsThinking(prompt)).toBe(expected))

test("the stop text ends the thought as Qwen's own does", () => {
  expect(stopThinkingText).toBe(
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n</think>\n\n",
  )
})
