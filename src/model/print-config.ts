// A config.json in, the text that transformers prints for it out. Works on the file's own text, because JSON.parse
// forgets that 1000000.0 was written as a float.

import type { Json } from "../types.ts"

/** `Qwen3MoeConfig {` and the fields, sorted, as Python's json prints them with an indent of 2. */
export function printConfig(json: string): string {
  return `Qwen3MoeConfig ${print(JSON.parse(keepNumbers(json)) as Json, "")}`
}

const numberMark = "\u0000number "

/** Makes every number of a JSON text a marked string with its spelling. */
function keepNumbers(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') ? token : JSON.stringify(numberMark + token),
  )
}

function print(value: Json, indent: string): string {
  const inner = `${indent}  `
  const lines = (open: string, items: string[], close: string) =>
    items.length === 0
      ? open + close
      : `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`
  if (Array.isArray(value)) {
    const items = value.map((item) => print(item, inner))
    return lines("[", items, "]")
  }
  if (typeof value === "object" && value !== null) {
    const fields = Object.keys(value).sort()
    const items = fields.map((field) => `${printString(field)}: ${print(value[field], inner)}`)
    return lines("{", items, "}")
  }
  if (typeof value !== "string") return String(value)
  return value.startsWith(numberMark) ? printNumber(value.slice(numberMark.length)) : printString(value)
}

/** Python prints integers as they are, and floats as the shortest decimal: 1000000.0, 0.001, 1e-06. */
function printNumber(spelling: string): string {
  if (!/[.eE]/.test(spelling)) return spelling
  return printFloat(Number(spelling))
}

/** A float as Python's repr. */
export function printFloat(value: number): string {
  const [digits, exponent] = value.toExponential().split("e")
  const size = Number(exponent)
  if (value !== 0 && (size < -4 || size >= 16))
    return `${digits}e${size < 0 ? "-" : "+"}${String(Math.abs(size)).padStart(2, "0")}`
  return Number.isInteger(value) ? `${value}.0` : String(value)
}

/** ASCII only, like Python's default. */
function printString(text: string): string {
  return JSON.stringify(text).replace(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
}
