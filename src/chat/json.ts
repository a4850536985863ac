// Steps 1 and 8. JSON text in, plain values out, remembering how a number was written where a JavaScript number
// forgets it (`1.0`, `1e-07`, integers beyond 2^53): templates print what Python would, and Python keeps the two apart.

import type { Json } from "../types.ts"

/** The source text of such numbers, by the object or array that holds them and their key in it. */
const sources = new WeakMap<object, Map<string, string>>()

// A string, skipped, or a number.
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g

/** As `JSON.parse`; throws its SyntaxError. */
export function parseJson(text: string): Json {
  const plain = JSON.parse(text) as Json // what JSON.parse returns, by its definition
  let marker = "number"
  while (text.includes(marker)) marker += "'"
  let marked = 0
  const markedText = text.replace(stringOrNumber, (token) => {
    if (token.startsWith('"') || String(Number(token)) === token) return token
    marked++
    return `{"${marker}":"${token}"}`
  })
  return marked === 0 ? plain : JSON.parse(markedText, restore)

  function restore(this: object, key: string, value: Json): Json {
    const source =
      typeof value === "object" && value !== null && !Array.isArray(value) ? value[marker] : undefined
    if (typeof source !== "string") return value
    const known = sources.get(this) ?? new Map<string, string>()
    sources.set(this, known.set(key, source))
    return Number(source)
  }
}

/** How the number under `key` was written, if `parseJson` read it and the value alone does not tell. */
export function numberSource(holder: object, key: string): string | undefined {
  return sources.get(holder)?.get(key)
}
