// Steps 1 and 8. JSON text in, plain values out and back, remembering how a number was written where a JavaScript number
// forgets it (`1.0`, `1e-07`, integers beyond 2^53): templates print what Python would, and Python keeps the two apart.

import type { Json } from "../types.ts"

/** The source text of such numbers, by the object or array that holds them and their key in it. */
const sources = new WeakMap<object, Map<string, string>>()

const number = /-?\d[\d.eE+-]*/y

/** As `JSON.parse`; throws its SyntaxError. */
export function parseJson(text: string): Json {
  const plain = JSON.parse(text) as Json // what JSON.parse returns, by its definition
  const marker = crypto.randomUUID() // no key of the text, which came before it
  const markedText = markNumbers(text, marker)
  return markedText === text ? plain : JSON.parse(markedText, restore)

  function restore(this: object, key: string, value: Json): Json {
    const source =
      typeof value === "object" && value !== null && !Array.isArray(value) ? value[marker] : undefined
    if (typeof source !== "string") return value
    const known = sources.get(this) ?? new Map<string, string>()
    sources.set(this, known.set(key, source))
    return Number(source)
  }
}

/** The text that `parseJson` reads as the same value, numbers as they were written. Fields without a value are left out. */
export function writeJson(value: object): string {
  const written = (key: string, one: unknown) =>
    numberSource(value, key) ??
    (typeof one === "object" && one !== null ? writeJson(one) : JSON.stringify(one))
  if (Array.isArray(value)) return `[${value.map((one, i) => written(String(i), one)).join(",")}]`
  const pairs = Object.entries(value).filter(([, one]) => one !== undefined)
  return `{${pairs.map(([key, one]) => `${JSON.stringify(key)}:${written(key, one)}`).join(",")}}`
}

/** Puts each number that would read otherwise in JavaScript into an object of its own. The text is valid JSON. */
function markNumbers(text: string, marker: string): string {
  let marked = ""
  let numCopied = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '"') i = endOfString(text, i)
    else if (c === "-" || (c >= "0" && c <= "9")) {
      number.lastIndex = i
      const [token] = number.exec(text)! // it begins like one
      if (String(Number(token)) !== token) {
        marked += `${text.slice(numCopied, i)}{"${marker}":"${token}"}`
        numCopied = i + token.length
      }
      i += token.length - 1
    }
  }
  return marked + text.slice(numCopied)
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(text: string, start: number): number {
  let i = start + 1
  while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1
  return i
}

/** How the number under `key` was written, if `parseJson` read it and the value alone does not tell. */
export function numberSource(holder: object, key: string): string | undefined {
  return sources.get(holder)?.get(key)
}
