// Step 6. What a tool is for in, a described tool out, under one of many names. Names come from parts, so that a
// held-out one is new as a whole; half the toolboxes have made-up words, which only the description explains: who learns
// a list of names by heart gets those wrong. Argument names, their order and the descriptions vary freely.

import type { Json, Tool } from "../../../types.ts"
import { madeUpWord } from "../made-up.ts"
import { capitalised } from "../phrase.ts"
import type { Language, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import type { Call } from "../script.ts"
import { drawIn, membersIn } from "../split.ts"

export interface Argument {
  readonly names: readonly string[]
  readonly type: "string" | "number"
}

export interface Purpose {
  readonly verbs: readonly string[]
  readonly nouns: readonly string[]
  readonly arguments: readonly Argument[]
  /** What it is about, in a word or two that no description need have. */
  readonly subject: Readonly<Record<Language, string>>
  readonly descriptions: Readonly<Record<Language, readonly string[]>>
}

export interface NamedTool {
  readonly name: string
  readonly tool: Tool
  /** What decided that this name may be used. */
  readonly content: string
  /** What it is for and its name, letter for letter as the prompt has them. */
  readonly quote: string
  /** A call with the values in the order of the purpose's arguments. */
  call(values: readonly (string | number)[], result: Result): Call
}

/** What a tool gives back; `malformed` is text that is no JSON. */
export type Result = Json | Malformed

interface Malformed {
  readonly malformed: string
}

/** One toolbox names all its tools in one way. */
export interface Naming {
  readonly words: "meant" | "made up"
  readonly spell: (verb: string, noun: string) => string
}

const spellings: readonly Naming["spell"][] = [
  (verb, noun) => `${verb}_${noun}`,
  (verb, noun) => `${verb}_${noun}`,
  (verb, noun) => `${verb}${capitalised(noun)}`,
  (verb, noun) => `${noun}_${verb}`,
  (verb, noun) => `${noun}.${verb}`,
]

export function pickNaming(random: Random, madeUp = 0.5): Naming {
  return { words: random.chance(madeUp) ? "made up" : "meant", spell: random.pick(spellings) }
}

export function nameTool(
  purpose: Purpose,
  random: Random,
  split: Split,
  language: Language,
  naming: Naming,
): NamedTool {
  const pair =
    naming.words === "meant" ? meantPair(purpose, random, split) : madeUpPair(purpose, random, split)
  const name = naming.spell(...pair)
  const named = purpose.arguments.map((argument) => random.pick(argument.names))
  const order = random.shuffle([...named.keys()])
  const description = random.pick(purpose.descriptions[language])
  const properties = Object.fromEntries(order.map((i) => [named[i], { type: purpose.arguments[i].type }]))
  return {
    name,
    content: contentOf(pair),
    quote: quoteOf(description, name),
    tool: toolOf(name, description, properties),
    call: (values, result) => ({
      name,
      arguments: Object.fromEntries(order.map((i) => [named[i], values[i]])),
      result: textOf(result),
    }),
  }
}

/** As a thought quotes a tool: letter for letter what nano's template shows of it. */
export function quoteOf(description: string, name: string): string {
  return `"description": ${JSON.stringify(description)}, "name": ${JSON.stringify(name)}`
}

export function toolOf(name: string, description: string, properties: Properties): Tool {
  return { type: "function", function: { name, description, parameters: { type: "object", properties } } }
}

type Properties = Readonly<Record<string, { readonly type: Argument["type"] }>>

type Pair = readonly [verb: string, noun: string]

const contentOf = ([verb, noun]: Pair) => `tool:${verb} ${noun}`

function meantPair({ verbs, nouns }: Purpose, random: Random, split: Split): Pair {
  const pairs = verbs.flatMap((verb) => nouns.map((noun): Pair => [verb, noun]))
  const members = membersIn(
    split,
    "tool",
    pairs.map((pair) => pair.join(" ")),
  )
  const [verb, noun] = random.pick(members).split(" ")
  return [verb, noun]
}

/** Some have a verb that says what is done, though not to what. */
function madeUpPair({ verbs }: Purpose, random: Random, split: Split): Pair {
  const draw = (r: Random): Pair => [r.chance(0.5) ? r.pick(verbs) : madeUpWord(r), madeUpWord(r)]
  return drawIn(split, random, draw, contentOf)
}

/** As Python writes JSON, which is what the templates show elsewhere too. */
function textOf(result: Result): string {
  if (isMalformed(result)) return result.malformed
  if (Array.isArray(result)) return `[${result.map(textOf).join(", ")}]`
  if (typeof result !== "object" || result === null) return JSON.stringify(result)
  const fields = Object.entries(result).map(([key, value]) => `${JSON.stringify(key)}: ${textOf(value)}`)
  return `{${fields.join(", ")}}`
}

function isMalformed(result: Result): result is Malformed {
  return typeof result === "object" && result !== null && "malformed" in result
}
