// Between steps 1 and 4. A JSON schema in, an expression for JSON texts that satisfy it out. Every text of the
// expression is valid; not every valid text is one of it: properties come in the order of the schema, an object that
// names its properties has no others, and whitespace is what models write.

import type { Json } from "../types.ts"
import { arrayExpression, openArray } from "./arrays.ts"
import type { Grammar } from "./grammar.ts"
import { oneOf } from "./grammar.ts"
import { checkKeywords, isObject, pathTo, types, unsatisfiable, unsupported } from "./keywords.ts"
import type { Keywords, TypeName } from "./keywords.ts"
import { areDisjoint, merged, withoutChoices } from "./merge.ts"
import { anyNumber, decimals, integers } from "./numbers.ts"
import { objectExpression, openObject } from "./objects.ts"
import { stringExpression } from "./string-schema.ts"
import type { ValueWriter } from "./value-writer.ts"
import { jsonCharacter, jsonLiteral } from "./strings.ts"

/** Deeper references are no schema that a person wrote. */
const maxDepth = 200

export class SchemaWriter implements ValueWriter {
  readonly grammar: Grammar
  readonly #root: Json
  readonly #where: string
  /** Rules of the places that references lead to. */
  readonly #places = new Map<string, string>()
  #depth = 0

  /** `where` names the schema in what is said about it. */
  constructor(root: Json, grammar: Grammar, where: string) {
    this.#root = root
    this.#where = where
    this.grammar = grammar
  }

  /** The whole schema. */
  expression(): string {
    return this.#place("#", this.#where)
  }

  /** Whitespace between the parts of a value: none, one space, or a new line; never so much that it has no end. */
  get space(): string {
    return this.grammar.rule('("" | " " | "\\n" [ \\t]{0,20})')
  }

  /** Any JSON value. */
  get anything(): string {
    const { grammar } = this
    const known = this.#places.get("")
    if (known !== undefined) return known
    const name = grammar.reserve()
    this.#places.set("", name)
    const leaves = [this.text, grammar.rule(anyNumber), '"true"', '"false"', '"null"']
    grammar.define(name, oneOf([openObject(this, this.text, name), openArray(this, name), ...leaves]))
    return name
  }

  /** Any JSON string. */
  get text(): string {
    return this.grammar.rule(`"\\"" ${jsonCharacter}* "\\""`)
  }

  /** One schema; nothing where no value satisfies it. */
  value(schema: Json, path: string): string | undefined {
    if (schema === true) return this.anything
    if (schema === false) return undefined
    const keywords = checkKeywords(schema, path)
    if (keywords.$ref !== undefined) return this.#reference(keywords, path)
    if (keywords.allOf) return this.value(this.#all(keywords, keywords.allOf, path), path)
    if (keywords.anyOf) return this.#choice(keywords, "anyOf", path)
    if (keywords.oneOf) return this.#choice(keywords, "oneOf", path)
    if (keywords.const !== undefined || keywords.enum) return listed(keywords, path)
    const names = typesOf(keywords)
    if (names.length === types.length - 1 && !isLimited(keywords)) return this.anything
    const alternatives = names.flatMap((name) => this.#typed(name, keywords, path) ?? [])
    return alternatives.length === 0 ? undefined : oneOf(alternatives)
  }

  /** The schema that a reference leads to in the end, where that is an object. */
  resolve(schema: Json, path: string): Json {
    let target = schema
    for (let steps = 0; isObject(target) && typeof target.$ref === "string"; steps++) {
      if (steps === maxDepth) throw unsatisfiable(path)
      const { $ref, ...rest } = target
      const found = this.#find($ref, path)
      if (withoutChoices(rest, "$ref") === undefined) target = found
      else if (isObject(found)) target = merged(rest, found, path)
      else return found === true ? rest : found
    }
    return target
  }

  #typed(name: TypeName, keywords: Keywords, path: string): string | undefined {
    switch (name) {
      case "object":
        return objectExpression(this, keywords, path)
      case "array":
        return arrayExpression(this, keywords, path)
      case "string":
        return stringExpression(this, keywords, path)
      case "number":
      case "integer":
        return numberExpression(name, keywords)
      case "boolean":
        return '("true" | "false")'
      case "null":
        return '"null"'
      default:
        return name satisfies never
    }
  }

  #reference(keywords: Keywords, path: string): string | undefined {
    const { $ref = "#", ...rest } = keywords
    if (withoutChoices(rest as Json, "$ref") === undefined) return this.#place($ref, path)
    return this.value(this.resolve(keywords as Json, path), path)
  }

  /** One rule for all references to a place, so that a schema may hold itself. */
  #place(pointer: string, path: string): string {
    const known = this.#places.get(pointer)
    if (known !== undefined) return known
    const name = this.grammar.reserve()
    this.#places.set(pointer, name)
    if (++this.#depth > maxDepth) throw unsupported(path, `a chain of more than ${maxDepth} references`)
    const target = this.resolve({ $ref: pointer }, path)
    const where = pointer === "#" ? this.#where : `${this.#where}${pointer.slice(1).replaceAll("/", ".")}`
    const expression = this.value(target, where)
    if (expression === undefined) throw unsatisfiable(where)
    this.grammar.define(name, expression)
    this.#depth--
    return name
  }

