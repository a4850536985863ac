// Step 8. A parameter's text in the Coder's XML form in, its JSON text out, by the type that the tool declares.
// Numbers and nested JSON keep the model's own writing; what fits no declared type stays a string, word for word.

import type { Json, Tool } from "../types.ts"

type Kind = "string" | "number" | "boolean" | "null" | "container"
type Schema = { readonly [key: string]: Json }

const kindOfType: Readonly<Record<string, Kind>> = {
  string: "string",
  integer: "number",
  number: "number",
  boolean: "boolean",
  null: "null",
  array: "container",
  object: "container",
}
const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

/** The kinds that a parameter may have; a string where nothing is declared. */
export function kindsOf(tools: readonly Tool[], tool: string, parameter: string): ReadonlySet<Kind> {
  const declared = tools.find((candidate) => candidate.function.name === tool)?.function.parameters
  const properties = asSchema(declared)?.properties
  const kinds = schemaKinds(asSchema(properties)?.[parameter])
  return kinds.size > 0 ? kinds : new Set<Kind>(["string"])
}

/** The JSON text of a value whose kinds are not just a string. */
export function coerce(text: string, kinds: ReadonlySet<Kind>): string {
  const word = text.trim()
  if (/^(?:null|None)$/.test(word) && (kinds.has("null") || !kinds.has("string"))) return "null"
  if (kinds.has("boolean") && /^(?:true|false)$/i.test(word)) return word.toLowerCase()
  if (kinds.has("number") && jsonNumber.test(word)) return word
  if (kinds.has("container")) for (const json of [word, fromPython(word)]) if (isContainer(json)) return json
  return JSON.stringify(text)
}

function schemaKinds(schema: Json | undefined): Set<Kind> {
  const { type, anyOf, oneOf, enum: values } = asSchema(schema) ?? {}
  const types = Array.isArray(type) ? type : type === undefined ? [] : [type]
  const kinds = new Set(types.flatMap((name) => kindOfType[String(name)] ?? []))
  for (const alternative of [anyOf, oneOf].flatMap((list) => (Array.isArray(list) ? list : [])))
    for (const kind of schemaKinds(alternative)) kinds.add(kind)
  if (kinds.size === 0 && Array.isArray(values)) for (const value of values) kinds.add(kindOfValue(value))
  return kinds
}

function kindOfValue(value: Json): Kind {
  return value === null ? "null" : typeof value === "object" ? "container" : kindOfType[typeof value]
}

function asSchema(value: Json | undefined): Schema | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined
}

function isContainer(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === "object" && value !== null
  } catch {
    return false
  }
}

const words = new Map([
  ["True", "true"],
  ["False", "false"],
  ["None", "null"],
  ["(", "["],
  [")", "]"],
])
const escapes = new Map([
  ["\\'", "'"],
  ['"', '\\"'],
  ["\n", "\\n"],
])

/** Python's notation as JSON: the first Coder template shows earlier lists and mappings to the model that way. */
function fromPython(text: string): string {
  return text.replace(
    /(['"])([^'"\\]*(?:(?!\1)['"][^'"\\]*|\\.[^'"\\]*)*)\1|\b(?:True|False|None)\b|[()]/gs,
    (token, _quote, body?: string) => (body === undefined ? (words.get(token) ?? token) : jsonString(body)),
  )
}

function jsonString(body: string): string {
  const escaped = body.replace(/\\x(..)|\\.|"|\n/gs, (part, hex?: string) =>
    hex === undefined ? (escapes.get(part) ?? part) : `\\u00${hex}`,
  )
  return `"${escaped}"`
}
