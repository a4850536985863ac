// JSON that a file brings: UTF-8 and syntax checked, an object or an error that names the file. Knows text; never
// what the fields mean.

import type { Json } from "../types.ts"
import { messageOf, UserError } from "../util/errors.ts"

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

/** Parses a JSON object. Of a key given twice the last counts; keys such as `__proto__` are plain keys. */
export function readObject(bytes: Uint8Array, what: string): JsonObject {
  const value = parseText(utf8(bytes, what), what)
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

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
