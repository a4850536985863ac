// Step 2. How the model begins a call of a tool, for replies that have to: the rest is up to the model.

import type { Tool, ToolChoice } from "../types.ts"
import { UserError } from "../util/errors.ts"
import type { ToolFormat } from "./format.ts"

/** Ends where tokens do: a space belongs to the token that follows it. */
export function callBeginning(format: ToolFormat, choice: ToolChoice, tools: readonly Tool[]): string {
  if (tools.length === 0)
    throw new UserError("bad-request", "toolChoice asks for a call, and there are no tools: send tools")
  const tag = "<tool_call>\n"
  if (choice === "required") return tag + (format === "xml" ? "<function=" : '{"name":')
  const { name } = choice
  if (!tools.some((tool) => tool.function.name === name))
    throw new UserError(
      "bad-request",
      `toolChoice names ${JSON.stringify(name)}, which is none of the tools: send it with them`,
    )
  return tag + (format === "xml" ? `<function=${name}>\n` : `{"name": ${JSON.stringify(name)}, "arguments":`)
}
