// Step 6. What can be looked up, what is found, and how one asks for it.

import type { Json } from "../../../types.ts"
import type { Language, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { madeUpCity, madeUpPerson } from "../made-up.ts"
import { drawIn, membersIn } from "../split.ts"
import { cities, names } from "../vocabulary.ts"
import { drawDigits } from "./ids.ts"

export const topics = ["getWeather", "findContact", "readCalendar"] as const
export type Topic = (typeof topics)[number]

export interface Found {
  readonly key: string
  readonly question: string
  readonly result: Json
  /** What the answer must say. */
  readonly facts: readonly (string | number)[]
  readonly says: string
}

const skies = {
  en: ["sunny", "rain", "snow", "cloudy", "windy", "fog"],
  zh: ["晴", "有雨", "有雪", "多云", "大风", "有雾"],
}
const events = {
  en: ["dentist", "lunch", "meeting", "yoga", "party", "exam", "concert", "football", "interview"],
  zh: ["看牙医", "午餐", "开会", "瑜伽", "聚会", "考试", "音乐会", "足球", "面试"],
}

const questions = {
  en: {
    getWeather:
      "[What is the weather in {x}?|How is the weather in {x}?|Tell me the weather in {x}.|What is it like outside in {x}?]",
    findContact:
      "[What is the phone number of {x}?|What is the number of {x}?|How can I call {x}?|I need the number of {x}.]",
    readCalendar:
      "[What is on my calendar on {x}?|What have I planned for {x}?|Any events on {x}?|Show my plans for {x}.]",
  },
  zh: {
    getWeather: "[{x}天气怎么样?|{x}的天气如何?|查一下{x}的天气。|告诉我{x}的天气。]",
    findContact: "[{x}的电话是多少?|怎么打电话给{x}?|查一下{x}的电话。|我要{x}的号码。]",
    readCalendar: "[我{x}有什么安排?|{x}的日程是什么?|看看我{x}的计划。|{x}有活动吗?]",
  },
}

const months = {
  en: ["January", "March", "April", "May", "June", "July", "August", "October", "November", "December"],
  zh: ["1月", "3月", "5月", "7月", "8月", "10月", "12月"],
}

/** What decides the split of a question. */
export const contentOf = (topic: Topic, key: string) => `${topic}：${key}`

/** What is asked for: of lists that everybody knows, or people and cities that nobody has heard of. */
export function drawKeys(
  topic: Topic,
  random: Random,
  split: Split,
  language: Language,
  count: number,
): string[] {
  const listed = listOf(topic, language)
  if (topic === "readCalendar" || random.chance(0.25))
    return random.sample(membersIn(split, topic, listed), count)
  const make = topic === "getWeather" ? madeUpCity : madeUpPerson
  const drawn = new Set<string>()
  while (drawn.size < count) {
    const key = drawIn(
      split,
      random,
      (r) => make(r, language),
      (word) => contentOf(topic, word),
    )
    if (!listed.includes(key)) drawn.add(key)
  }
  return [...drawn]
}

function listOf(topic: Topic, language: Language): readonly string[] {
  switch (topic) {
    case "getWeather":
      return cities[language]
    case "findContact":
      return names[language]
    case "readCalendar":
      return months[language].flatMap((month) =>
        Array.from({ length: 30 }, (_, i) =>
          language === "en" ? `${month} ${i + 1}` : `${month}${i + 1}日`,
        ),
      )
    default:
      return topic satisfies never
  }
}

export function find(random: Random, topic: Topic, language: Language, key: string): Found {
  const question = questions[language][topic]
  switch (topic) {
    case "getWeather": {
      const sky = random.pick(skies[language])
      const degrees = random.between(1, 35)
      const says = { en: `${key}: ${sky}, ${degrees} degrees.`, zh: `${key}${sky}，${degrees}度。` }[language]
      return { key, question, result: { sky, degrees }, facts: [sky, degrees], says }
    }
    case "findContact": {
      const phone = `${drawDigits(random, 3)}-${drawDigits(random, 4)}`
      const says = { en: `The number of ${key} is ${phone}.`, zh: `${key}的电话是${phone}。` }[language]
      return { key, question, result: { phone }, facts: [phone], says }
    }
    case "readCalendar": {
      const event = random.pick(events[language])
      const time = `${random.between(8, 19)}:${random.pick(["00", "15", "30", "45"])}`
      const says = { en: `${key}: ${event} at ${time}.`, zh: `${key}${time}${event}。` }[language]
      return { key, question, result: { time, event }, facts: [event, time], says }
    }
    default:
      return topic satisfies never
  }
}
