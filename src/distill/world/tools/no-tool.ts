// Step 6. Tools are there, but none fits: none is called, and the reply says so.

import { all, matches, mentions } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import { drawId } from "./ids.ts"
import { purposeNames } from "./purposes.ts"
import type { PurposeName } from "./purposes.ts"
import { toolbox } from "./toolbox.ts"
import { contentOf, drawKeys, find, topics } from "./topics.ts"
import type { Topic } from "./topics.ts"

const orderRequests = {
  en: "[Where is my order {x}?|Please cancel order {x}.|I want to return order {x}.|Is order {x} on its way?]",
  zh: "[我的订单{x}在哪?|请取消订单{x}。|我想退订单{x}。|订单{x}到哪了?]",
}
const missing = {
  en: {
    getOrder: "orders",
    getWeather: "the weather",
    findContact: "phone numbers",
    readCalendar: "the calendar",
  },
  zh: { getOrder: "订单", getWeather: "天气", findContact: "电话", readCalendar: "日程" },
}

export function noToolProblem(random: Random, split: Split, language: Language): Problem {
  const wanted = random.pick([...topics, "getOrder"] as const)
  const { question, key, content } =
    wanted === "getOrder" ? order(random, split, language) : topic(random, split, language, wanted)
  const fitting: readonly PurposeName[] =
    wanted === "getOrder" ? ["getOrder", "createLabel", "checkStock", "handOff"] : [wanted, "handOff"]
  const unfit = purposeNames.filter((name) => !fitting.includes(name))
  const box = toolbox(random.sample(unfit, random.between(1, 3)), random, split, language)
  const subject = missing[language][wanted]
  return problemOf({
    task: "tool-none",
    language,
    content: [content, ...box.content],
    messages: [{ role: "user", content: phrase(random, question, { x: key }) }],
    tools: box.tools,
    stages: [
      {
        kind: "say",
        thought: { en: `No tool for ${subject}.`, zh: `没有查${subject}的工具。` }[language],
        text: { en: `I have no tool for ${subject}.`, zh: `我没有查${subject}的工具。` }[language],
        check: all(
          matches(/no tool|cannot|can't|没有|无法|不能/i, "does not say that no tool fits"),
          mentions(subject),
        ),
      },
    ],
  })
}

function order(random: Random, split: Split, language: Language) {
  const { text, content } = drawId(random, split)
  return { question: orderRequests[language], key: text, content }
}

function topic(random: Random, split: Split, language: Language, wanted: Topic) {
  const [key] = drawKeys(wanted, random, split, language, 1)
  return { question: find(random, wanted, language, key).question, key, content: contentOf(wanted, key) }
}
