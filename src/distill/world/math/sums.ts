// Step 6. Two amounts of which the sum and the difference are known: numbers, ages, prices, things.

import { phrase } from "../phrase.ts"
import { add, divide, subtract } from "../steps.ts"
import { goods, names } from "../vocabulary.ts"
import type { WordKind } from "./word-problem.ts"

// `large` and `small` name the two amounts in the question; the thought says large and small for all of them.
const stories = {
  en: [
    {
      text: "[The sum of two numbers is {sum} and their difference is {difference}|Two numbers add up to {sum} and differ by {difference}|Two numbers have the sum {sum} and the difference {difference}]. [What is|Find] the {asked} [number|one].",
      large: "larger",
      small: "smaller",
    },
    {
      text: "[{a} and {b} have {sum} {things} together|Together, {a} and {b} have {sum} {things}]. {a} has {difference} more than {b}. How many {things} does {asked} have?",
      large: "{a}",
      small: "{b}",
    },
    {
      text: "{a} is {difference} years older than {b}[, and together they are {sum} years old| and their ages sum to {sum}|. Together they are {sum}]. How old is {asked}?",
      large: "{a}",
      small: "{b}",
    },
    {
      text: "[A {one} and a {two} cost {sum} [dollars|euros|coins]|A {one} and a {two} together cost {sum}]. The {one} costs {difference} more [than the {two}|]. [How much is the {asked}|What does the {asked} cost|What is the price of the {asked}]?",
      large: "{one}",
      small: "{two}",
    },
  ],
  zh: [
    {
      text: "两个数的和是{sum},差是{difference},[较{asked}的数是多少|{asked}数是几]?",
      large: "大",
      small: "小",
    },
    {
      text: "{a}和{b}[一共|共]有{sum}个{things},{a}比{b}多{difference}个,{asked}有[多少|几]个?",
      large: "{a}",
      small: "{b}",
    },
    {
      text: "{a}比{b}大{difference}岁,两人[一共|年龄之和是]{sum}岁,{asked}[多少|几]岁?",
      large: "{a}",
      small: "{b}",
    },
    {
      text: "一个{one}和一个{two}[一共|共]{sum}元,{one}比{two}贵{difference}元,{asked}[多少钱|多少元]?",
      large: "{one}",
      small: "{two}",
    },
  ],
}

/** numbers: the larger and the smaller amount. */
export const sumAndDifference: WordKind = {
  task: "sum-and-difference",
  draw: (random) => {
    const small = random.between(2, 60)
    return [small + random.between(1, 40), small]
  },
  word: (random, language, [large, small]) => {
    const story = random.pick(stories[language])
    const [a, b] = random.sample(names[language], 2)
    const [one, two] = random.sample(goods[language], 2)
    const things = random.pick(goods[language]).many
    const asked = random.pick(["large", "small"] as const)
    const given = { a, b, one: one.one, two: two.one, things, sum: large + small, difference: large - small }
    const nameOf = (amount: "large" | "small") =>
      story[amount].replace(/\{(\w+)\}/, (_, name: "a" | "b" | "one" | "two") => given[name])
    const answer = asked === "large" ? large : small
    const sum = large + small
    const difference = large - small
    const doubled =
      asked === "large"
        ? [add(sum, difference), divide(2 * large, 2)]
        : [subtract(sum, difference), divide(2 * small, 2)]
    return {
      question: phrase(random, story.text, { ...given, asked: nameOf(asked) }),
      // Which of them is asked for decides between adding and taking away.
      steps: [
        `${nameOf("large")}>${nameOf("small")}`,
        `${nameOf(asked)}${language === "en" ? " twice" : "两倍"}: ${doubled[0]}`,
        doubled[1],
      ],
      says: language === "en" ? `The answer is ${answer}.` : `答案是${answer}。`,
      answer,
    }
  },
}
