// Step 6. Things shared out equally, and what is left over.

import { phrase } from "../phrase.ts"
import { divide, shareOut } from "../steps.ts"
import { goods, names } from "../vocabulary.ts"
import type { WordKind } from "./word-problem.ts"

const receivers = {
  en: ["children", "friends", "boxes", "bags", "students", "people", "shelves", "baskets", "neighbours"],
  zh: ["小朋友", "同学", "朋友", "学生", "邻居"],
}

/** numbers: things, receivers. */
export const sharing: WordKind = {
  task: "sharing",
  draw: (random) => [random.between(10, 99), random.between(2, 9)],
  word: (random, language, [things, receiving]) => {
    const { many } = random.pick(goods[language])
    const who = random.pick(receivers[language])
    const name = random.pick(names[language])
    const rest = things % receiving
    const asked = rest > 0 && random.chance(0.6) ? "rest" : "each"
    const question = {
      en:
        asked === "rest"
          ? "[How many {many} are left over|How many are left|How many {many} remain|What is left over]?"
          : "[How many {many} does each get|How many {many} are there for each|How many {many} go to each|How many is that for each]?",
      zh:
        asked === "rest" ? "[还剩几个|剩下多少个|最后剩几个]?" : "[每份有几个|平均每份多少个|每份最多几个]?",
    }[language]
    const pattern = {
      en: "[{things} {many} are shared equally among {receiving} {who}|{name} shares {things} {many} equally [among|between] {receiving} {who}|{name} has {things} {many} and divides them equally among {receiving} {who}|{things} {many} are split evenly over {receiving} {who}|{name} puts {things} {many} into equal lots for {receiving} {who}]. ",
      zh: "[{name}把{things}个{many}平均分给{receiving}个{who},|{things}个{many}平均分给{receiving}个{who},|有{things}个{many},平均分给{receiving}个{who},]",
    }[language]
    const each = Math.floor(things / receiving)
    const answer = asked === "rest" ? rest : each
    return {
      question: phrase(random, pattern + question, { things, many, receiving, who, name }),
      steps: [rest === 0 ? divide(things, receiving) : shareOut(things, receiving)],
      says:
        language === "en"
          ? asked === "rest"
            ? `${answer} left over.`
            : `Each gets ${answer}.`
          : asked === "rest"
            ? `剩下${answer}个。`
            : `每份${answer}个。`,
      answer,
    }
  },
}
