// Step 6. A shop's customers: where an order is, sending it back, a new one for a broken one. Query the order, check
// the stock, create the label; and what can go wrong on the way.

import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import { products } from "../vocabulary.ts"
import { drawSupport } from "./hand-off.ts"
import { drawDigits, drawId } from "./ids.ts"
import { shopStages } from "./shop-stages.ts"
import type { Visit } from "./shop-stages.ts"
import { otherPurposes, toolbox } from "./toolbox.ts"
import type { Toolbox } from "./toolbox.ts"

const needed = ["getOrder", "checkStock", "createLabel"] as const

const requests = {
  en: {
    status:
      "[Where is my order {id}|What is the status of order {id}|Has order {id} been sent|Please check on order {id}|Any news on my order {id}]?",
    return:
      "[I want to return order {id}|Please take back order {id}|I do not like the {item} from order {id}, I want to send it back|I would like to send order {id} back|Return order {id}, please].",
    exchange:
      "[My {item} from order {id} is broken, please send a new one|I want to exchange the {item} of order {id}|The {item} in order {id} is damaged. Please replace it|Please swap the {item} from order {id} for a new one|Exchange order {id} please, the {item} does not work].",
  },
  zh: {
    status: "[我的订单{id}到哪了|订单{id}是什么状态|请查一下订单{id}的状态|订单{id}发货了吗]?",
    return: "[我想退掉订单{id}|请帮我退货,订单{id}|订单{id}的{item}我不喜欢,想退货|我要退订单{id}]。",
    exchange:
      "[订单{id}的{item}坏了,请换一个新的|我想换货,订单{id}的{item}有问题|请更换订单{id}里的{item}|订单{id}的{item}不能用,要换新的]。",
  },
}

const troubles = {
  status: ["wrong-id", "timeout", "malformed", "down"],
  return: ["wrong-id", "too-late", "timeout", "malformed", "down"],
  exchange: ["wrong-id", "out-of-stock", "too-late", "timeout", "malformed", "down"],
} as const

const statuses = {
  en: ["shipped", "packed", "delivered", "delayed", "paid"],
  zh: ["已发货", "已打包", "已送达", "有延误", "已付款"],
}

export function shopProblem(
  random: Random,
  split: Split,
  language: Language,
  faults: Problem["faults"],
): Problem {
  const inside = [
    ...needed,
    ...(random.chance(0.5) ? (["handOff"] as const) : []),
    ...otherPurposes([...needed, "handOff"], random, 1),
  ]
  const box = toolbox(inside, random, split, language)
  const { visit, content } = drawVisit(random, split, language, faults, box)
  const { system } = visit.support
  const request = phrase(random, requests[language][visit.wish], { id: visit.given, item: visit.item })
  return problemOf({
    task: "tool-flow",
    language,
    content: [...content, ...box.content],
    messages: [
      ...(system ? [{ role: "system" as const, content: system }] : []),
      { role: "user", content: request },
    ],
    tools: box.tools,
    faults,
    stages: shopStages(random, visit),
  })
}

function drawVisit(
  random: Random,
  split: Split,
  language: Language,
  faults: Problem["faults"],
  box: Toolbox,
): { visit: Visit; content: string[] } {
  const wish = random.pick(["status", "return", "exchange", "exchange", "exchange"] as const)
  const trouble = faults === "none" ? "none" : random.pick(troubles[wish])
  const id = drawId(random, split)
  const wrong = drawId(random, split)
  const sku = drawId(random, split)
  const limit = random.pick([14, 30, 60])
  const visit: Visit = {
    language,
    box,
    support: drawSupport(random, language, box),
    wish,
    trouble,
    given: trouble === "wrong-id" ? wrong.text : id.text,
    id: id.text,
    item: random.pick(products[language]),
    sku: sku.text,
    days: trouble === "too-late" ? random.between(limit + 1, 99) : random.between(1, limit),
    limit,
    stock: trouble === "out-of-stock" ? 0 : random.between(1, 40),
    status: random.pick(statuses[language]),
    label: `RL-${drawDigits(random, 4)}`,
  }
  return { visit, content: [id.content, wrong.content, sku.content] }
}
