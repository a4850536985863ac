// JSON that a file brings: UTF-8 and syntax checked, an object or an error that names the file. Knows text; never
// what the fields mean.

import type { Json } from "../types.ts"
import { messageOf, UserError } from "../util/errors.ts"
import { counted } from "./file.ts"

export type JsonObject = Record<string, Json>

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Strict UTF-8 to text; `what` names the bytes in the error. */
export function utf8(bytes: Uint8Array, what: string): string {
  try {
    return strictUtf8.decode(bytes)
  } catch (error) {
    throw new UserError("bad-file", `${what} is not valid UTF-8: the file is damaged, get it again`, {
      cause: error,
    })
  }
}

/** What a model's files need is 5; deeper values would exhaust the stack of whoever walks them. */
const maxDepth = 100

/** Parses a JSON object. Of a key given twice the last counts; keys such as `__proto__` are plain keys. */
export function readObject(bytes: Uint8Array, what: string): JsonObject {
  const text = utf8(bytes, what)
  const depth = depthOf(text)
  if (depth > maxDepth)
    throw new UserError(
      "bad-file",
      `${what} is JSON of ${counted(depth)} levels; wanted at most ${maxDepth}: the file is damaged, get it again`,
    )
  const value = parseText(text, what)
  if (!isObject(value))
    throw new UserError("bad-file", `${what} is JSON but not an object: check that it is the right file`)
  return value
}

function parseText(text: string, what: string): Json {
  try {
    return JSON.parse(text) as Json // JSON.parse returns any; every JSON value is a Json
  } catch (error) {
    const next = "the file is damaged, get it again"
    throw new UserError("bad-file", `${what} is not valid JSON (${messageOf(error)}): ${next}`, {
      cause: error,
    })
  }
}

/** Levels of lists and objects in JSON. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (inString && char === "\\") i++
    else if (char === '"') inString = !inString
    else if (!inString && (char === "[" || char === "{")) deepest = Math.max(deepest, ++depth)
    else if (!inString && (char === "]" || char === "}")) depth--
  }
  return deepest
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
