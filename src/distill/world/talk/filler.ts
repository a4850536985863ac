// Step 6. Sentences that mean nothing for the question: what needles are hidden in.

import { phrase } from "../phrase.ts"
import type { Language } from "../problem.ts"
import type { Random } from "../random.ts"
import { cities, goods, movers, names } from "../vocabulary.ts"

const patterns = {
  en: [
    "{name} [walked|drove|went|moved] to {city} [on a {sky} day|in the {part}|with a friend|last year].",
    "The {mover} to {city} was [late|early|full|empty] [again|that {part}|as always].",
    "{name} [bought|found|lost|sold] [a|the|one] {thing} [in {city}|at the market|near the river|for a friend].",
    "[In {city}|Near {city}] the {part} was {sky} and [quiet|long|calm|warm].",
    "[Many|Some|Few] people in {city} [like|make|sell|collect] {things}.",
    "{name} and {other} [talked|read|wrote] about {things} [all {part}|for a while|until late].",
    "The {thing} [lay|stood|was left] [on the table|by the window|under a tree|in the grass].",
    "{name} [waited|slept|worked] while the {mover} [passed|stopped|turned].",
  ],
  zh: [
    "{name}[昨天|去年|那天|下午]去了{city}。",
    "去{city}的{mover}[晚点了|很早到|坐满了|很空]。",
    "{name}在[市场|河边|商店|路上][买了|找到了|弄丢了]一个{thing}。",
    "{city}的{part}[很安静|很长|很暖和|下着雨]。",
    "{city}有[很多|一些|不少]人喜欢{thing}。",
    "{name}和{other}[谈论|写到|说起]{thing}。",
    "{thing}放在[桌子上|窗边|树下|草地里]。",
    "{mover}经过的时候,{name}在[睡觉|工作|等人|看书]。",
  ],
}
const skies = ["sunny", "rainy", "cloudy", "windy", "cold"]
const parts = { en: ["morning", "evening", "afternoon", "night"], zh: ["早上", "晚上", "下午", "夜里"] }

export function filler(random: Random, language: Language): string {
  const [name, other] = random.sample(names[language], 2)
  const { one, many } = random.pick(goods[language])
  return phrase(random, random.pick(patterns[language]), {
    name,
    other,
    city: random.pick(cities[language]),
    mover: random.pick(movers[language]),
    thing: one,
    things: many,
    sky: random.pick(skies),
    part: random.pick(parts[language]),
  })
}
