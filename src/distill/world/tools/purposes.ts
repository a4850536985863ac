// Step 6. What the world's tools are for: tables of the parts of their names, arguments and descriptions.

import type { Purpose } from "./kit.ts"

const words = (text: string) => text.split(" ")
const text = (names: string) => ({ names: words(names), type: "string" as const })
const number = (names: string) => ({ names: words(names), type: "number" as const })
const orderId = text("order_id id order order_number orderId number")

export const purposes = {
  getOrder: {
    verbs: words("get find query lookup fetch read load show"),
    nouns: words("order purchase sale"),
    subject: { en: "orders", zh: "订单" },
    arguments: [orderId],
    descriptions: {
      en: ["Get an order.", "Look up an order by its id.", "Find an order.", "Read an order's data."],
      zh: ["查询订单。", "按编号查订单。", "读取订单信息。"],
    },
  },
  checkStock: {
    verbs: words("check get query count find read show"),
    nouns: words("stock inventory supply warehouse"),
    subject: { en: "stock", zh: "库存" },
    arguments: [text("sku item_id code product article part")],
    descriptions: {
      en: ["Check the stock of an item.", "How many of an item are in stock.", "Get the stock by SKU."],
      zh: ["查询库存。", "查看商品还有多少。", "按货号查库存。"],
    },
  },
  createLabel: {
    verbs: words("create make print issue new add send"),
    nouns: words("label return_label return_slip shipping_label"),
    subject: { en: "return labels", zh: "退货标签" },
    arguments: [orderId],
    descriptions: {
      en: [
        "Create a return label.",
        "Make a return label for an order.",
        "Issue a label to send an order back.",
      ],
      zh: ["生成退货标签。", "为订单创建退货单。", "开退货标签。"],
    },
  },
  handOff: {
    verbs: words("call transfer_to ask escalate_to hand_off_to page contact"),
    nouns: words("human agent support staff colleague"),
    subject: { en: "a human", zh: "转人工" },
    arguments: [text("reason why about note topic")],
    descriptions: {
      en: ["Hand off to a human.", "Pass the case on to a person.", "Escalate when tools fail."],
      zh: ["转人工客服。", "交给同事处理。", "工具失败时转人工。"],
    },
  },
  getWeather: {
    verbs: words("get query check fetch show read lookup"),
    nouns: words("weather forecast temperature climate"),
    subject: { en: "weather", zh: "天气" },
    arguments: [text("city place location town where")],
    descriptions: {
      en: ["Get the weather of a city.", "Current weather.", "Weather by place."],
      zh: ["查询天气。", "某城市的天气。", "按地点查天气。"],
    },
  },
  findContact: {
    verbs: words("find get search lookup query fetch"),
    nouns: words("contact phone person number address_book"),
    subject: { en: "phone number", zh: "电话" },
    arguments: [text("name person who contact full_name")],
    descriptions: {
      en: ["Find a contact's phone number.", "Look up a person's phone.", "Phone number by name."],
      zh: ["查联系人电话。", "按姓名查电话。", "查找电话号码。"],
    },
  },
  readCalendar: {
    verbs: words("read get list show check query"),
    nouns: words("calendar events agenda schedule meetings"),
    subject: { en: "calendar", zh: "日程" },
    arguments: [text("day date when weekday on")],
    descriptions: {
      en: ["Read the calendar of a day.", "List a day's events.", "What is planned on a day."],
      zh: ["查看某天的日程。", "读取日历。", "列出当天安排。"],
    },
  },
  calculate: {
    verbs: words("calculate compute evaluate run do solve"),
    nouns: words("expression formula math sum calculation"),
    subject: { en: "sums", zh: "计算" },
    arguments: [text("expression formula input text expr")],
    descriptions: {
      en: ["Calculate an expression.", "Evaluate a formula.", "A calculator."],
      zh: ["计算表达式。", "计算器。", "求一个算式的值。"],
    },
  },
  convert: {
    verbs: words("convert exchange change translate"),
    nouns: words("money currency amount price"),
    subject: { en: "currencies", zh: "货币" },
    arguments: [number("amount value sum"), text("currency to target unit")],
    descriptions: {
      en: ["Convert an amount to a currency.", "Exchange money.", "Currency conversion."],
      zh: ["货币换算。", "把金额换成某种货币。", "兑换货币。"],
    },
  },
} satisfies Readonly<Record<string, Purpose>>

export type PurposeName = keyof typeof purposes
export const purposeNames = Object.keys(purposes) as PurposeName[]
