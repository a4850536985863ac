// Step 6. A sentence and a small schema in, the filled JSON asked for: which keys, in which order, decides the split.

import type { Json } from "../../../types.ts"
import { json } from "../checks.ts"
import { madeUpCity, madeUpPerson } from "../made-up.ts"
import { phrase } from "../phrase.ts"
import type { Language, Problem, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { problemOf } from "../script.ts"
import { drawIn } from "../split.ts"
import { cities, goods, names } from "../vocabulary.ts"

const keys = {
  name: ["name", "person", "who", "customer", "user"],
  age: ["age", "years", "age_years"],
  city: ["city", "town", "home", "place", "location"],
  item: ["item", "product", "thing", "bought"],
  count: ["count", "quantity", "amount", "pieces"],
} as const
type Field = keyof typeof keys
const types: Readonly<Record<Field, string>> = {
  name: "string",
  age: "integer",
  city: "string",
  item: "string",
  count: "integer",
}

const sentences = {
  en: "[{name}, {age}, lives in {city} and buys {count} {item}|{name} from {city} is {age} years old and wants {count} {item}|In {city}, {name} ({age}) ordered {count} {item}].",
  zh: "[{name}今年{age}岁,住在{city},买了{count}个{item}|住在{city}的{name}{age}岁,要{count}个{item}|{city}的{name}({age}岁)订了{count}个{item}]。",
}
const requests = {
  en: "[Fill this JSON schema: {schema}|Answer as JSON with this schema: {schema}|Extract JSON: {schema}|Only JSON, please. Schema: {schema}]",
  zh: "[按此结构输出JSON:{schema}|提取为JSON:{schema}|只输出JSON,结构:{schema}]",
}

export function jsonProblem(random: Random, split: Split, language: Language): Problem {
  const schemaFields = drawIn(split, random, drawFields, contentOf)
  const fields = schemaFields.map(({ field }) => field)
  const chosen = schemaFields.map(({ key }) => key)
  const values: Record<Field, string | number> = {
    name: random.chance(0.5) ? madeUpPerson(random, language) : random.pick(names[language]),
    age: random.between(5, 90),
    city: random.chance(0.5) ? madeUpCity(random, language) : random.pick(cities[language]),
    item: random.pick(goods[language]).many,
    count: random.between(2, 30),
  }
  const schema = written(Object.fromEntries(fields.map((field, i) => [chosen[i], types[field]])))
  const filled = Object.fromEntries(fields.map((field, i) => [chosen[i], values[field]]))
  const sentence = phrase(random, sentences[language], values)
  const request = phrase(random, requests[language], { schema })
  return problemOf({
    task: "dialogue",
    language,
    content: [contentOf(schemaFields)],
    messages: [{ role: "user", content: `${sentence}\n${request}` }],
    stages: [
      {
        kind: "say",
        thought: fields.map((field, i) => `${chosen[i]}: ${values[field]}`).join("\n"),
        text: written(filled),
        check: json(filled),
      },
    ],
  })
}

interface SchemaField {
  readonly field: Field
  readonly key: string
}

function drawFields(random: Random): SchemaField[] {
  const fields = random.sample(Object.keys(keys) as Field[], random.between(2, 4)) // the keys of a const table
  return fields.map((field) => ({ field, key: random.pick(keys[field]) }))
}

function contentOf(fields: readonly SchemaField[]): string {
  return `schema:${fields.map(({ key }) => key).join()}`
}

function written(object: Readonly<Record<string, Json>>): string {
  return `{${Object.entries(object)
    .map(([key, value]) => `"${key}": ${JSON.stringify(value)}`)
    .join(", ")}}`
}
