// Step 6. Numbers that are too large for a thought: the calculator is called, and its result is told.

import { mentions } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import type { Stage } from "../script.ts"
import { drawIn } from "../split.ts"
import { callStages } from "./faults.ts"
import { drawSupport, handOff } from "./hand-off.ts"
import { otherPurposes, toolbox } from "./toolbox.ts"

const requests = {
  en: "[What is {a} {sign} {b}?|Compute {a} {sign} {b}.|Please calculate {a} {sign} {b}.|How much is {a} {sign} {b}?|Use a tool: {a} {sign} {b}]",
  zh: "[{a} {sign} {b}等于多少?|计算{a} {sign} {b}。|请算{a} {sign} {b}。|用工具算一下{a} {sign} {b}]",
}

const operations = {
  "+": (a: number, b: number) => a + b,
  "-": (a: number, b: number) => a - b,
  "*": (a: number, b: number) => a * b,
}

export function calculatorProblem(
  random: Random,
  split: Split,
  language: Language,
  faults: Problem["faults"],
): Problem {
  const inside = ["calculate", ...otherPurposes(["calculate"], random, 2)] as const
  const box = toolbox(inside, random, split, language)
  const support = drawSupport(random, language, box)
  const numbers = (r: Random): [number, number] => [r.between(1000, 99_999), r.between(100, 9999)]
  const [a, b] = drawIn(split, random, numbers, contentOf)
  const sign = random.pick(["+", "-", "*"] as const)
  const tool = box.of("calculate")
  const expression = `${a} ${sign} ${b}`
  const result = operations[sign](a, b)
  const fault = faults === "none" ? "none" : random.pick(["timeout", "malformed", "down"] as const)
  const wish = { en: "Large numbers. Use the tool.", zh: "数字很大,用工具。" }[language]
  const thought = wish + box.choice("calculate")
  const told: Stage = {
    kind: "say",
    thought: { en: "Tell the result.", zh: "告诉结果。" }[language],
    text: { en: `It is ${result}.`, zh: `等于${result}。` }[language],
    check: mentions(result),
  }
  return problemOf({
    task: "tool-calculator",
    language,
    content: [contentOf([a, b]), ...box.content],
    messages: [
      ...(support.system ? [{ role: "system" as const, content: support.system }] : []),
      { role: "user", content: phrase(random, requests[language], { a, sign, b }) },
    ],
    tools: box.tools,
    faults,
    stages: [
      ...callStages(random, language, thought, (given) => tool.call([expression], given), { result }, fault),
      ...(fault === "down" ? handOff(random, language, support) : [told]),
    ],
  })
}

function contentOf([a, b]: readonly [number, number]): string {
  return `calculator:${a},${b}`
}
