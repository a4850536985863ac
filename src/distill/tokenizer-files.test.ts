import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { readFormat } from "../chat/format.ts"
import { ChatTemplate } from "../chat/template.ts"
import { loadTokenizer } from "../tokenizer/tokenizer.ts"
import { trainOnProblems } from "./bpe-corpus.ts"
import { plainTokens, specialTokens, writeTokenizer } from "./tokenizer-files.ts"
import { encodeTrace, turnsOf } from "./world/conversation.ts"
import type { Mode, Problem } from "./world/problem.ts"
import { nanoTemplate } from "./world/template.ts"
import { problems, taskNames } from "./world/world.ts"
import type { ProblemOptions } from "./world/world.ts"

const template = ChatTemplate.compile(nanoTemplate)
const settings = { chatTemplate: nanoTemplate, maxPositions: 4096, temperature: 0.6, topP: 0.95, topK: 20 }
const train = (vocabulary: number) =>
  trainOnProblems({
    problems: problems({ split: "train", seed: 1 }),
    numProblems: 4000,
    template,
    vocabulary,
  })
const written = writeTokenizer(train(4096), settings)
const files = new Map(Object.entries(written).map(([name, text]) => [name, new TextEncoder().encode(text)]))
const tokenizer = loadTokenizer(files)
const modes: readonly Mode[] = ["thinking", "plain"]

function take(count: number, options: Partial<ProblemOptions>): Problem[] {
  const taken: Problem[] = []
  for (const problem of problems({ split: "train", seed: 11, ...options }))
    if (taken.push(problem) === count) break
  return taken
}

describe("nano's tokenizer", () => {
  test("has the size asked for, with Qwen's special tokens behind the merged ones", () => {
    expect(tokenizer.size).toBe(4096)
    const names = [...specialTokens, ...plainTokens]
    expect(names.map((name) => tokenizer.idOf(name))).toEqual(names.map((_, i) => 4096 - names.length + i))
    for (const name of names) expect(tokenizer.encode(name)).toHaveLength(1)
    expect(tokenizer.isSpecial(tokenizer.idOf("<|im_end|>") ?? -1)).toBe(true)
    expect(tokenizer.isSpecial(tokenizer.idOf("<think>") ?? -1)).toBe(false)
  })

  test("comes with its template and its generation settings", () => {
    expect(readFormat(files)).toMatchObject({ family: "hybrid", toolFormat: "hermes" })
    expect(JSON.parse(written["generation_config.json"])).toMatchObject({
      eos_token_id: [tokenizer.idOf("<|im_end|>"), tokenizer.idOf("<|endoftext|>")],
      pad_token_id: tokenizer.idOf("<|endoftext|>"),
    })
  })

  test("gives any text back", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 200 }).map((value) => value.normalize("NFC"))
    fc.assert(
      fc.property(text, (value) => {
        expect(tokenizer.decode(tokenizer.encode(value))).toBe(value)
      }),
    )
    for (const problem of take(300, {}))
      for (const { prompt, reply } of turnsOf(template, problem, "thinking"))
        expect(tokenizer.decode(tokenizer.encode(prompt + reply))).toBe(prompt + reply)
  })

  test("is the same when trained again", () => {
    expect(writeTokenizer(train(4096), settings)).toEqual(written)
  })

  test("needs few tokens for what it was trained on", () => {
    const mean = (tasks: readonly string[]) => {
      const lengths = take(200, { tasks }).flatMap((problem) =>
        encodeTrace(tokenizer, template, problem, "thinking").map(({ ids }) => ids.length),
      )
      return lengths.reduce((sum, length) => sum + length, 0) / lengths.length
    }
    expect(mean(["heads-and-legs"])).toBeLessThan(150)
    expect(mean(["tool-flow"])).toBeLessThan(500)
    // Recall is as long as it is asked to be.
    expect(mean(taskNames.filter((task) => task !== "recall"))).toBeLessThan(200)
  })

  test.each(["en", "zh"] as const)("measures recall as long as it was asked for: %s", (language) => {
    for (const targetTokens of [128, 512, 2048])
      for (const needles of [1, 4]) {
        const recall = { targetTokens: targetTokens + 64 * (needles - 1), needles }
        const lengths = take(10, { tasks: ["recall"], languages: [language], recall }).map(
          (problem) => tokenizer.encode(turnsOf(template, problem, "plain")[0].prompt).length,
        )
        const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length
        expect(Math.abs(mean / recall.targetTokens - 1), `${recall.targetTokens}: ${mean}`).toBeLessThan(0.15)
      }
  })
})

describe("an encoded trace", () => {
  test("is one sequence where the template shows all turns as they were generated", () => {
    for (const mode of modes)
      for (const problem of take(200, { tasks: ["tool-lookup", "heads-and-legs", "recall"] })) {
        const sequences = encodeTrace(tokenizer, template, problem, mode)
        const turns = turnsOf(template, problem, mode)
        const last = turns[turns.length - 1]
        expect(sequences).toHaveLength(1)
        expect([...sequences[0].ids]).toEqual([...tokenizer.encode(last.prompt + last.reply)])
      }
  })

  test("begins again where an old thought is dropped", () => {
    const twoTurns = take(400, { tasks: ["dialogue"] }).filter(
      (problem) => problem.trace("plain").filter(({ role }) => role === "user").length === 1,
    )
    expect(twoTurns.length).toBeGreaterThan(10)
    for (const problem of twoTurns) {
      const turns = turnsOf(template, problem, "thinking")
      const sequences = encodeTrace(tokenizer, template, problem, "thinking")
      expect(sequences.map(({ ids }) => tokenizer.decode(ids))).toEqual(
        turns.map(({ prompt, reply }) => prompt + reply),
      )
      expect(turns[1].prompt).not.toContain("<think>")
    }
  })

  test("weighs what the assistant wrote with 1, end of turn included, and the rest as asked", () => {
    for (const problem of take(100, { tasks: ["tool-flow"] })) {
      for (const { ids, weights } of encodeTrace(tokenizer, template, problem, "plain", {
        promptWeight: 0.25,
      })) {
        const own = tokenizer.decode(ids.filter((_, i) => weights[i] === 1))
        expect(new Set(weights)).toEqual(new Set([0.25, 1]))
        expect(own.endsWith("<|im_end|>")).toBe(true)
        expect(own).not.toContain("<|im_start|>")
        expect(own).not.toContain("<tool_response>")
      }
    }
  })
})
