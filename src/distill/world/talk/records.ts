// Step 6. A list of records, to be said again in another order. What stands between a key and its value is the same in
// all records, from a single mark to several words: the value is found by who looks further back than that. A thought
// that quotes a tool's description and then its name does just this, so some of the lists are lists of tools.

import type { Message, Tool } from "../../../types.ts"
import { exactly } from "../checks.ts"
import { madeUpWord } from "../made-up.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import { drawIn } from "../split.ts"
import { pickNaming, quoteOf, toolOf } from "../tools/kit.ts"
import { purposes } from "../tools/purposes.ts"
import { colours, goods, places, products } from "../vocabulary.ts"
import { drawWord } from "./copying.ts"

interface Form {
  /** What is said again; between the strings stand key and value. */
  readonly said: readonly [begin: string, between: string, end: string]
  /** What the record has around that. */
  readonly around?: readonly [before: string, after: string]
}

const forms: readonly Form[] = [
  { said: ["", ": ", ""] },
  { said: ["", " = ", ";"] },
  { said: ["", " | ", ""] },
  { said: ["", " -> ", ""] },
  { said: ["", " is called ", "."] },
  { said: ["", ", name: ", ""] },
  { said: ["", ". Number: ", ""] },
  { said: ['"', '", "', '"'], around: ["[", "]"] },
  { said: ['"key": "', '", "value": "', '"'], around: ["{", "}"] },
  { said: ['"description": "', '.", "name": "', '"'], around: ["{", "}"] },
  { said: ['"description": "', '。", "name": "', '"'], around: ["{", "}"] },
  { said: ['"description": "', '.", "name": "', '"'], around: ["{", ', "parameters": {"type": "object"}}'] },
]

const requests = {
  en: "[Say these again|Repeat|Copy], in this order: {keys}.",
  zh: "[按这个顺序重复|照抄|按顺序说]:{keys}。",
}

/** Keys that share most of their words. */
const sentences = {
  en: [
    "Get the {colour} {thing}",
    "Find the {thing} of a {place}",
    "Look up a {thing} by its {place}",
    "{thing} by {place}",
    "The {colour} {place}",
    "How many {goods} are in the {place}",
    "List the {goods} of a {colour} {place}",
    "Send a {thing} to the {place}",
  ],
  zh: [
    "查询{colour}{thing}",
    "按{place}查{thing}",
    "查看{place}里的{goods}",
    "{place}的{thing}",
    "{place}里有多少{goods}",
    "把{thing}放进{place}",
  ],
}

interface Entry {
  readonly key: string
  readonly value: string
}

/** The list as text, or as tools, and how a record of it is said again. */
interface List {
  readonly text?: string
  readonly tools?: readonly Tool[]
  say(entry: Entry): string
}

export function recordsProblem(random: Random, split: Split, language: Language): Problem {
  const asTools = random.chance(0.4)
  const entries = drawEntries(random, split, language, asTools)
  const list = asTools ? toolList(random, language, entries) : textList(random.pick(forms), entries)
  const asked = random.sample(entries, random.between(1, entries.length))
  const said = asked.map((entry) => list.say(entry)).join("\n")
  const keys = asked.map(({ key }) => key).join(language === "en" ? ", " : "、")
  const request = phrase(random, requests[language], { keys })
  return problemOf({
    task: "records",
    language,
    content: entries.map(contentOf),
    messages: messagesOf(random, list.text, request),
    tools: list.tools,
    stages: [
      { kind: "say", thought: { en: "Copy.", zh: "照抄。" }[language], text: said, check: exactly(said) },
    ],
  })
}

/** Distinct keys; what decides the split is each key with its value. */
function drawEntries(random: Random, split: Split, language: Language, asTools: boolean): Entry[] {
  const words = (r: Random, most: number) =>
    Array.from({ length: r.between(1, most) }, () => drawWord(r, split, language))
  const one = random.pick(sentences[language])
  const drawKey = random.pick([
    (r: Random) => words(r, 3).join(" "),
    (r: Random) => sentence(r, language, one),
    (r: Random) => sentence(r, language, r.pick(sentences[language])),
    (r: Random) => description(r, language),
  ])
  const naming = pickNaming(random, 1)
  const drawValue = (r: Random) =>
    asTools ? naming.spell(madeUpWord(r), madeUpWord(r)) : words(r, 2).join("_")
  const draw = (r: Random): Entry => ({ key: drawKey(r), value: drawValue(r) })
  const drawn = Array.from({ length: random.between(2, 8) }, () => drawIn(split, random, draw, contentOf))
  return [...new Map(drawn.map((entry) => [entry.key, entry])).values()]
}

function textList(
  { said: [begin, between, end], around: [before, after] = ["", ""] }: Form,
  entries: readonly Entry[],
): List {
  const say = ({ key, value }: Entry) => begin + key + between + value + end
  return { say, text: entries.map((entry) => before + say(entry) + after).join("\n") }
}

function toolList(random: Random, language: Language, entries: readonly Entry[]): List {
  const stop = language === "en" ? "." : "。"
  const argument = () => random.pick(random.pick(Object.values(purposes)).arguments)
  const tools = entries.map(({ key, value }) => {
    const { names, type } = argument()
    return toolOf(value, key + stop, { [random.pick(names)]: { type } })
  })
  return { say: ({ key, value }) => quoteOf(key + stop, value), tools }
}

/** Where there is a text, it stands before the request or in a message of its own. */
function messagesOf(random: Random, text: string | undefined, request: string): Message[] {
  if (text === undefined) return [{ role: "user", content: request }]
  if (random.chance(0.6)) return [{ role: "user", content: `${text}\n${request}` }]
  return [
    { role: "system", content: text },
    { role: "user", content: request },
  ]
}

function sentence(random: Random, language: Language, pattern: string): string {
  return phrase(random, pattern, {
    colour: random.pick(colours[language]),
    thing: random.pick(products[language]),
    goods: random.pick(goods[language]).many,
    place: random.pick(places[language]),
  })
}

/** A tool's, without its full stop. */
function description(random: Random, language: Language): string {
  return random.pick(random.pick(Object.values(purposes)).descriptions[language]).slice(0, -1)
}

const contentOf = ({ key, value }: Entry) => `record:${key}=${value}`
