// Between steps 1 and 4. Tools in, an expression for calls of them out, in the form that the checkpoint writes calls:
// JSON, or elements for the function and each parameter. Arguments satisfy the tool's schema, or are any where it says so.

import { kindsOf } from "../chat/coerce.ts"
import type { ToolFormat } from "../chat/format.ts"
import type { Json, Tool } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { anyCharacter, characterClass, charactersOf, except, literal, tagExpression } from "./characters.ts"
import { Grammar, oneOf, optional, repeated, sequence } from "./grammar.ts"
import { isObject, pathTo, unsatisfiable, unsupported } from "./keywords.ts"
import type { Schema } from "./keywords.ts"
import { regexExpression } from "./regex.ts"
import { SchemaWriter } from "./schema.ts"

export interface CallsOptions {
  format: ToolFormat
  /** Those that may be called, by their place among the request's. */
  tools: ReadonlyMap<number, Tool>
  /** Most calls. */
  most: number
  /** What becomes of parameters that no grammar can keep to: they are refused, or any arguments pass. */
  others: "refused" | "any"
  /** Whether the tag of the first call is still to come. */
  opening: "ahead" | "written"
}

/** One call or more. */
export function callsExpression(grammar: Grammar, options: CallsOptions): string {
  const { tools, most, opening } = options
  const calls = [...tools].map(([i, tool]) => {
    const path = `tools[${i}].function.parameters`
    return isKept(tool, path, options)
      ? callOf(grammar, tool, path, options)
      : anyCall(grammar, tool.function.name, options)
  })
  // A model that was not told to call may be used to leave the lines' ends out.
  const lineEnd = opening === "written" ? optional('"\\n"') : '"\\n"'
  const body = grammar.rule(sequence(lineEnd, oneOf(calls), lineEnd, tagExpression("endToolCall")))
  const block = grammar.rule(sequence(tagExpression("toolCall"), body))
  const more = most === 1 ? "" : repeated(sequence(lineEnd, block), [0, most - 1])
  return opening === "written" ? sequence(body, more, lineEnd) : sequence(block, more)
}

/** Tried on a grammar of its own, for one that failed in the middle is of no use. */
function isKept(tool: Tool, path: string, options: CallsOptions): boolean {
  const { strict } = tool.function
  if (strict === false) return false
  if (strict === true || options.others === "refused") return true
  try {
    callOf(new Grammar(), tool, path, options)
    return true
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return false
  }
}

function callOf(grammar: Grammar, tool: Tool, path: string, { format }: CallsOptions): string {
  return format === "xml" ? xmlCall(grammar, tool, path) : hermesCall(grammar, tool, path)
}

/** A call with any arguments. */
function anyCall(grammar: Grammar, name: string, { format }: CallsOptions): string {
  if (format === "hermes") return hermesCall(grammar, { type: "function", function: { name } }, "parameters")
  const key = characterClass(except(charactersOf("<>\n")))
  const element = sequence(
    literal("<parameter="),
    `${key}+`,
    literal(">\n"),
    withoutEnd(grammar),
    literal("\n</parameter>\n"),
  )
  return sequence(literal(`<function=${name}>\n`), repeated(element, [0, Infinity]), literal("</function>"))
}

function hermesCall(grammar: Grammar, { function: { name, parameters = {} } }: Tool, path: string): string {
  const schema = { type: "object", ...parameters }
  const args = new SchemaWriter(schema, grammar, path).expression()
  return sequence(literal(`{"name": ${JSON.stringify(name)}, "arguments": `), args, '"}"')
}

function xmlCall(grammar: Grammar, tool: Tool, path: string): string {
  const { name, parameters = {} } = tool.function
  const schema = new SchemaWriter(parameters, grammar, path).resolve(parameters, path)
  const { properties = {}, required = [] } = (isObject(schema) ? schema : {}) as {
    properties?: Json
    required?: Json
  }
  if (!isObject(properties) || !Array.isArray(required)) throw unsatisfiable(path)
  for (const missing of required.map(String).filter((key) => !Object.hasOwn(properties, key)))
    throw unsupported(pathTo(path, "required"), `${JSON.stringify(missing)}, which properties do not name,`)
  const elements = Object.entries(properties).map(([key, value]) => {
    const where = pathTo(pathTo(path, "properties"), key)
    const isText = kindsOf([tool], name, key).has("string")
    const inner = isText
      ? textValue(grammar, value, where)
      : new SchemaWriter(parameters, grammar, path).value(value, where)
    if (inner === undefined) throw unsatisfiable(where)
    const element = sequence(literal(`<parameter=${key}>\n`), inner, literal("\n</parameter>\n"))
    return required.includes(key) ? element : optional(element)
  })
  return sequence(literal(`<function=${name}>\n`), ...elements, literal("</function>"))
}

/** A text as it stands between the tags: listed values, patterns and lengths are kept to where it can be nothing else. */
function textValue(grammar: Grammar, schema: Json, path: string): string {
  const {
    type,
    const: only,
    enum: all,
    pattern,
    minLength,
    maxLength,
  } = (isObject(schema) ? schema : {}) as Schema
  const values = only !== undefined ? [only] : Array.isArray(all) ? all : undefined
  if (values)
    return oneOf(values.map((value) => literal(typeof value === "string" ? value : JSON.stringify(value))))
  if (type !== "string") return withoutEnd(grammar)
  if (typeof pattern === "string")
    return regexExpression(pattern, grammar, { writing: "plain", matching: "part" }, pathTo(path, "pattern"))
  if (minLength === undefined && maxLength === undefined) return withoutEnd(grammar)
  const [least, most] = [Number(minLength ?? 0), Number(maxLength ?? Infinity)]
  grammar.countWide(most === Infinity ? least : most, path)
  return repeated(characterClass(except(charactersOf("<"))), [least, most])
}

const endTag = "</parameter>"

/** Texts in which the closing tag does not stand, by a state for each part of the tag that they may end with. */
function withoutEnd(grammar: Grammar): string {
  const states = Array.from(endTag, (_, i) => `text${i}`)
  if (!grammar.has(states[0])) {
    for (const [i, state] of states.entries()) {
      const others = characterClass(except(charactersOf(`<${endTag[i]}`), anyCharacter))
      const again = endTag[i] === "<" ? [] : [`"<" ${states[1]}`]
      const next = i + 1 < states.length ? [`${literal(endTag[i])} ${states[i + 1]}`] : []
      grammar.define(state, `("" | ${[`${others} ${states[0]}`, ...again, ...next].join(" | ")})`)
    }
  }
  return states[0]
}
