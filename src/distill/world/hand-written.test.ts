import { expect, test } from "vitest"
import type { Json } from "../../types.ts"
import type { AssistantMessage } from "./problem.ts"
import { handWritten } from "./hand-written.ts"

const contentOf = (value: Json | undefined) => String(value)

test("there are fifty hand-written problems, no two the same, in both languages", () => {
  const questions = handWritten.map(({ messages }) => messages[0].content)
  expect(new Set(questions).size).toBe(50)
  expect(handWritten.filter(({ language }) => language === "zh").length).toBe(16)
})

test("every step of a hand-written problem is right, and the last one is the answer", () => {
  for (const problem of handWritten) {
    const [reply] = problem.trace("thinking")
    const thought = reply.reasoning_content ?? ""
    for (const [equation, left, right] of thought.matchAll(/([\d+\-*/]+)=(\d+)/g)) {
      const value = [...left.matchAll(/([-+*/]?)(\d+)/g)].reduce(
        (sum, [, sign, digits]) => apply(sign, sum, Number(digits)),
        0,
      )
      expect(value, equation).toBe(Number(right))
    }
    const answer = /\\boxed\{(\d+)\}/.exec(contentOf(reply.content as string))?.[1]
    expect(thought.match(/\d+$/)?.[0]).toBe(answer)
    const play = problem.play()
    play.respond(reply as AssistantMessage)
    expect(play.verdict().solved).toBe(true)
  }
})

function apply(sign: string, a: number, b: number): number {
  return { "": b, "+": a + b, "-": a - b, "*": a * b, "/": a / b }[sign] ?? Number.NaN
}
