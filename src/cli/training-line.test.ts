import { describe, expect, test } from "vitest"
import type { DistilProgress } from "../distill/distill.ts"
import { TrainingLine, progressText } from "./training-line.ts"

const training = (share: number): DistilProgress => {
  return {
    phase: "training",
    unit: "student-1-traces",
    share,
    loss: 0.8123,
    tokensPerSecond: 9310.2,
    secondsLeft: 723,
  }
}

function written(progress: readonly DistilProgress[], isTTY: boolean): string {
  let text = ""
  const line = new TrainingLine({ write: (more) => (text += more), isTTY, columns: 60 })
  for (const one of progress) line.update(one)
  line.end()
  return text
}

test("says stage, loss, speed and the time that is left", () => {
  expect(progressText(training(0.446))).toBe(
    "student-1-traces 44 %  loss 0.812  9,310 tokens/s  12 min 03 s left",
  )
  expect(progressText(training(1))).toBe("student-1-traces 100 %  loss 0.812  9,310 tokens/s")
  const sampling: DistilProgress = { phase: "sampling", unit: "student-2-on-policy", done: 1200, all: 4000 }
  expect(progressText(sampling)).toBe("student-2-on-policy: sampling 1,200 of 4,000")
})

describe("the line", () => {
  const all: DistilProgress[] = [{ phase: "tokenizer" }, training(0.1), training(0.2), training(1)]

  test("is rewritten in place on a terminal, one line for each part", () => {
    const text = written(all, true)
    expect(text.split("\n")).toHaveLength(3)
    expect(text).toContain("\rstudent-1-traces 10 %")
    expect(text).not.toContain("20 %")
    expect(text.split(/[\r\n]/).every((line) => line.length <= 59 + "\x1b[K".length)).toBe(true)
  })

  test("is a plain line at the beginning and end of a part elsewhere", () => {
    const lines = written(all, false).split("\n")
    expect(lines.map((line) => line.slice(0, 22))).toEqual([
      "tokenizer",
      "student-1-traces 10 % ",
      "student-1-traces 100 %",
      "",
    ])
  })
})
