// Step 1. The form that a request asks of the content, as OpenAI's clients and vLLM's write it, in; a `ResponseFormat`
// that can be kept to out. What cannot is refused with the path of the field, down to the keyword of a schema.

import { z } from "zod"
import { checkFormat } from "../constrain/reply.ts"
import type { Json, ResponseFormat } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { ApiError } from "./api-error.ts"
import { refuse } from "./body.ts"

const schema = z.custom<Json>(
  (value) => typeof value === "object" || typeof value === "boolean",
  "wanted a JSON schema",
)
const choices = z.array(z.string()).min(1)

/** OpenAI's chat completions wrap the schema, its responses do not. */
export const responseFormatField = z
  .object({
    type: z.enum(["text", "json_object", "json_schema", "regex"]),
    json_schema: z.object({ schema: schema.nullish() }).nullish(),
    schema: schema.nullish(),
    pattern: z.string().nullish(),
  })
  .nullish()

/** vLLM's, by their older and their newer names. */
export const guidedFields = {
  guided_json: z.union([z.string(), schema]).nullish(),
  guided_regex: z.string().nullish(),
  guided_choice: choices.nullish(),
  guided_grammar: z.unknown().optional(),
  structured_outputs: z
    .object({
      json: z.union([z.string(), schema]).nullish(),
      json_object: z.boolean().nullish(),
      regex: z.string().nullish(),
      choice: choices.nullish(),
      grammar: z.unknown().optional(),
      structural_tag: z.unknown().optional(),
    })
    .nullish(),
}

type Format = z.infer<typeof responseFormatField>
type Guided = z.infer<z.ZodObject<typeof guidedFields>>

/** `where` is the field's name. */
export function formatOf(format: Format, where: string): ResponseFormat | undefined {
  if (format == null || format.type === "text") return undefined
  if (format.type === "json_object") return { type: "json_object" }
  if (format.type === "regex")
    return checked({ type: "regex", pattern: format.pattern ?? "" }, `${where}.pattern`)
  const wrapped = format.json_schema != null
  const given = wrapped ? format.json_schema?.schema : format.schema
  const path = wrapped ? `${where}.json_schema.schema` : `${where}.schema`
  if (given == null) refuse(path, "the schema is missing: send it")
  return checked({ type: "json_schema", schema: given }, path)
}

/** One of vLLM's fields. */
export function guidedFormatOf(body: Guided): ResponseFormat | undefined {
  const { structured_outputs: outputs } = body
  const name = (plain: string, field: string) => (outputs == null ? plain : `structured_outputs.${field}`)
  const json = outputs == null ? body.guided_json : outputs.json
  const regex = outputs == null ? body.guided_regex : outputs.regex
  const choice = outputs == null ? body.guided_choice : outputs.choice
  if (body.guided_grammar != null)
    refuse("guided_grammar", "grammars are not taken: send a JSON schema or a pattern")
  for (const field of ["grammar", "structural_tag"] as const)
    if (outputs?.[field] != null)
      refuse(`structured_outputs.${field}`, "it is not taken: send a JSON schema or a pattern")
  if (json != null)
    return checked(
      { type: "json_schema", schema: parsed(json, name("guided_json", "json")) },
      name("guided_json", "json"),
    )
  if (regex != null) return checked({ type: "regex", pattern: regex }, name("guided_regex", "regex"))
  if (choice != null) return { type: "regex", pattern: choice.map(escaped).join("|") }
  return outputs?.json_object ? { type: "json_object" } : undefined
}

function parsed(json: Json, where: string): Json {
  if (typeof json !== "string") return json
  try {
    return JSON.parse(json) as Json // what JSON.parse returns, by its definition
  } catch (error) {
    throw new ApiError(400, `${where}: the schema is no valid JSON`, { param: where, cause: error })
  }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")
}

function checked(format: ResponseFormat, where: string): ResponseFormat {
  try {
    checkFormat(format, where)
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    throw new ApiError(400, error.message, { param: where, cause: error })
  }
  return format
}
