// Step 6. One customer's visit in, what is to be called and said out, in order.

import type { Json } from "../../../types.ts"
import { all, matches, mentions } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language } from "../problem.ts"
import type { Random } from "../random.ts"
import type { Check, Stage } from "../script.ts"
import { callStages } from "./faults.ts"
import type { Fault } from "./faults.ts"
import { handOff } from "./hand-off.ts"
import type { Support } from "./hand-off.ts"
import type { Result } from "./kit.ts"
import type { PurposeName } from "./purposes.ts"
import type { Toolbox } from "./toolbox.ts"

export type Wish = "status" | "return" | "exchange"
export type Trouble = "none" | "wrong-id" | "out-of-stock" | "too-late" | "timeout" | "malformed" | "down"

/** Everything that was drawn for one conversation. */
export interface Visit {
  readonly language: Language
  readonly box: Toolbox
  readonly support: Support
  readonly wish: Wish
  readonly trouble: Trouble
  /** The id that the user gives first, and the right one. */
  readonly given: string
  readonly id: string
  readonly item: string
  readonly sku: string
  readonly days: number
  readonly limit: number
  readonly stock: number
  readonly status: string
  readonly label: string
}

interface Step {
  readonly purpose: PurposeName
  readonly thought: string
  readonly value: string
  readonly result: Json
}

/** The calls in order; one of them may fail, and the last one may be that which shows that it cannot be done. */
export function shopStages(random: Random, visit: Visit): Stage[] {
  const { language, trouble, given } = visit
  if (trouble === "wrong-id") return wrongId(random, visit)
  const steps = stepsOf(visit)
  const fault: Fault =
    trouble === "timeout" || trouble === "malformed" || trouble === "down" ? trouble : "none"
  const failing = random.between(0, steps.length - 1)
  const made = fault === "down" ? steps.slice(0, failing + 1) : steps
  const called = made.flatMap((step, i) => {
    const tool = visit.box.of(step.purpose)
    const make = (result: Result) => tool.call([step.value], result)
    const thought = step.thought + visit.box.choice(step.purpose)
    return callStages(random, language, thought, make, step.result, i === failing ? fault : "none")
  })
  if (fault === "down") return [...called, ...handOff(random, language, visit.support)]
  return [...called, conclusion(visit, given)]
}

/** The order is not found: the user is asked, and may know better. */
function wrongId(random: Random, visit: Visit): Stage[] {
  const { language, given, id, box } = visit
  const error = random.pick([{ error: "not found" }, { error: "no such order" }, { error: "unknown id" }])
  const correction = {
    en: "[Sorry, it is {id}.|Oh, I meant {id}.|The right number is {id}.|My mistake: {id}.]",
    zh: "[抱歉，是{id}。|写错了，应该是{id}。|正确的是{id}。]",
  }[language]
  const isCorrected = random.chance(0.5)
  const asked: Stage[] = [
    {
      kind: "call",
      thought: thoughts[language].order(given) + box.choice("getOrder"),
      calls: [box.of("getOrder").call([given], error)],
    },
    {
      kind: "say",
      thought: { en: "Not found. Ask for the id.", zh: "没有找到，请用户核对。" }[language],
      text: {
        en: `I cannot find order ${given}. Please check the id.`,
        zh: `找不到订单${given}，请核对编号。`,
      }[language],
      check: all(
        mentions(given),
        matches(/find|found|check|找不到|没有找到|核对/i, "does not say what is wrong"),
      ),
      ...(isCorrected && { next: phrase(random, correction, { id }) }),
    },
  ]
  return isCorrected ? [...asked, ...shopStages(random, { ...visit, trouble: "none", given: id })] : asked
}

function stepsOf(visit: Visit): Step[] {
  const { language, wish, trouble, given, item, sku, days, limit, stock, status, label } = visit
  const say = thoughts[language]
  const record = { item, sku, status, days_since_delivery: days, return_days: limit }
  const order: Step = {
    purpose: "getOrder",
    thought: say.order(given),
    value: given,
    result: wish === "status" ? { item, status } : { ...record, status: "delivered" },
  }
  if (wish === "status" || trouble === "too-late") return [order]
  const inTime = `${days}<=${limit}`
  const makeLabel = (thought: string): Step => ({
    purpose: "createLabel",
    thought,
    value: given,
    result: { label },
  })
  if (wish === "return") return [order, makeLabel(say.label(inTime))]
  const check: Step = {
    purpose: "checkStock",
    thought: say.stock(inTime, sku),
    value: sku,
    result: { sku, stock },
  }
  return stock === 0 ? [order, check] : [order, check, makeLabel(say.label(`${stock}>0`))]
}

const thoughts = {
  en: {
    order: (id: string) => `Get order ${id}.`,
    stock: (why: string, sku: string) => `${why}, in time. Check the stock of ${sku}.`,
    label: (why: string) => `${why}. Create the label.`,
  },
  zh: {
    order: (id: string) => `查订单${id}。`,
    stock: (why: string, sku: string) => `${why}，可以换。查库存${sku}。`,
    label: (why: string) => `${why}。创建标签。`,
  },
}

function conclusion(visit: Visit, id: string): Stage {
  const { language, wish, trouble, item, days, limit, status, label } = visit
  const say = (thought: string, text: string, check: Check): Stage => ({ kind: "say", thought, text, check })
  const words = language === "en" ? english : chinese
  if (wish === "status") return say(words.told, words.status(id, item, status), mentions(status))
  if (trouble === "too-late")
    return say(
      `${days}>${limit}${words.late}`,
      words.tooLate(days, limit),
      all(
        mentions(days, limit),
        matches(/too late|over|past|超过|过了/i, "does not say that it is too late"),
      ),
    )
  if (trouble === "out-of-stock")
    return say(
      words.none,
      words.soldOut(item),
      all(mentions(item), matches(/out of stock|缺货|没有库存/i, "does not say that the stock is empty")),
    )
  const text = wish === "return" ? words.returned(label) : words.exchanged(item, label)
  return say(words.told, text, mentions(label))
}

const english = {
  told: "Done. Tell the user.",
  late: ", too late.",
  none: "0 in stock, no label.",
  status: (id: string, item: string, status: string) => `Order ${id}, the ${item}, is ${status}.`,
  tooLate: (days: number, limit: number) => `It is too late: ${days} days, the limit is ${limit}.`,
  soldOut: (item: string) => `The ${item} is out of stock, so I made no label.`,
  returned: (label: string) => `Your return label is ${label}.`,
  exchanged: (item: string, label: string) => `Your return label is ${label}. A new ${item} will be sent.`,
}

const chinese = {
  told: "完成，告诉用户。",
  late: ",超过期限。",
  none: "库存为0,不创建标签。",
  status: (id: string, item: string, status: string) => `订单${id}的${item}${status}。`,
  tooLate: (days: number, limit: number) => `已经超过期限：${days}天，期限${limit}天。`,
  soldOut: (item: string) => `${item}缺货，没有创建标签。`,
  returned: (label: string) => `退货标签是${label}。`,
  exchanged: (item: string, label: string) => `退货标签是${label}，新的${item}会寄出。`,
}
