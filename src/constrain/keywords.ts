// Between steps 1 and 4. One JSON schema object in, the same with its keywords' values known to be of the right kind.
// What is wrong, and what this grammar cannot promise, is refused with the keyword's path.

import type { Json } from "../types.ts"
import { UserError } from "../util/errors.ts"

export type Schema = { readonly [keyword: string]: Json }

/** The keywords that are kept to, as JSON Schema 2020-12 has them. */
export interface Keywords {
  type?: string | string[]
  enum?: Json[]
  const?: Json
  $ref?: string
  anyOf?: Json[]
  oneOf?: Json[]
  allOf?: Json[]
  properties?: Schema
  required?: string[]
  additionalProperties?: Json
  propertyNames?: Json
  minProperties?: number
  maxProperties?: number
  items?: Json
  prefixItems?: Json[]
  minItems?: number
  maxItems?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  format?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
}

export const types = ["object", "array", "string", "number", "integer", "boolean", "null"] as const
export type TypeName = (typeof types)[number]

type Check = readonly [holds: (value: Json) => boolean, wanted: string]

const isType = (value: Json) => types.some((name) => name === value)
const isSchema = (value: Json) => typeof value === "boolean" || isObject(value)
const isList = (value: Json) => Array.isArray(value) && value.length > 0

const schema: Check = [isSchema, "a schema"]
// What they hold is checked where it is read, so that its own path is named.
const schemas: Check = [isList, "a list of schemas"]
const named: Check = [isObject, "an object of schemas"]
const count: Check = [
  (value) => Number.isSafeInteger(value) && Number(value) >= 0,
  "a whole number from 0 up",
]
const number: Check = [(value) => typeof value === "number" && Number.isFinite(value), "a number"]
const text: Check = [(value) => typeof value === "string", "a text"]

const known: Readonly<Record<keyof Keywords | "$defs" | "definitions", Check>> = {
  type: [
    (value) => isType(value) || (isList(value) && (value as Json[]).every(isType)),
    `one of ${types.join(", ")}, or a list of them`,
  ],
  enum: [isList, "a list of at least one value"],
  const: [() => true, "a value"],
  $ref: text,
  $defs: named,
  definitions: named,
  anyOf: schemas,
  oneOf: schemas,
  allOf: schemas,
  properties: named,
  required: [
    (value) => Array.isArray(value) && value.every((name) => typeof name === "string"),
    "a list of names",
  ],
  additionalProperties: schema,
  propertyNames: schema,
  minProperties: count,
  maxProperties: count,
  items: schema,
  prefixItems: schemas,
  minItems: count,
  maxItems: count,
  minLength: count,
  maxLength: count,
  pattern: text,
  format: text,
  minimum: number,
  maximum: number,
  exclusiveMinimum: number,
  exclusiveMaximum: number,
}

/** Keywords that forbid something and cannot be kept to, with the values that forbid nothing. */
const refused: Readonly<Record<string, readonly Json[]>> = {
  not: [],
  if: [],
  then: [],
  else: [],
  dependentRequired: [],
  dependentSchemas: [],
  dependencies: [],
  contains: [],
  minContains: [],
  maxContains: [],
  uniqueItems: [false],
  multipleOf: [],
  patternProperties: [],
  unevaluatedProperties: [true, false], // no object has properties that its schema does not name
  unevaluatedItems: [true],
  additionalItems: [true],
  $dynamicRef: [],
  $recursiveRef: [],
}

export function checkKeywords(value: Json, path: string): Keywords {
  if (!isObject(value)) throw wrong(path, value, "a schema")
  for (const [keyword, given] of Object.entries(value)) {
    if (Object.hasOwn(known, keyword)) {
      const [holds, wanted] = known[keyword as keyof typeof known] // just asked
      if (!holds(given)) throw wrong(pathTo(path, keyword), given, wanted)
    } else if (Object.hasOwn(refused, keyword) && !refused[keyword].includes(given))
      throw unsupported(pathTo(path, keyword), "this keyword")
  }
  return value as Keywords // the loop above proved it
}

/** `schema.properties["a b"]` */
export function pathTo(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${key}]`
  return /^[\w$]+$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`
}

export function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

export function unsupported(path: string, what: string): UserError {
  return new UserError(
    "bad-request",
    `${path}: ${what} cannot be kept to here: leave it out or say it otherwise`,
  )
}

export function unsatisfiable(path: string): UserError {
  return new UserError("bad-request", `${path}: no value satisfies this schema: correct it`)
}

function wrong(path: string, value: Json, wanted: string): UserError {
  const shown = JSON.stringify(value)
  const got = shown.length > 80 ? `${shown.slice(0, 80)}...` : shown
  return new UserError("bad-request", `${path} is ${got}: wanted ${wanted}`)
}
