// Step 6. A kind of word problem in, problems of it out: question, steps of the thought, one sentence with the boxed
// answer. The numbers decide the split; the wording is free.

import { boxed } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import { drawIn } from "../split.ts"

export interface Worded {
  readonly question: string
  /** The lines of the thought. */
  readonly steps: readonly string[]
  /** A sentence that says the answer. */
  readonly says: string
  /** What goes into the box. */
  readonly answer: string | number
}

export interface WordKind {
  readonly task: string
  draw(random: Random): readonly number[]
  /** Which of the numbers are the content; all of them where this is left out. */
  contentOf?(numbers: readonly number[]): readonly number[]
  word(random: Random, language: Language, numbers: readonly number[]): Worded
}

// Most questions stand alone; some come with what people write around them.
const frames = {
  en: "[||||||Please solve this: |Here is a riddle: |Help me: |A question: ]{question}[||||||| Thanks!| Explain it shortly.| Give the number.]",
  zh: "[||||||请解答:|有一道题:|帮我算一下:|请问:]{question}[||||||||谢谢!|请直接给出答案。]",
}

export function wordProblem(kind: WordKind, random: Random, split: Split, language: Language): Problem {
  const contentOf = (numbers: readonly number[]) =>
    `${kind.task}:${(kind.contentOf?.(numbers) ?? numbers).join(",")}`
  const numbers = drawIn(split, random, (r) => kind.draw(r), contentOf)
  const { question, steps, says, answer } = kind.word(random, language, numbers)
  return problemOf({
    task: kind.task,
    language,
    content: [contentOf(numbers)],
    messages: [{ role: "user", content: phrase(random, frames[language], { question }) }],
    stages: [
      {
        kind: "say",
        thought: steps.join("\n"),
        text: `${says} \\boxed{${answer}}`,
        check: boxed(String(answer)),
      },
    ],
  })
}
