// Step 6. What a tool is for in, a described tool out, under one of many names. Names come from parts, so that a
// held-out one is new as a whole; argument names, their order and the descriptions vary freely.

import type { Json, Tool } from "../../../types.ts"
import type { Language, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import type { Call } from "../script.ts"
import { membersIn } from "../split.ts"

export interface Argument {
  readonly names: readonly string[]
  readonly type: "string" | "number"
}

export interface Purpose {
  readonly verbs: readonly string[]
  readonly nouns: readonly string[]
  readonly arguments: readonly Argument[]
  readonly descriptions: Readonly<Record<Language, readonly string[]>>
}

export interface NamedTool {
  readonly tool: Tool
  /** What decided that this name may be used. */
  readonly content: string
  /** A call with the values in the order of the purpose's arguments. */
  call(values: readonly (string | number)[], result: Result): Call
}

/** What a tool gives back; `malformed` is text that is no JSON. */
export type Result = Json | Malformed

interface Malformed {
  readonly malformed: string
}

/** One toolbox writes all its names in one way. */
export type Spelling = (verb: string, noun: string) => string

const spellings: readonly Spelling[] = [
  (verb, noun) => `${verb}_${noun}`,
  (verb, noun) => `${verb}_${noun}`,
  (verb, noun) => `${verb}${capitalised(noun)}`,
  (verb, noun) => `${noun}_${verb}`,
  (verb, noun) => `${noun}.${verb}`,
]

export const pickSpelling = (random: Random): Spelling => random.pick(spellings)

export function nameTool(
  purpose: Purpose,
  random: Random,
  split: Split,
  language: Language,
  spelling: Spelling,
): NamedTool {
  const pairs = purpose.verbs.flatMap((verb) => purpose.nouns.map((noun) => `${verb} ${noun}`))
  const pair = random.pick(membersIn(split, "tool", pairs))
  const [verb, noun] = pair.split(" ")
  const name = spelling(verb, noun)
  const named = purpose.arguments.map((argument) => random.pick(argument.names))
  const order = random.shuffle([...named.keys()])
  const properties = Object.fromEntries(order.map((i) => [named[i], { type: purpose.arguments[i].type }]))
  return {
    content: `tool:${pair}`,
    tool: {
      type: "function",
      function: {
        name,
        description: random.pick(purpose.descriptions[language]),
        parameters: { type: "object", properties },
      },
    },
    call: (values, result) => ({
      name,
      arguments: Object.fromEntries(order.map((i) => [named[i], values[i]])),
      result: textOf(result),
    }),
  }
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

const capitalised = (word: string) => word.charAt(0).toUpperCase() + word.slice(1)
