// Step 6. So many things of two kinds, so much of something in all: heads and legs, wheels, coins.

import type { Language } from "../problem.ts"
import { phrase } from "../phrase.ts"
import type { Random } from "../random.ts"
import { askedFor, divide, multiply, subtract } from "../steps.ts"
import { beasts, birds, names, vehicles } from "../vocabulary.ts"
import type { Worded, WordKind } from "./word-problem.ts"

const questions = {
  en: {
    one: "[How many {asked} are there|How many {asked}|What is the number of {asked}|How many are {asked}|How many of them are {asked}]?",
    both: "[How many of each|How many {few} and how many {many}|How many {few} and {many} are there|Find the number of each]?",
  },
  zh: {
    one: "[{asked}有多少{unit}|有几{unit}{asked}|{asked}有几{unit}|请问有多少{unit}{asked}|问{asked}多少{unit}]?",
    both: "[{few}和{many}各有多少{unit}|各有几{unit}|{few}、{many}各几{unit}]?",
  },
}

interface Setting {
  /** The kinds with less and with more of what is counted. */
  readonly few: string
  readonly many: string
  readonly unit: string
  readonly story: string
  /** Which kind has less, where their names say how much. */
  readonly compared?: string
}

/** numbers: how many things, how much in all, how much one of each kind has. */
export const headsAndLegs: WordKind = {
  task: "heads-and-legs",
  draw: (random) => {
    const few = random.between(2, 40)
    const many = random.between(2, 40)
    return [few + many, 2 * few + 4 * many, 2, 4]
  },
  contentOf: ([heads, legs]) => [heads, legs],
  word: (random, language, numbers) => solve(random, language, numbers, farm(random, language)),
}

export const wheels: WordKind = {
  task: "wheels",
  draw: (random) => {
    const [less, more] = random.pick([
      [2, 4],
      [2, 3],
      [3, 4],
    ])
    return pairs(random, less, more, 30)
  },
  contentOf: ([things, wheels]) => [things, wheels],
  word: (random, language, numbers) =>
    solve(random, language, numbers, garage(random, language, numbers[2], numbers[3])),
}

export const coins: WordKind = {
  task: "coins",
  draw: (random) => {
    const [less, more] = random.pick([
      [1, 2],
      [1, 5],
      [2, 5],
      [5, 10],
      [1, 10],
      [2, 10],
    ])
    return pairs(random, less, more, 25)
  },
  word: (random, language, numbers) =>
    solve(random, language, numbers, purse(random, language, numbers[2], numbers[3])),
}

function pairs(random: Random, less: number, more: number, most: number): number[] {
  const few = random.between(2, most)
  const many = random.between(2, most)
  return [few + many, less * few + more * many, less, more]
}

type Asked = "few" | "many" | "both"

function solve(random: Random, language: Language, numbers: readonly number[], setting: Setting): Worded {
  const [things, total, less, more] = numbers
  const { few, many, unit } = setting
  const asked = random.pick<Asked>(["few", "few", "many", "many", "both"])
  const [first, second] = random.shuffle([few, many])
  const name = random.pick(names[language])
  const story = phrase(random, setting.story, { things, total, name, first, second })
  const pattern = questions[language][asked === "both" ? "both" : "one"]
  const question = phrase(random, pattern, { few, many, unit, asked: asked === "many" ? many : few })
  const numMany = (total - less * things) / (more - less)
  return {
    question: language === "en" ? `${story} ${question}` : story + question,
    steps: stepsOf(language, numbers, setting, asked),
    ...answerOf(language, setting, asked, things - numMany, numMany),
  }
}

/** As if all were of the kind with less: what is too much then is the other kind's surplus. */
function stepsOf(
  language: Language,
  [things, total, less, more]: readonly number[],
  { few, many, compared }: Setting,
  asked: Asked,
): string[] {
  const extra = total - less * things
  const surplus = more - less
  const wanted = { few: [few], many: [many], both: [few, many] }[asked].join(language === "en" ? ", " : "、")
  return [
    askedFor(language, wanted),
    ...(compared === undefined ? [] : [compared]),
    `${language === "en" ? "all " : "全是"}${few}: ${multiply(things, less)}`,
    `${language === "en" ? "extra" : "多出"}: ${subtract(total, less * things)}`,
    ...(surplus > 1 ? [subtract(more, less), `${many}: ${divide(extra, surplus)}`] : [`${many}: ${extra}`]),
    ...(asked === "many" ? [] : [`${few}: ${subtract(things, extra / surplus)}`]),
  ]
}

