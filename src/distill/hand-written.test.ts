import { expect, test } from "vitest"
import { handWritten } from "./hand-written.ts"

test("there are fifty different questions in both languages, the quick start's first", () => {
  const problems = handWritten()
  expect(problems).toHaveLength(50)
  expect(new Set(problems.map(({ messages }) => messages[0].content)).size).toBe(50)
  expect(new Set(problems.map(({ language }) => language))).toEqual(new Set(["en", "zh"]))
  expect(problems[0].messages[0].content).toContain("35 heads and 94 legs")
})

test("only the right number in the box solves one", () => {
  const [farm] = handWritten()
  const verdict = (content: string) => {
    const play = farm.play()
    play.respond({ role: "assistant", content })
    return play.verdict().solved
  }
  expect(verdict("There are 23 chickens. \\boxed{23}")).toBe(true)
  expect(verdict("There are 12 chickens. \\boxed{12}")).toBe(false)
  expect(verdict("23")).toBe(false)
})
