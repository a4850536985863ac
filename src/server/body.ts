// Step 1. The body of a request in, checked values out: its length, its nesting and its shape are looked at before
// anything is done with it, and what is wrong is said with the path of the field.

import type { z } from "zod"
import { parseJson } from "../chat/json.ts"
import type { Json } from "../types.ts"
import { messageOf } from "../util/errors.ts"
import { ApiError } from "./api-error.ts"

/** Deeper JSON is no request: templates and schemas walk it recursively. */
const maxDepth = 100

/** The body as JSON of at most so many bytes. */
export async function readJson(request: Request, maxBytes: number): Promise<Json> {
  const text = await readText(request, maxBytes)
  if (depthOf(text) > maxDepth)
    throw new ApiError(400, `the body is nested more than ${maxDepth} deep: send flatter JSON`)
  try {
    return parseJson(text)
  } catch (error) {
    throw new ApiError(400, `the body is no valid JSON: ${shortened(messageOf(error))}`, { cause: error })
  }
}

/** The value as the schema reads it; the first thing that is wrong is thrown. */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const { success, data, error } = schema.safeParse(value)
  if (success) return data
  const { path, message } = error.issues[0]
  const param = pathText(path)
  throw new ApiError(400, param === "" ? `the body is wrong: ${message}` : `${param}: ${message}`, { param })
}

/** A field that is known and cannot be done; answering as if it had not been sent would be wrong. */
export function refuse(param: string, what: string): never {
  throw new ApiError(400, `${param}: ${what}`, { code: "unsupported_parameter", param })
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  const encoding = request.headers.get("content-encoding") ?? "identity"
  if (encoding !== "identity")
    throw new ApiError(415, `the body is encoded as ${shortened(encoding)}: send it as it is`)
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes)
  const bytes = await readBytes(request.body ?? [], maxBytes)
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch (error) {
    throw new ApiError(400, "the body is not valid UTF-8", { cause: error })
  }
}

async function readBytes(body: AsyncIterable<Uint8Array> | Uint8Array[], maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let numBytes = 0
  try {
    for await (const chunk of body) {
      numBytes += chunk.length
      if (numBytes > maxBytes) throw tooLarge(maxBytes)
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof ApiError) throw error
    throw new ApiError(499, "the client closed the connection within its request", { cause: error })
  }
  return Buffer.concat(chunks)
}

function tooLarge(maxBytes: number): ApiError {
  const most = maxBytes.toLocaleString("en-US")
  return new ApiError(413, `the body has more than ${most} bytes: send less`, { code: "body_too_large" })
}

/** How deep brackets stand in each other, outside of strings. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let place: "outside" | "string" = "outside"
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (place === "string") {
      if (c === "\\") i++
      else if (c === '"') place = "outside"
    } else if (c === '"') place = "string"
    else if (c === "[" || c === "{") deepest = Math.max(deepest, ++depth)
    else if (c === "]" || c === "}") depth--
  }
  return deepest
}

/** `messages[0].content` */
function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`
    return text === "" ? String(key) : `${text}.${String(key)}`
  }, "")
}

/** What the caller wrote comes back in short. */
function shortened(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}...` : text
}
