// Step 6. Two prices at once: what two baskets cost, or one basket and one price.

import { phrase } from "../phrase.ts"
import { askedFor, divide, multiply, subtract } from "../steps.ts"
import type { Language } from "../problem.ts"
import { goods } from "../vocabulary.ts"
import type { Noun } from "../vocabulary.ts"
import type { WordKind } from "./word-problem.ts"

const counted = (language: Language, count: number, noun: Noun) =>
  language === "zh" ? `${count}个${noun.one}` : `${count} ${count === 1 ? noun.one : noun.many}`

/** numbers: how many of each, the prices of each. */
export const priceOfOther: WordKind = {
  task: "price-of-other",
  draw: (random) => [
    random.between(1, 6),
    random.between(2, 6),
    random.between(2, 12),
    random.between(2, 12),
  ],
  word: (random, language, [countA, countB, priceA, priceB]) => {
    const [a, b] = random.sample(goods[language], 2)
    const total = countA * priceA + countB * priceB
    const pattern = {
      en: "[{basket} cost {total} [dollars|euros|coins|] [together|in all|]|{basket} together cost {total}]. [One|A single|Each] {a} costs {price}. [How much is one {b}|What does one {b} cost|What is the price of one {b}|How much does each {b} cost]?",
      zh: "{basket}[一共|共|总共]{total}元,[一个|每个]{a}{price}元,[一个{b}多少钱|每个{b}多少元|{b}每个几元]?",
    }[language]
    const basket = basketOf(language, countA, a, countB, b)
    return {
      question: phrase(random, pattern, { basket, total, a: a.one, b: b.one, price: priceA }),
      steps: [
        `${a.many}: ${multiply(priceA, countA)}`,
        `${b.many}: ${subtract(total, countA * priceA)}`,
        `${language === "en" ? "one" : "一个"}: ${divide(countB * priceB, countB)}`,
      ],
      says: language === "en" ? `One ${b.one} costs ${priceB}.` : `一个${b.one}${priceB}元。`,
      answer: priceB,
    }
  },
}

/** numbers: how many of one kind in both baskets, of the other in each, the prices of each. */
export const twoBaskets: WordKind = {
  task: "two-baskets",
  draw: (random) => {
    const fewer = random.between(1, 4)
    return [
      random.between(1, 5),
      fewer,
      fewer + random.between(1, 4),
      random.between(2, 12),
      random.between(2, 12),
    ]
  },
  word: (random, language, [countA, fewer, more, priceA, priceB]) => {
    const [a, b] = random.sample(goods[language], 2)
    const small = countA * priceA + fewer * priceB
    const large = countA * priceA + more * priceB
    const asked = random.pick(["a", "b"] as const)
    const values = {
      small,
      large,
      first: basketOf(language, countA, a, fewer, b),
      second: basketOf(language, countA, a, more, b),
      asked: { a: a.one, b: b.one }[asked],
    }
    return {
      question: phrase(random, basketWordings[language], values),
      steps: basketSteps(language, [countA, fewer, more, priceA, priceB], [a, b], asked),
      says:
        language === "en"
          ? `One ${values.asked} costs ${asked === "a" ? priceA : priceB}.`
          : `一个${values.asked}${asked === "a" ? priceA : priceB}元。`,
      answer: asked === "a" ? priceA : priceB,
    }
  },
}

const basketWordings = {
  en: "{first} cost {small}[,|.|;] {second} cost {large}. [How much is one {asked}|What does one {asked} cost|What is the price of one {asked}]?",
  zh: "{first}[一共|共]{small}元,{second}[一共|共]{large}元,[一个{asked}多少钱|每个{asked}多少元]?",
}

/** The baskets differ in one kind only, which gives its price, and that gives the other's. */
function basketSteps(
  language: Language,
  [countA, fewer, more, priceA, priceB]: readonly number[],
  [a, b]: readonly Noun[],
  asked: "a" | "b",
): string[] {
  const label = (text: string) => `${text}: `
  const small = countA * priceA + fewer * priceB
  return [
    askedFor(language, { a: a.one, b: b.one }[asked]),
    label(b.many) + subtract(more, fewer),
    label(counted(language, more - fewer, b)) + subtract(small + (more - fewer) * priceB, small),
    ...(more - fewer > 1
      ? [label(counted(language, 1, b)) + divide((more - fewer) * priceB, more - fewer)]
      : []),
    ...(asked === "b"
      ? []
      : [
          label(counted(language, fewer, b)) + multiply(priceB, fewer),
          label(counted(language, countA, a)) + subtract(small, fewer * priceB),
          ...(countA > 1 ? [label(counted(language, 1, a)) + divide(countA * priceA, countA)] : []),
        ]),
  ]
}

function basketOf(language: Language, countA: number, a: Noun, countB: number, b: Noun): string {
  return `${counted(language, countA, a)}${language === "en" ? " and " : "和"}${counted(language, countB, b)}`
}
