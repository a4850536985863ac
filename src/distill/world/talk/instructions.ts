// Step 6. Answers in a form that was asked for: one number, capitals, a list; and a second turn that needs the first.

import { exactly, mentions } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import type { Stage } from "../script.ts"
import { drawIn } from "../split.ts"
import { add } from "../steps.ts"
import { cities, goods, names } from "../vocabulary.ts"

interface Exchange {
  readonly content: string
  readonly question: string
  readonly stages: readonly Stage[]
}

export function instructionProblem(random: Random, split: Split, language: Language): Problem {
  const draw = random.pick([numberOnly, capitals, list, rememberName])
  const { content, question, stages } = draw(random, split, language)
  return problemOf({
    task: "dialogue",
    language,
    content: [content],
    messages: [{ role: "user", content: question }],
    stages,
  })
}

function numberOnly(random: Random, split: Split, language: Language): Exchange {
  const contentOf = ([a, b]: readonly number[]) => `number-only:${a},${b}`
  const [a, b] = drawIn(split, random, (r) => [r.between(2, 60), r.between(2, 39)], contentOf)
  const pattern = {
    en: "[What is {a}+{b}? [Answer only with the number|Only the number|Reply with just a number|Nothing but the number].|Answer only with a number: {a}+{b}|Give just the number: {a}+{b}]",
    zh: "[{a}+{b}等于多少?[只回答数字|只要数字|仅输出数字]。|只回答数字:{a}+{b}|仅给出数字:{a}+{b}]",
  }[language]
  const text = String(a + b)
  return {
    content: contentOf([a, b]),
    question: phrase(random, pattern, { a, b }),
    stages: [{ kind: "say", thought: add(a, b), text, check: exactly(text) }],
  }
}

/** Chinese has no capitals: there it is a word of another language all the same. */
function capitals(random: Random, split: Split, language: Language): Exchange {
  const contentOf = (word: string) => `capitals:${word.toLowerCase()}`
  const word = drawIn(split, random, (r) => r.pick([...cities.en, ...names.en]), contentOf)
  const pattern = {
    en: "[Write {word} in upper case.|Say {word} in capital letters.|Put {word} in capitals.|Upper case, please: {word}]",
    zh: "[把{word}写成大写。|用大写字母写{word}。|请大写:{word}]",
  }[language]
  const text = word.toUpperCase()
  const thought = { en: "Capitals.", zh: "大写。" }[language]
  return {
    content: contentOf(word),
    question: phrase(random, pattern, { word }),
    stages: [{ kind: "say", thought, text, check: exactly(text) }],
  }
}

function list(random: Random, split: Split, language: Language): Exchange {
  const contentOf = (items: readonly string[]) => `list:${[...items].sort().join()}`
  const count = random.between(2, 4)
  const things = goods[language].map(({ many }) => many)
  const items = drawIn(split, random, (r) => r.sample(things, count), contentOf)
  const pattern = {
    en: "[Write as a list: {items}|Make a list of {items}.|List these, one per line: {items}|Turn this into a list: {items}]",
    zh: "[写成列表:{items}|把{items}列成清单。|每行一个,列出:{items}]",
  }[language]
  const text = items.map((item) => `- ${item}`).join("\n")
  return {
    content: contentOf(items),
    question: phrase(random, pattern, { items: items.join(language === "en" ? ", " : "、") }),
    stages: [
      {
        kind: "say",
        thought: { en: "One per line.", zh: "每行一个。" }[language],
        text,
        check: exactly(text),
      },
    ],
  }
}

const introductions = {
  en: "[I am {name} from {city}.|My name is {name} and I live in {city}.|Hi, {name} here, from {city}.]",
  zh: "[我叫{name},住在{city}。|我是{city}的{name}。|你好,我是{name},来自{city}。]",
}
const reminders = {
  en: {
    name: "[What is my name?|Do you remember my name?|Who am I?]",
    city: "[Where do I live?|Where am I from?|Which city did I name?]",
  },
  zh: {
    name: "[我叫什么?|你记得我的名字吗?|我是谁?]",
    city: "[我住在哪里?|我来自哪里?|我说的是哪个城市?]",
  },
}

function rememberName(random: Random, split: Split, language: Language): Exchange {
  const contentOf = ([name, city]: readonly string[]) => `person:${name},${city}`
  const draw = (r: Random) => [r.pick(names[language]), r.pick(cities[language])]
  const [name, city] = drawIn(split, random, draw, contentOf)
  const asked = random.pick(["name", "city"] as const)
  const answers = {
    en: { name: `You are ${name}.`, city: `You are from ${city}.` },
    zh: { name: `你是${name}。`, city: `你来自${city}。` },
  }[language]
  const hello = { en: `Hello ${name}!`, zh: `你好,${name}!` }[language]
  return {
    content: contentOf([name, city]),
    question: phrase(random, introductions[language], { name, city }),
    stages: [
      {
        kind: "say",
        thought: { en: "A greeting.", zh: "打招呼。" }[language],
        text: hello,
        check: mentions(name),
        next: phrase(random, reminders[language][asked]),
      },
      {
        kind: "say",
        thought: { en: `${name}, ${city}.`, zh: `${name},${city}。` }[language],
        text: answers[asked],
        check: mentions({ name, city }[asked]),
      },
    ],
  }
}
