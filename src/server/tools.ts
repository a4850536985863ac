// Step 1. A tool as clients send it in, as templates expect it out: always the same fields in the same order, so that
// prompts of equal meaning are equal. The parameters stay the object they were parsed to, numbers as written.

import { z } from "zod"
import type { Json, Tool } from "../types.ts"
import { ApiError } from "./api-error.ts"
import { check } from "./body.ts"

const parameters = z.custom<{ [key: string]: Json }>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "wanted a JSON schema of type object",
)

const functionFields = {
  name: z.string().min(1).max(256),
  description: z.string().nullish(),
  strict: z.boolean().nullish(),
}

const wrapped = z.object({
  type: z.literal("function", "this server knows tools of type function only"),
  function: z.object({ ...functionFields, parameters: parameters.nullish() }),
})
const flat = z.object({
  type: z.literal("function", "this server knows tools of type function only"),
  ...functionFields,
  parameters: parameters.nullish(),
})
const anthropic = z.object({
  type: z
    .literal("custom", "this server runs no tools of its own: send tools with an input_schema")
    .nullish(),
  ...functionFields,
  input_schema: parameters,
})

/** Of chat completions: `{type, function: {name, ...}}`. */
export function readTool(value: unknown, where: string): Tool {
  return toolOf(checkAt(wrapped, value, where).function)
}

/** Of responses: `{type, name, ...}`. */
export function readFlatTool(value: unknown, where: string): Tool {
  return toolOf(checkAt(flat, value, where))
}

/** Of Anthropic's messages: `{name, input_schema, ...}`. */
export function readAnthropicTool(value: unknown, where: string): Tool {
  const { name, description, strict, input_schema } = checkAt(anthropic, value, where)
  return toolOf({ name, description, strict, parameters: input_schema })
}

interface FunctionFields {
  name: string
  description?: string | null
  parameters?: { [key: string]: Json } | null
  strict?: boolean | null
}

function toolOf({ name, description, parameters, strict }: FunctionFields): Tool {
  return {
    type: "function",
    function: {
      name,
      ...(description != null && { description }),
      ...(parameters != null && { parameters }),
      ...(strict != null && { strict }),
    },
  }
}

function checkAt<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  try {
    return check(schema, value)
  } catch (error) {
    if (!(error instanceof ApiError) || !error.param) throw error
    throw new ApiError(error.status, `${where}.${error.message}`, { param: `${where}.${error.param}` })
  }
}
