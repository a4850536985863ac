import { describe, expect, test } from "vitest"
import { readFormat } from "../chat/format.ts"
import { ChatTemplate } from "../chat/template.ts"
import { trainOnProblems } from "../distill/bpe-corpus.ts"
import { writeTokenizer } from "../distill/tokenizer-files.ts"
import { nanoTemplate } from "../distill/world/template.ts"
import { problems } from "../distill/world/world.ts"
import { loadTokenizer } from "../tokenizer/tokenizer.ts"
import { plannedPrompts, promptsFrom } from "./kv-prompts.ts"
import type { Speech } from "./kv-prompts.ts"

/** A small tokenizer of the world's text. */
function trainedSpeech(): Speech {
  const bpe = trainOnProblems({
    problems: problems({ split: "train", seed: 1 }),
    numProblems: 200,
    template: ChatTemplate.compile(nanoTemplate),
    vocabulary: 700,
  })
  const texts = writeTokenizer(bpe, {
    chatTemplate: nanoTemplate,
    maxPositions: 4096,
    temperature: 0,
    topP: 1,
    topK: 0,
  })
  const files = new Map(Object.entries(texts).map(([name, text]) => [name, new TextEncoder().encode(text)]))
  return { format: readFormat(files), tokenizer: loadTokenizer(files) }
}

const speech = trainedSpeech()
const plan = { lengths: [600, 1200], depths: 3, needles: 1, wordProblems: 2, seed: 1 }
const tokens = (text: string) => [...speech.tokenizer.encode(text)]

describe("planned prompts", () => {
  const prompts = plannedPrompts(plan, speech)

  test("are so many needles and word problems of each length", () => {
    expect(prompts.map(({ kind }) => kind)).toEqual(
      plan.lengths.flatMap(() => ["needles", "needles", "needles", "word problems", "word problems"]),
    )
  })

  test("hold their needle at the depth that they say", () => {
    for (const { kind, ids, questions } of prompts) {
      if (kind !== "needles") continue
      const [{ depth = NaN, isRight }] = questions
      const text = speech.tokenizer.decode(ids)
      // The needle is the fact whose value is the right answer.
      const values = [...text.matchAll(/\b\d{4}\b/g)].filter(([value]) => isRight(tokens(value)))
      expect(values).toHaveLength(1)
      expect(Math.abs(values[0].index / text.length - depth)).toBeLessThan(0.15)
    }
  })

  test("are word problems behind texts as long as they were asked to be", () => {
    for (const { kind, ids, questions } of prompts.slice(5)) {
      if (kind !== "word problems") continue
      expect(ids.length).toBeGreaterThanOrEqual(1199)
      expect(ids.length).toBeLessThan(1300)
      expect(speech.tokenizer.decode(ids)).toMatch(/\n[^0-9\n]{1000,}\n.*[0-9]/)
      expect(questions[0].isRight(tokens("no answer"))).toBe(false)
    }
  })
})

test("planned prompts leave the thought to a model that may think, and judge what comes after it", () => {
  const [off] = plannedPrompts({ ...plan, wordProblems: 0 }, speech)
  const [on] = plannedPrompts({ ...plan, wordProblems: 0, thinking: "on" }, speech)
  const whole = ({ ids, questions }: typeof on) => speech.tokenizer.decode([...ids, ...questions[0].ids])
  expect(whole(off)).toBe(`${whole(on)}<think>\n\n</think>\n\n`)
  const value = [...whole(on).matchAll(/\b\d{4}\b/g)].find(([four]) => off.questions[0].isRight(tokens(four)))
  const { isRight } = on.questions[0]
  expect(isRight(tokens(`<think>\nIt is there.\n</think>\n\n${value?.[0]}`))).toBe(true)
  expect(isRight(tokens(`<think>\n${value?.[0]}`))).toBe(false)
})

describe("prompts from a file", () => {
  const read = (text: string) => promptsFrom("p.jsonl", text, speech.tokenizer)

  test("are ids or text, with questions or without", () => {
    const [one, two] = read(
      '{"ids":[1,2],"questions":[{"ids":[3],"answer":[4,5],"depth":0.5}]}\n\n{"text":"Hello"}\n',
    )
    expect([...one.ids]).toEqual([1, 2])
    expect(one.questions[0].isRight([4, 5, 6])).toBe(true)
    expect(one.questions[0].isRight([4])).toBe(false)
    expect(one.questions[0].depth).toBe(0.5)
    expect(two.ids).toEqual(speech.tokenizer.encode("Hello"))
    expect(two.questions).toEqual([])
  })

  test("may have a kind, and questions that put ids into the text", () => {
    const [{ kind, questions }] = read(
      '{"kind":"words","ids":[1,2,3],"questions":[{"ids":[3],"answer":[4],"put":{"at":1,"ids":[8,9]}}]}',
    )
    expect(kind).toBe("words")
    expect(questions[0].put).toEqual({ at: 1, ids: Int32Array.of(8, 9) })
  })

  test.each([
    ["", /p\.jsonl has no prompts/],
    ["nonsense", /p\.jsonl, line 1: .*JSON/],
    ["[1]", /line 1: no JSON object/],
    ['{"text":"a"}\n{"ids":[-1]}', /line 2: neither text nor ids/],
    ['{"ids":[1],"questions":[{"ids":[1],"answer":[]}]}', /line 1: a question lacks ids or an answer/],
    ['{"ids":[1],"questions":3}', /line 1: questions are no list/],
    ['{"ids":[1],"kind":3}', /line 1: a kind that is no text/],
    [
      '{"ids":[1,2],"questions":[{"ids":[1],"answer":[1],"put":7}]}',
      /line 1: a question puts something else/,
    ],
    [
      '{"ids":[1,2],"questions":[{"ids":[1],"answer":[1],"put":{"at":1,"ids":[3,4]}}]}',
      /line 1: a question puts .* beyond its end/,
    ],
  ])("are refused with the line: %s", (text, message) => expect(() => read(text)).toThrow(message))
})
