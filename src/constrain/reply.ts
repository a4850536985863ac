// Between steps 1 and 4. A request in, the grammar of the replies it allows out, or nothing where every reply is one.
// Where the model may call tools and need not, only its calls have a form: text before the first is free, behind a call
// there may only be others.

import type { ToolFormat } from "../chat/format.ts"
import type { ChatRequest, ResponseFormat, Tool } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { callsExpression } from "./calls.ts"
import { Grammar, oneOf, optional, sequence } from "./grammar.ts"
import { regexExpression } from "./regex.ts"
import { SchemaWriter } from "./schema.ts"

export interface ReplyForm {
  toolFormat: ToolFormat
  /** Behind a thought, models begin with empty lines. */
  after: "thought" | "prompt"
}

type Asked = Pick<ChatRequest, "responseFormat" | "tools" | "toolChoice" | "maxToolCalls">

export interface ReplyGrammar {
  text: string
  /** Where it begins: with the reply, or behind the tag of the first call. */
  begins: "reply" | "call"
}

export function replyGrammar(request: Asked, { toolFormat, after }: ReplyForm): ReplyGrammar | undefined {
  const { responseFormat = { type: "text" }, tools = [], toolChoice, maxToolCalls = Infinity } = request
  const begins = toolChoice === undefined && responseFormat.type === "text" ? "call" : "reply"
  const grammar = new Grammar()
  const callable = callableTools(tools, toolChoice)
  const form = { format: toolFormat, tools: callable, most: maxToolCalls }
  if (begins === "call") {
    if (callable.size === 0) return undefined
    const calls = callsExpression(grammar, { ...form, others: "any", opening: "written" })
    return { text: grammar.text(calls), begins }
  }
  const others = toolChoice === undefined ? "any" : "refused"
  const calls = callable.size === 0 ? [] : [callsExpression(grammar, { ...form, others, opening: "ahead" })]
  const content =
    toolChoice === undefined ? [contentExpression(grammar, responseFormat, pathOf(responseFormat))] : []
  const lead = after === "thought" ? optional('"\\n" | "\\n\\n"') : ""
  return { text: grammar.text(sequence(lead, oneOf([...content, ...calls]))), begins }
}

/** Refuses a form that cannot be kept to; `where` is what the caller named its schema or pattern. */
export function checkFormat(format: ResponseFormat, where: string): void {
  contentExpression(new Grammar(), format, where)
}

function contentExpression(grammar: Grammar, format: ResponseFormat, where: string): string {
  switch (format.type) {
    case "text":
      return '""'
    case "json_object":
      return new SchemaWriter({ type: "object" }, grammar, where).expression()
    case "json_schema":
      return new SchemaWriter(format.schema, grammar, where).expression()
    case "regex": {
      const form = { writing: "plain", matching: "whole" } as const
      return regexExpression(format.pattern, grammar, form, where)
    }
    default:
      return format satisfies never
  }
}

function pathOf({ type }: ResponseFormat): string {
  return `responseFormat.${type === "regex" ? "pattern" : "schema"}`
}

function callableTools(tools: readonly Tool[], choice: ChatRequest["toolChoice"]): Map<number, Tool> {
  const all = new Map(tools.entries())
  if (choice === undefined) return all
  if (all.size === 0)
    throw new UserError("bad-request", "toolChoice asks for a call, and there are no tools: send tools")
  if (choice === "required") return all
  const named = [...all].filter(([, tool]) => tool.function.name === choice.name)
  if (named.length === 0)
    throw new UserError(
      "bad-request",
      `toolChoice names ${JSON.stringify(choice.name)}, which is none of the tools: send it with them`,
    )
  return new Map(named)
}
