// Step 6. Facts hidden in text about other things, and questions for some of them: one needle to four, from a few
// lines to as many tokens as asked for.

import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import { drawIn } from "../split.ts"
import { drawDigits } from "../tools/ids.ts"
import { colours, places } from "../vocabulary.ts"
import { filler } from "./filler.ts"

export interface RecallOptions {
  /** About how many tokens of nano's own vocabulary the question has. */
  readonly targetTokens?: number
  /** How many values are asked for. */
  readonly needles?: number
  /** Where the first of them lies, from 0 to 1; anywhere where left out. */
  readonly depth?: number
}

interface Needle {
  readonly key: string
  readonly value: string
}

// Of nano's vocabulary, where digits are tokens of their own; a test holds the outcome against the tokenizer.
const charactersPerToken = { filler: { en: 4.5, zh: 2.8 }, facts: { en: 2.7, zh: 1.5 } }
/** The turn's own tokens. */
const frameTokens = 10

const facts = {
  en: ["The code of the {key} is {value}.", "The number of the {key} is {value}.", "Note: {key} is {value}."],
  zh: ["{key}的密码是{value}。", "{key}的号码是{value}。", "记:{key}是{value}。"],
}
const questions = {
  en: "[What is the code of the {keys}?|Which number belongs to the {keys}?|Give me the code of the {keys}.|What did the text say about the {keys}?]",
  zh: "[{keys}的密码是什么?|{keys}的号码是多少?|告诉我{keys}的密码。|文中{keys}对应什么?]",
}
const openings = {
  en: "[Read this and remember the codes.|Remember the following text.|Here is a text.|Keep this in mind.|]",
  zh: "[请读下面的文字并记住密码。|记住以下内容。|下面是一段文字。|]",
}

export function recallProblem(
  random: Random,
  split: Split,
  language: Language,
  options: RecallOptions = {},
): Problem {
  // Many facts of one text teach more than many texts with one.
  const asked = options.needles ?? random.pick([1, 1, 2, 3, 4, 6, 8])
  const mostOthers = options.needles === undefined ? 8 : 3
  const tokens = options.targetTokens ?? Math.round(64 * 2 ** (5.2 * random.next()))
  const hidden = drawNeedles(random, split, language, asked + random.between(0, mostOthers))
  const wanted = random.sample(hidden, asked)
  // The first one asked for goes in last: nothing moves it then.
  const ordered = options.depth === undefined ? hidden : [...hidden.filter((x) => x !== wanted[0]), wanted[0]]
  const keys = wanted.map(({ key }) => key)
  const question = phrase(random, questions[language], { keys: joined(language, keys) })
  const values = wanted.map(({ value }) => value).join(", ")
  return problemOf({
    task: "recall",
    language,
    content: hidden.map(contentOf),
    messages: [
      {
        role: "user",
        content: `${textOf(random, language, ordered, tokens, question, options.depth)}\n${question}`,
      },
    ],
    stages: [
      {
        kind: "say",
        thought: wanted.map(({ key, value }) => `${key}: ${value}`).join("\n"),
        text: language === "en" ? `${values}.` : `${values}。`,
        check: inOrder(wanted.map(({ value }) => value)),
      },
    ],
  })
}

/** Distinct keys; what decides the split is each key with its value. */
function drawNeedles(random: Random, split: Split, language: Language, count: number): Needle[] {
  const used = new Set<string>()
  return Array.from({ length: count }, () => {
    const needle = drawIn(
      split,
      random,
      (r) => ({ key: drawKey(r, language, used), value: drawDigits(r, 4) }),
      contentOf,
    )
    used.add(needle.key)
    return needle
  })
}

function drawKey(random: Random, language: Language, used: ReadonlySet<string>): string {
  for (;;) {
    const place = random.pick(places[language])
    const colour = random.pick(colours[language])
    const key = language === "en" ? `${colour} ${place}` : `${colour}${place}`
    if (!used.has(key)) return key
  }
}

/** Facts at random places, the last one perhaps at a given depth, among as much filler as the length leaves room for. */
function textOf(
  random: Random,
  language: Language,
  needles: readonly Needle[],
  tokens: number,
  question: string,
  depth?: number,
): string {
  const form = random.pick(facts[language])
  const said = needles.map(({ key, value }) => phrase(random, form, { key, value }))
  const opening = phrase(random, openings[language])
  const space = language === "en" ? " " : ""
  const sentences: string[] = []
  const dense = (said.join("") + opening + question).length / charactersPerToken.facts[language]
  const characters = (tokens - frameTokens - dense) * charactersPerToken.filler[language]
  for (let length = 0; length < characters; length += sentences[sentences.length - 1].length + space.length)
    sentences.push(filler(random, language))
  for (const [i, fact] of said.entries()) {
    const chosen = depth !== undefined && i === said.length - 1
    const at = chosen ? Math.round(depth * sentences.length) : random.between(0, sentences.length)
    sentences.splice(at, 0, fact)
  }
  return (opening === "" ? "" : opening + space) + sentences.join(space)
}

/** The values in the order they were asked for, and no other number. */
function inOrder(values: readonly string[]) {
  return (content: string) => {
    const got = content.match(/\d+/g) ?? []
    return got.join() === values.join()
      ? undefined
      : `the answer gives ${got.join(", ")}, ${values.join(", ")} is right`
  }
}

function contentOf({ key, value }: Needle): string {
  return `needle:${key}=${value}`
}

function joined(language: Language, keys: readonly string[]): string {
  if (keys.length === 1) return keys[0]
  const [last, ...rest] = [...keys].reverse()
  return language === "en"
    ? `${rest.reverse().join(", the ")} and the ${last}`
    : `${rest.reverse().join("、")}和${last}`
}
