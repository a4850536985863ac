// Step 6. How old somebody is, was or will be.

import { phrase } from "../phrase.ts"
import { add, askedFor, divide, multiply, subtract } from "../steps.ts"
import { names } from "../vocabulary.ts"
import type { WordKind } from "./word-problem.ts"

/** numbers: the younger one's age, the difference, years from now. */
export const ageLater: WordKind = {
  task: "age-later",
  draw: (random) => [random.between(3, 45), random.between(2, 30), random.between(2, 20)],
  word: (random, language, [age, older, years]) => {
    const [a, b] = random.sample(names[language], 2)
    const known = random.pick(["younger", "older"] as const)
    const knownAge = known === "younger" ? age : age + older
    const asked = known === "younger" ? age + older : age
    const relation = {
      en:
        known === "younger"
          ? "[{b} is {older} years older|{b} is older by {older} years]"
          : "[{b} is {older} years younger|{b} is younger by {older} years]",
      zh: known === "younger" ? "{b}比{a}大{older}岁" : "{b}比{a}小{older}岁",
    }[language]
    const pattern = {
      en:
        `[{a} is {knownAge} years old[.| now.]|{a} is {knownAge}[.| today.]] ${relation}[ than {a}|].` +
        " [How old will {b} be in {years} years|What will {b}'s age be in {years} years|In {years} years, how old will {b} be|How old is {b} {years} years from now]?",
      zh: `{a}[今年|现在]{knownAge}岁,${relation}[。|,][{years}年后{b}多少岁|再过{years}年,{b}几岁|{b}{years}年后是多少岁]?`,
    }[language]
    return {
      question: phrase(random, pattern, { a, b, knownAge, older, years }),
      steps: [
        `${b}: ${known === "younger" ? add(age, older) : subtract(age + older, older)}`,
        `${language === "en" ? "later" : "以后"}: ${add(asked, years)}`,
      ],
      says: language === "en" ? `${b} will be ${asked + years}.` : `${b}${asked + years}岁。`,
      answer: asked + years,
    }
  },
}

/** numbers: the younger one's age, how many times as old the other one is. */
export const ageTimes: WordKind = {
  task: "age-times",
  draw: (random) => {
    const times = random.between(2, 6)
    return [random.between(2, Math.floor(90 / times)), times]
  },
  word: (random, language, [age, times]) => {
    const [a, b] = random.sample(names[language], 2)
    const sum = age * (times + 1)
    const asked = random.pick(["younger", "older"] as const)
    const name = asked === "younger" ? b : a
    const answer = asked === "younger" ? age : age * times
    const pattern = {
      en:
        "[{a} is {word} as old as {b}[.| now.] [Together they are {sum}|Their ages add up to {sum}|The sum of their ages is {sum}]|" +
        "{a} and {b} are {sum} years old together[.|, and] {a} is {word} as old as {b}]. How old is {name}?",
      zh: "[{a}的年龄是{b}的{times}倍,[两人一共|他们的年龄和是|两人年龄之和是]{sum}岁|{a}和{b}[一共|共]{sum}岁,{a}的年龄是{b}的{times}倍][。|,]{name}[多少|几]岁?",
    }[language]
    const word = times === 2 ? "twice" : `${times} times`
    return {
      question: phrase(random, pattern, { a, b, word, times, sum, name }),
      steps: [
        askedFor(language, name),
        `${language === "en" ? "parts" : "份数"}: ${add(times, 1)}`,
        `${b}: ${divide(sum, times + 1)}`,
        ...(asked === "older" ? [`${a}: ${multiply(age, times)}`] : []),
      ],
      says: language === "en" ? `${name} is ${answer}.` : `${name}${answer}岁。`,
      answer,
    }
  },
}
