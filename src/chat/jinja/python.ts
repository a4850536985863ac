// Step 2. Runtime values in, the text that Python prints for them out: `str`, `repr` and `json.dumps`.
// Templates were written for Jinja2, so its notation is part of the prompt that the model was trained on.

import {
  ArrayValue,
  BooleanValue,
  FloatValue,
  IntegerValue,
  NullValue,
  ObjectValue,
  StringValue,
  UndefinedValue,
  digitsOf,
} from "./values.ts"
import type { Value } from "./library.ts"

export interface JsonStyle {
  indent?: number
  escape?: "non-ascii" | "controls"
  separators?: readonly [item: string, key: string]
  order?: "given" | "sorted"
}

export function pythonStr(value: Value): string {
  return value instanceof StringValue ? value.value : value instanceof UndefinedValue ? "" : pythonRepr(value)
}

export function pythonRepr(value: Value): string {
  if (value instanceof StringValue) return quote(value.value)
  if (value instanceof BooleanValue) return value.value ? "True" : "False"
  if (value instanceof NullValue) return "None"
  if (value instanceof UndefinedValue) return "Undefined"
  if (value instanceof ArrayValue) {
    const items = value.value.map(pythonRepr)
    if (value.type !== "TupleValue") return `[${items.join(", ")}]`
    return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`
  }
  if (value instanceof ObjectValue)
    return `{${Array.from(value.value, ([key, item]) => `${quote(key)}: ${pythonRepr(item)}`).join(", ")}}`
  return number(value) ?? value.toString()
}

export function pythonJson(value: Value, style: JsonStyle = {}, depth = 0): string {
  if (value instanceof StringValue) return jsonString(value.value, style)
  if (value instanceof BooleanValue) return String(value.value)
  if (value instanceof NullValue) return "null"
  if (value instanceof ArrayValue)
    return list(
      "[",
      value.value.map((item) => pythonJson(item, style, depth + 1)),
      "]",
      style,
      depth,
    )
  if (value instanceof ObjectValue) {
    const [, colon] = separators(style)
    const entries = [...value.value]
    if (style.order === "sorted") entries.sort(([a], [b]) => (a < b ? -1 : 1))
    const items = entries.map(
      ([key, item]) => jsonString(key, style) + colon + pythonJson(item, style, depth + 1),
    )
    return list("{", items, "}", style, depth)
  }
  const text = number(value)
  if (text !== undefined) return text.replace("inf", "Infinity").replace("nan", "NaN")
  throw new Error(`a value of type ${value.type} cannot be written as JSON`)
}

function separators(style: JsonStyle): readonly [item: string, key: string] {
  return style.separators ?? [style.indent === undefined ? ", " : ",", ": "]
}

function list(open: string, items: string[], close: string, style: JsonStyle, depth: number): string {
  const [comma] = separators(style)
  if (style.indent === undefined || items.length === 0) return open + items.join(comma) + close
  const line = "\n" + " ".repeat(style.indent * depth)
  const inner = line + " ".repeat(style.indent)
  return open + inner + items.join(comma + inner) + line + close
}

function jsonString(text: string, style: JsonStyle): string {
  const escaped = JSON.stringify(text)
  if (style.escape !== "non-ascii") return escaped
  return escaped.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
}

function number(value: Value): string | undefined {
  if (value instanceof FloatValue) return pythonFloat(value.value)
  return value instanceof IntegerValue ? (digitsOf(value) ?? String(value.value)) : undefined
}

/** The shortest digits that read back as the same float, as in JavaScript, but laid out by Python's rules. */
export function pythonFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf"
  const [, sign, whole, rest = "", power] = /^(-?)(\d)(?:\.(\d+))?e(.+)$/.exec(value.toExponential())!
  const minus = Object.is(value, -0) ? "-" : sign
  const exponent = Number(power)
  const digits = whole + rest
  if (exponent < -4 || exponent >= 16) {
    const size = String(Math.abs(exponent)).padStart(2, "0")
    return `${minus}${whole}${rest && `.${rest}`}e${exponent < 0 ? "-" : "+"}${size}`
  }
  if (exponent < 0) return `${minus}0.${"0".repeat(-exponent - 1)}${digits}`
  return `${minus}${digits.slice(0, exponent + 1).padEnd(exponent + 1, "0")}.${digits.slice(exponent + 1) || "0"}`
}

const named = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\\", "\\\\"],
])

/** Single quotes unless only double quotes need no escape; what does not print is written by its number. */
function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'"
  const body = text.replace(/[\p{C}\p{Z}\\'"]/gu, (character) => {
    if (character === " ") return character
    if (character === "'" || character === '"') return character === mark ? `\\${character}` : character
    return named.get(character) ?? numbered(character.codePointAt(0)!)
  })
  return mark + body + mark
}

function numbered(code: number): string {
  const hex = code.toString(16)
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`
}
