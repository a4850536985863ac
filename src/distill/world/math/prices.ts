// Step 6. What things cost, and what is given back.

import { phrase } from "../phrase.ts"
import { add, divide, multiply, subtract } from "../steps.ts"
import { goods, names } from "../vocabulary.ts"
import type { WordKind } from "./word-problem.ts"

const money = { en: ["dollars", "euros", "pounds", "coins"], zh: ["元", "块钱"] }

/** numbers: how many, the price of one, what is paid with. */
export const change: WordKind = {
  task: "change",
  draw: (random) => {
    const count = random.between(2, 9)
    const price = random.between(2, 25)
    const notes = [10, 20, 50, 100, 200].filter((note) => note > count * price)
    return notes.length > 0 ? [count, price, random.pick(notes)] : [2, 3, 10]
  },
  word: (random, language, [count, price, paid]) => {
    const { one, many } = random.pick(goods[language])
    const name = random.pick(names[language])
    const unit = random.pick(money[language])
    const pattern = {
      en:
        "[{name} buys {count} {many} at {price} {unit} each|{name} buys {count} {many}. [Each|One] {one} costs {price} {unit}|One {one} costs {price} {unit}. {name} buys {count} {many}|{count} {many} cost {price} {unit} each, and {name} buys all of them]" +
        "[. {name} pays with|. {name} gives the cashier|] {paid}[ {unit}|]. [How much change does {name} get|How much change is there|How much is given back|How many {unit} does {name} get back|What is the change]?",
      zh: "[{name}买了{count}个{many},每个{price}{unit}|每个{many}{price}{unit},{name}买{count}个|一个{many}{price}{unit},{name}买了{count}个],[付了|给了收银员|付]{paid}{unit},[应找回多少{unit}|找回多少钱|要找多少钱|找零多少]?",
    }[language]
    const answer = paid - count * price
    return {
      question: phrase(random, pattern, { name, count, many, one, price, unit, paid }),
      steps: [
        `${language === "en" ? "cost" : "花费"}: ${multiply(price, count)}`,
        `${language === "en" ? "change" : "找回"}: ${subtract(paid, count * price)}`,
      ],
      says: language === "en" ? `The change is ${answer}.` : `找回${answer}${unit}。`,
      answer,
    }
  },
}

/** numbers: how many of one and its price, how many of another and its price. */
export const totalCost: WordKind = {
  task: "total-cost",
  draw: (random) => [
    random.between(1, 9),
    random.between(2, 20),
    random.between(1, 9),
    random.between(2, 20),
  ],
  word: (random, language, [countA, priceA, countB, priceB]) => {
    const [a, b] = random.sample(goods[language], 2)
    const name = random.pick(names[language])
    const unit = random.pick(money[language])
    const values = {
      name,
      unit,
      countA,
      priceA,
      countB,
      priceB,
      as: countA === 1 ? a.one : a.many,
      bs: countB === 1 ? b.one : b.many,
      a: a.one,
      b: b.one,
    }
    const pattern = {
      en: "[{name} buys {countA} {as} at {priceA} {unit} each and {countB} {bs} at {priceB} {unit} each|One {a} costs {priceA} {unit} and one {b} costs {priceB} {unit}. {name} buys {countA} {as} and {countB} {bs}]. [How much is that in all|What is the total|How much does {name} pay|What does it cost altogether|How much is it together]?",
      zh: "[{name}买了{countA}个{as},每个{priceA}{unit},又买了{countB}个{bs},每个{priceB}{unit}|一个{a}{priceA}{unit},一个{b}{priceB}{unit},{name}买{countA}个{a}和{countB}个{b}],[一共多少{unit}|共花多少钱|总共要付多少钱]?",
    }[language]
    const answer = countA * priceA + countB * priceB
    return {
      question: phrase(random, pattern, values),
      steps: [
        `${a.many}: ${multiply(priceA, countA)}`,
        `${b.many}: ${multiply(priceB, countB)}`,
        `${language === "en" ? "total" : "一共"}: ${add(countA * priceA, countB * priceB)}`,
      ],
      says: language === "en" ? `The total is ${answer}.` : `一共${answer}${unit}。`,
      answer,
    }
  },
}

/** numbers: how many, what they cost together, how many are wanted. */
export const unitPrice: WordKind = {
  task: "unit-price",
  draw: (random) => {
    const count = random.between(2, 9)
    return [count, count * random.between(2, 20), random.between(2, 9)]
  },
  word: (random, language, [count, total, wanted]) => {
    const { many } = random.pick(goods[language])
    const unit = random.pick(money[language])
    const each = total / count
    const pattern = {
      en: "[{count} {many} cost {total} {unit}|If {count} {many} cost {total} {unit}|You pay {total} {unit} for {count} {many}|For {count} {many} one pays {total} {unit}]. [How much [do|would] {wanted} {many} cost|What do {wanted} {many} cost|What is the price of {wanted} {many}]?",
      zh: "[{count}个{many}{total}{unit}|买{count}个{many}要{total}{unit}|{count}个{many}一共{total}{unit}],[{wanted}个{many}多少钱|买{wanted}个要多少{unit}|那么{wanted}个多少{unit}]?",
    }[language]
    return {
      question: phrase(random, pattern, { count, many, total, unit, wanted }),
      steps: [
        `${language === "en" ? "one" : "一个"}: ${divide(total, count)}`,
        `${wanted}${language === "en" ? "" : "个"}: ${multiply(each, wanted)}`,
      ],
      says:
        language === "en" ? `They cost ${each * wanted} ${unit}.` : `${wanted}个${each * wanted}${unit}。`,
      answer: each * wanted,
    }
  },
}