function answerOf(
  language: Language,
  { few, many, unit }: Setting,
  asked: Asked,
  numFew: number,
  numMany: number,
): Pick<Worded, "says" | "answer"> {
  const part = (count: number, kind: string) =>
    language === "en" ? `${count} ${kind}` : `${kind}${count}${unit}`
  if (asked === "both") {
    const says = [part(numFew, few), part(numMany, many)].join(language === "en" ? " and " : "，")
    return {
      says: language === "en" ? `There are ${says}.` : `${says}。`,
      answer: `${numFew}, ${numMany}`,
    }
  }
  const says = asked === "few" ? part(numFew, few) : part(numMany, many)
  return {
    says: language === "en" ? `There are ${says}.` : `${says}。`,
    answer: asked === "few" ? numFew : numMany,
  }
}

function farm(random: Random, language: Language): Setting {
  const few = random.pick(birds[language]).many
  const many = random.pick(beasts[language]).many
  const story = {
    en:
      "[[A|The|Our|{name}'s|My uncle's|One] [farm|yard|barn|meadow|ranch] [has|holds] [only |]{first} and {second}[, |: | with |; together ]|" +
      "[A farmer|{name}|My aunt|Grandpa|The farmer] [has|keeps|owns|raises|counts] [some |]{first} and {second}[, |: | with |; together ]|" +
      "There are {first} and {second} [on a farm|in a barn|in a cage|in the yard][, |: | with |; together ]|" +
      "[Some|A group of] {first} and {second} [have|has|show] [together |in all |a total of |]|" +
      "[{first} and {second} [live|stand|are] [together|in one cage|in a field], ]]" +
      "[{things} heads and {total} legs|{total} legs and {things} heads|{things} heads, {total} legs|{things} animals and {total} legs|{total} legs on {things} animals]" +
      "[| in all| altogether| in total].",
    zh:
      "[[农场|院子|笼子|牧场|谷仓|{name}家]里[有|养着|养了|关着]{first}和{second},|[农夫|{name}|爷爷|阿姨]养了一些{first}和{second},|今有{first}{second}同笼,|{first}和{second}在一起,]" +
      "[[一共|共|总共|共有|]{things}个头,{total}[条腿|只脚]|[一共|共|]{total}[条腿|只脚],{things}个头|[一共|共]{things}只[动物|],{total}条腿|上有{things}头,下有{total}足][。|,]",
  }[language]
  return { few, many, unit: "只", story }
}

function garage(random: Random, language: Language, less: number, more: number): Setting {
  const kind = (wheels: number) => random.pick(vehicles[language][wheels as 2 | 3 | 4]).many
  const [few, many] = [kind(less), kind(more)]
  const story = {
    en:
      "[[A|The|{name}'s] [shop|garage|yard|car park|street] [has|holds] {first} and {second}[, |: | with |; together ]|" +
      "[In a [garage|car park|yard] stand|{name} counts|There are|{name} sees] {first} and {second}[, |: | with ]]" +
      "[{things} vehicles and {total} wheels|{total} wheels and {things} vehicles|{things} vehicles with {total} wheels|{total} wheels on {things} vehicles]" +
      "[| in all| altogether| in total].",
    zh:
      "[[停车场里|车库里|院子里|商店里|街上|车棚里][停着|有]{first}和{second},|{name}看到{first}和{second},]" +
      "[[一共|共|总共|]{things}辆车,{total}个轮子|[一共|共|]{total}个轮子,{things}辆车][。|,]",
  }[language]
  return { few, many, unit: "辆", story }
}

function purse(random: Random, language: Language, less: number, more: number): Setting {
  const coin = random.pick({ en: ["cent", "penny", "dollar"], zh: ["分", "角", "元"] }[language])
  const small = language === "zh" ? coin : coin === "penny" ? "pence" : `${coin}s`
  const kind = (value: number) => (language === "en" ? `${value}-${coin} coins` : `${value}${coin}硬币`)
  const story = {
    en:
      "[{name} has|A jar holds|A purse holds|In a box there are|{name} saved|There are] {things} coins[, |: ][only |all |]{first} [and|or] {second}[, worth |, in all |. They are worth |. Their value is ]" +
      `{total} ${small}[| together| in all].`,
    zh: `[{name}有|罐子里有|钱包里有|盒子里有|存钱罐里有]{things}枚硬币,[都是|只有|是]{first}[和|或]{second},[一共|共|总共|合计]{total}${coin}[。|,]`,
  }[language]
  return { few: kind(less), many: kind(more), unit: "枚", story, compared: `${less}<${more}` }
}
