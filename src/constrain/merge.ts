// Between steps 1 and 4. Two schemas that both hold in, one that says the same out, where one object of keywords can
// say it; and whether alternatives exclude each other.

import type { Json } from "../types.ts"
import { checkKeywords, isObject, pathTo, unsupported } from "./keywords.ts"
import type { Keywords, Schema } from "./keywords.ts"

/** Keywords that say nothing about a value. */
const annotations = new Set([
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
  "$comment",
  "$schema",
  "$id",
  "$defs",
  "definitions",
])

/** The keywords beside `by` that say something; nothing where there are none. */
export function withoutChoices(keywords: Keywords | Json, by: keyof Keywords): Keywords | undefined {
  const rest = Object.entries(keywords as Schema).filter(([name]) => name !== by && !annotations.has(name))
  return rest.length === 0 ? undefined : (Object.fromEntries(rest) as Keywords)
}

/** Both at once. */
export function merged(a: Keywords | Json, b: Keywords | Json, path: string): Json {
  const first = checkKeywords(a as Json, path) as Schema
  const second = checkKeywords(b as Json, path) as Schema
  const sum: { [keyword: string]: Json } = { ...first }
  for (const [name, value] of Object.entries(second)) {
    const other = sum[name]
    if (other === undefined) sum[name] = value
    else if (!annotations.has(name)) sum[name] = both(name, other, value, path)
  }
  const differ =
    JSON.stringify(Object.keys(first.properties ?? {})) !==
    JSON.stringify(Object.keys(second.properties ?? {}))
  if (differ && (closes(first, second) || closes(second, first)))
    throw unsupported(path, "the sum of schemas of which one forbids the other's properties")
  return sum
}

function both(name: string, a: Json, b: Json, path: string): Json {
  if (JSON.stringify(a) === JSON.stringify(b)) return a
  if (name === "required") return [...new Set([...(a as string[]), ...(b as string[])])] // checked before
  if (name === "type") {
    const shared = [a].flat().filter((one) => [b].flat().includes(one))
    if (shared.length > 0) return shared
  }
  if (name === "properties" && isObject(a) && isObject(b)) {
    const sum = { ...a }
    for (const [key, schema] of Object.entries(b))
      sum[key] = Object.hasOwn(a, key) ? bothSchemas(a[key], schema, pathTo(path, key)) : schema
    return sum
  }
  if (typeof a === "number" && typeof b === "number")
    return /^(min|exclusiveMin)/.test(name) ? Math.max(a, b) : Math.min(a, b)
  throw unsupported(pathTo(path, name), "two different values of it at once")
}

function bothSchemas(a: Json, b: Json, path: string): Json {
  if (a === false || b === false) return false
  if (a === true) return b
  return b === true ? a : merged(a, b, path)
}

/** Whether `a` forbids what `b` names. */
function closes(a: Schema, b: Schema): boolean {
  const closed = a.additionalProperties !== undefined && a.additionalProperties !== true
  return (
    closed &&
    Object.keys(b.properties ?? {}).some((key) => !Object.hasOwn((a.properties ?? {}) as Schema, key))
  )
}

/** Whether no value satisfies two of them: by type, by listed values, or by a property that each must have. */
export function areDisjoint(schemas: readonly Json[]): boolean {
  return schemas.every((a, i) => schemas.slice(i + 1).every((b) => excludes(a, b)))
}

function excludes(a: Json, b: Json): boolean {
  if (a === false || b === false) return true
  if (!isObject(a) || !isObject(b)) return false
  const [typesOfA, typesOfB] = [typesIn(a), typesIn(b)]
  if (typesOfA && typesOfB && !typesOfA.some((name) => typesOfB.includes(name))) return true
  const [valuesOfA, valuesOfB] = [valuesIn(a), valuesIn(b)]
  if (valuesOfA && valuesOfB) return !valuesOfA.some((value) => valuesOfB.includes(value))
  return sharedKeys(a, b).some(([one, other]) => excludes(one, other))
}

/** `number` for whole numbers too. */
function typesIn({ type }: Schema): string[] | undefined {
  return type === undefined
    ? undefined
    : [type].flat().map((name) => (name === "integer" ? "number" : String(name)))
}

function valuesIn({ const: only, enum: all }: Schema): string[] | undefined {
  const values = only !== undefined ? [only] : Array.isArray(all) ? all : undefined
  return values?.map((value) => JSON.stringify(value))
}

/** The schemas of properties that both name and must have. */
function sharedKeys(a: Schema, b: Schema): [Json, Json][] {
  const requiredIn = ({ required }: Schema) => (Array.isArray(required) ? required.map(String) : [])
  const [ofA, ofB] = [a.properties, b.properties]
  if (a.type !== "object" || b.type !== "object" || !isObject(ofA) || !isObject(ofB)) return []
  return requiredIn(a)
    .filter((key) => requiredIn(b).includes(key) && Object.hasOwn(ofA, key) && Object.hasOwn(ofB, key))
    .map((key) => [ofA[key], ofB[key]])
}
