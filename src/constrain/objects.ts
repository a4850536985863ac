// Between steps 1 and 4. The keywords of an object in, an expression out: properties that are named come in the
// order of the schema, those that may be missing are left out one by one; or any names with one schema for all.

import type { Json } from "../types.ts"
import { literal } from "./characters.ts"
import { oneOf, optional, repeated, sequence } from "./grammar.ts"
import { pathTo, unsatisfiable, unsupported } from "./keywords.ts"
import type { Keywords } from "./keywords.ts"
import type { ValueWriter } from "./value-writer.ts"

interface Pair {
  expression: string
  presence: "required" | "optional"
}

export function objectExpression(writer: ValueWriter, keywords: Keywords, path: string): string | undefined {
  const { properties = {}, required = [], additionalProperties } = keywords
  const names = new Set([...Object.keys(properties), ...required])
  if (names.size === 0 && additionalProperties !== false) return mapExpression(writer, keywords, path)
  if (keywords.propertyNames !== undefined)
    throw unsupported(pathTo(path, "propertyNames"), "names of properties beside those that are listed")
  const pairs: Pair[] = []
  for (const name of names) {
    const isRequired = required.includes(name)
    const listed = Object.hasOwn(properties, name)
    const schema = listed ? properties[name] : (additionalProperties ?? true)
    const value = writer.value(schema, pathTo(pathTo(path, listed ? "properties" : "required"), name))
    if (value === undefined && isRequired) return undefined
    if (value === undefined) continue
    const expression = sequence(literal(`${JSON.stringify(name)}:`), writer.space, value)
    pairs.push({
      expression: writer.grammar.rule(expression),
      presence: isRequired ? "required" : "optional",
    })
  }
  checkCounts(keywords, pairs, path)
  return braced(writer, pairs)
}

/** Between the keywords' bounds however many optional ones come. */
function checkCounts(
  { minProperties = 0, maxProperties = Infinity }: Keywords,
  pairs: readonly Pair[],
  path: string,
): void {
  const least = pairs.filter(({ presence }) => presence === "required").length
  if (least > maxProperties || pairs.length < minProperties) throw unsatisfiable(path)
  if (minProperties > least)
    throw unsupported(pathTo(path, "minProperties"), "a number of optional properties")
  if (maxProperties < pairs.length)
    throw unsupported(pathTo(path, "maxProperties"), "a number of optional properties")
}

function braced(writer: ValueWriter, pairs: readonly Pair[]): string {
  const { grammar, space } = writer
  if (pairs.length === 0) return '"{}"'
  // From the last on: what may follow once something stands there, and what may come first.
  let next = ""
  let first: string[] = []
  let empty: "allowed" | "forbidden" = "allowed"
  for (const { expression, presence } of [...pairs].reverse()) {
    const beginning = sequence(expression, next)
    const following = sequence('","', space, expression)
    if (presence === "required") {
      first = [beginning]
      empty = "forbidden"
      next = grammar.rule(sequence(following, next))
    } else {
      first = [beginning, ...first]
      next = grammar.rule(sequence(optional(following), next))
    }
  }
  const body = sequence(space, oneOf(first), space)
  return grammar.rule(sequence('"{"', empty === "allowed" ? optional(body) : body, '"}"'))
}

/** Any names. The same may come twice, so that a least number above one cannot be promised. */
function mapExpression(writer: ValueWriter, keywords: Keywords, path: string): string | undefined {
  const {
    additionalProperties = true,
    propertyNames = true,
    minProperties = 0,
    maxProperties = Infinity,
  } = keywords
  if (minProperties > 1) throw unsupported(pathTo(path, "minProperties"), "a number of different names")
  if (minProperties > maxProperties) throw unsatisfiable(path)
  const value = writer.value(additionalProperties, pathTo(path, "additionalProperties"))
  const name = nameExpression(writer, propertyNames, pathTo(path, "propertyNames"))
  if (value === undefined || name === undefined || maxProperties === 0)
    return minProperties > 0 ? undefined : '"{}"'
  return openObject(writer, name, value, [minProperties, maxProperties])
}

/** Names are strings whether their schema says so or not. */
function nameExpression(writer: ValueWriter, schema: Json, path: string): string | undefined {
  if (typeof schema === "boolean") return schema ? writer.text : undefined
  return writer.value({ type: "string", ...(writer.resolve(schema, path) as object) }, path)
}

/** An object of any such names and values. */
export function openObject(
  writer: ValueWriter,
  name: string,
  value: string,
  [min, max]: readonly [number, number] = [0, Infinity],
): string {
  const { space } = writer
  const pair = sequence(name, '":"', space, value)
  const more = max === 1 ? "" : repeated(sequence('","', space, pair), [Math.max(0, min - 1), max - 1])
  const body = sequence(space, pair, more, space)
  return sequence('"{"', min === 0 ? optional(body) : body, '"}"')
}
