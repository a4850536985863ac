// Step 6. A list of records, to be said again in another order. What stands between a key and its value is the same in
// all records, from a single mark to several words: the value is found by who looks further back than that. A thought
// that quotes a tool's description and then its name does just this.

import { exactly } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import { drawIn } from "../split.ts"
import { drawWord } from "./copying.ts"

interface Form {
  /** What is said again; `k` and `v` stand for key and value. */
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

interface Entry {
  readonly key: string
  readonly value: string
}

export function recordsProblem(random: Random, split: Split, language: Language): Problem {
  const form = random.pick(forms)
  const entries = drawEntries(random, split, language)
  const asked = random.sample(entries, random.between(1, entries.length))
  const said = asked.map((entry) => sayIn(form, entry)).join("\n")
  const [before, after] = form.around ?? ["", ""]
  const list = entries.map((entry) => before + sayIn(form, entry) + after).join("\n")
  const keys = asked.map(({ key }) => key).join(language === "en" ? ", " : "、")
  return problemOf({
    task: "records",
    language,
    content: entries.map(contentOf),
    messages: [{ role: "user", content: `${list}\n${phrase(random, requests[language], { keys })}` }],
    stages: [
      { kind: "say", thought: { en: "Copy.", zh: "照抄。" }[language], text: said, check: exactly(said) },
    ],
  })
}

/** Distinct keys; what decides the split is each key with its value. */
function drawEntries(random: Random, split: Split, language: Language): Entry[] {
  const words = (r: Random, most: number) =>
    Array.from({ length: r.between(1, most) }, () => drawWord(r, split, language))
  const draw = (r: Random): Entry => ({ key: words(r, 3).join(" "), value: words(r, 2).join("_") })
  const drawn = Array.from({ length: random.between(2, 8) }, () => drawIn(split, random, draw, contentOf))
  return [...new Map(drawn.map((entry) => [entry.key, entry])).values()]
}

function sayIn({ said: [begin, between, end] }: Form, { key, value }: Entry): string {
  return begin + key + between + value + end
}

const contentOf = ({ key, value }: Entry) => `record:${key}=${value}`
