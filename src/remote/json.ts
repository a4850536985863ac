// Step 9, at the edge. JSON of servers that are not ours: each field is looked at before it is believed.

import type { Json } from "../types.ts"

export type JsonObject = { [key: string]: Json }

type Maybe = Json | undefined

export function asObject(value: Maybe): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined
}

export function asList(value: Maybe): readonly Json[] {
  return Array.isArray(value) ? value : []
}

export function asText(value: Maybe): string | undefined {
  return typeof value === "string" ? value : undefined
}

export function asNumber(value: Maybe): number | undefined {
  return typeof value === "number" ? value : undefined
}

/** Nothing where the text is no JSON, or JSON that is no object. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    return asObject(JSON.parse(text) as Json)
  } catch {
    return undefined
  }
}