  /** By JSON pointer (RFC 6901), within the schema only. */
  #find(pointer: string, path: string): Json {
    const missing = () =>
      unsupported(pathTo(path, "$ref"), `${JSON.stringify(pointer)}, which leads nowhere,`)
    if (pointer !== "#" && !pointer.startsWith("#/")) throw missing()
    let target: Json = this.#root
    for (const part of pointer.split("/").slice(1)) {
      const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")
      const next: Json | undefined = Array.isArray(target)
        ? target[Number(key)]
        : isObject(target) && Object.hasOwn(target, key)
          ? target[key]
          : undefined
      if (next === undefined) throw missing()
      target = next
    }
    return target
  }

  #all({ allOf: _, ...rest }: Keywords, all: readonly Json[], path: string): Json {
    return all.reduce<Json>((sum, one, i) => {
      const target = this.resolve(one, pathTo(pathTo(path, "allOf"), i))
      if (target === false || sum === false) return false
      if (target === true) return sum
      return merged(sum as Keywords, checkKeywords(target, pathTo(pathTo(path, "allOf"), i)), path)
    }, rest as Json)
  }

  #choice(keywords: Keywords, by: "anyOf" | "oneOf", path: string): string | undefined {
    const rest = withoutChoices(keywords, by)
    const list = pathTo(path, by)
    const targets = (keywords[by] ?? []).map((one) => this.resolve(one, list))
    if (by === "oneOf" && !areDisjoint(targets))
      throw unsupported(
        list,
        "oneOf of alternatives that one value could satisfy at once (say anyOf, or give each a property with a const of its own)",
      )
    const alternatives = (keywords[by] ?? []).flatMap((one, i) => {
      const where = pathTo(list, i)
      if (rest === undefined) return this.value(one, where) ?? []
      const target = targets[i]
      if (!isObject(target)) return target === true ? (this.value(rest as Json, where) ?? []) : []
      return this.value(merged(rest, checkKeywords(target, where), where), where) ?? []
    })
    return alternatives.length === 0 ? undefined : oneOf(alternatives)
  }
}

/** Values that the schema lists; those of another type than it says are not meant. */
function listed(keywords: Keywords, path: string): string | undefined {
  const {
    enum: all,
    const: only,
    type,
    title: _,
    description: __,
    ...rest
  } = keywords as Keywords & Record<string, Json>
  if (isLimited(rest as Keywords)) throw unsupported(path, "a list of values with further limits")
  const values = (only === undefined ? (all ?? []) : [only]).filter(
    (value) =>
      only === undefined ||
      all === undefined ||
      all.some((one) => JSON.stringify(one) === JSON.stringify(value)),
  )
  const names = type === undefined ? undefined : [type].flat()
  const fitting = values.filter(
    (value) => names === undefined || names.some((name) => isOfType(value, name as TypeName)),
  )
  return fitting.length === 0 ? undefined : oneOf(fitting.map(jsonLiteral))
}

function isOfType(value: Json, name: TypeName): boolean {
  if (name === "null") return value === null
  if (name === "array") return Array.isArray(value)
  if (name === "object") return isObject(value)
  if (name === "integer") return Number.isInteger(value)
  return typeof value === name
}

/** Where nothing is said, by the keywords that only one type has. */
function typesOf(keywords: Keywords): TypeName[] {
  if (keywords.type !== undefined) return [keywords.type].flat() as TypeName[] // checked with the keywords
  const has = (names: readonly (keyof Keywords)[]) => names.some((name) => keywords[name] !== undefined)
  const meant = (Object.keys(limits) as (keyof typeof limits)[]).filter((name) => has(limits[name]))
  return meant.length > 0 ? meant : types.filter((name) => name !== "integer")
}

const limits = {
  object: [
    "properties",
    "required",
    "additionalProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
  ],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
} as const satisfies Record<string, readonly (keyof Keywords)[]>

function isLimited(keywords: Keywords): boolean {
  return Object.values(limits).some((names) => names.some((name) => keywords[name] !== undefined))
}

function numberExpression(name: "number" | "integer", keywords: Keywords): string | undefined {
  const {
    minimum = -Infinity,
    maximum = Infinity,
    exclusiveMinimum: above,
    exclusiveMaximum: below,
  } = keywords
  if (name === "integer") {
    const least = above === undefined ? -Infinity : Math.floor(above) + 1
    const most = below === undefined ? Infinity : Math.ceil(below) - 1
    return integers(Math.max(Math.ceil(minimum), least), Math.min(Math.floor(maximum), most))
  }
  const excludesLow = above !== undefined && above >= minimum
  const excludesHigh = below !== undefined && below <= maximum
  const low = excludesLow ? above : minimum
  const high = excludesHigh ? below : maximum
  if (low === -Infinity && high === Infinity) return anyNumber
  return decimals(
    low === -Infinity ? undefined : { value: low, kind: excludesLow ? "exclusive" : "inclusive" },
    high === Infinity ? undefined : { value: high, kind: excludesHigh ? "exclusive" : "inclusive" },
  )
}
