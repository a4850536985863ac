// Step 6. Text to be said again to the letter: words, names, ids and figures in an order that means nothing, so that
// nothing but copying gets it right. Calls copy names and ids in just this way.

import { exactly } from "../checks.ts"
import { madeUpCity, madeUpPerson, madeUpWord } from "../made-up.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import { drawIn } from "../split.ts"
import { drawId } from "../tools/ids.ts"
import { cities, colours, goods, names, places, products } from "../vocabulary.ts"

const requests = {
  en: "[Repeat|Say|Copy|Write once more|Say after me|Repeat this|Echo|Say again][: | - |:\n]{text}",
  zh: "[重复|复述|照抄|跟我说|再说一遍|照着写][:|:\n]{text}",
}

export function copyProblem(random: Random, split: Split, language: Language): Problem {
  const contentOf = (text: string) => `copy:${text}`
  const text = drawIn(split, random, (r) => drawText(r, split, language), contentOf)
  return problemOf({
    task: "copying",
    language,
    content: [contentOf(text)],
    messages: [{ role: "user", content: phrase(random, requests[language], { text }) }],
    stages: [{ kind: "say", thought: { en: "Copy.", zh: "照抄。" }[language], text, check: exactly(text) }],
  })
}

function drawText(random: Random, split: Split, language: Language): string {
  const count = random.between(2, 14)
  const separator = random.pick([" ", " ", ", ", "_", "\n", " - "])
  return Array.from({ length: count }, () => drawWord(random, split, language)).join(separator)
}

export function drawWord(random: Random, split: Split, language: Language): string {
  const listed = () =>
    random.pick(
      [names, cities, colours, places, products].map((lists) => lists[language])[random.between(0, 4)],
    )
  const draw = random.pick([
    () => madeUpWord(random),
    () => madeUpWord(random),
    () => madeUpPerson(random, language),
    () => madeUpCity(random, language),
    () => drawId(random, split).text,
    () => String(random.between(0, 9999)),
    () => random.pick(goods[language]).many,
    listed,
  ])
  return draw()
}
