// Step 6. Bare calculation, one or two operations: what all the stories are made of.

import { phrase } from "../phrase.ts"
import { add, divide, multiply, subtract } from "../steps.ts"
import type { WordKind } from "./word-problem.ts"

type Sign = "+" | "-" | "*" | "/"
const signs: readonly Sign[] = ["+", "-", "*", "/"]

const wordings = {
  en: "[What is {text}|Compute {text}|Calculate {text}|{text} =|How much is {text}|{text}][?||.]",
  zh: "[{text}等于多少|计算{text}|算一下{text}|{text}=|求{text}][?||。]",
}

const step = { "+": add, "-": subtract, "*": multiply, "/": divide } satisfies Record<
  Sign,
  (a: number, b: number) => string
>
const value = (sign: Sign, a: number, b: number) => ({ "+": a + b, "-": a - b, "*": a * b, "/": a / b })[sign]

/** numbers: the operation, its two operands. */
export const arithmetic: WordKind = {
  task: "arithmetic",
  draw: (random) => {
    const sign = random.between(0, 3)
    const most = random.pick([20, 99, 99, 500])
    const [a, b] = [random.between(1, most), random.between(1, most)]
    const digit = random.between(2, 9)
    const factor = random.between(2, 99)
    return [
      [0, a, b],
      [1, Math.max(a, b), Math.min(a, b)],
      [2, factor, digit],
      [3, factor * digit, digit],
    ][sign]
  },
  word: (random, language, [code, a, b]) => {
    const sign = signs[code]
    const shown = { "+": "+", "-": "-", "*": random.pick(["*", "x", "×"]), "/": random.pick(["/", "÷"]) }[
      sign
    ]
    const space = random.pick([" ", ""])
    const answer = value(sign, a, b)
    return {
      question: phrase(random, wordings[language], { text: `${a}${space}${shown}${space}${b}` }),
      steps: [step[sign](a, b)],
      says: language === "en" ? `It is ${answer}.` : `等于${answer}。`,
      answer,
    }
  },
}

/** numbers: two factors, then the operation (0 adds, 1 takes away) and what is added or taken. */
export const twoOperations: WordKind = {
  task: "two-operations",
  draw: (random) => {
    const a = random.between(2, 30)
    const b = random.between(2, 9)
    return [a, b, random.between(0, 1), random.between(1, Math.min(60, a * b))]
  },
  word: (random, language, [a, b, code, c]) => {
    const sign = signs[code]
    const product = a * b
    const answer = value(sign, product, c)
    const times = random.pick(["*", "x", "×"])
    const space = random.pick([" ", ""])
    const text = [`${a}`, times, `${b}`, sign, `${c}`].join(space)
    return {
      question: phrase(random, wordings[language], { text }),
      steps: [multiply(a, b), step[sign](product, c)],
      says: language === "en" ? `It is ${answer}.` : `等于${answer}。`,
      answer,
    }
  },
}
