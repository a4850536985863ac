// Load time. A checkpoint's template in, what it does out: read by rendering small conversations, never from a name.

import type { Message } from "../types.ts"
import { UserError, messageOf } from "../util/errors.ts"
import { ChatTemplate } from "./template.ts"
import type { RenderInput } from "./template.ts"
import { beginsThinking } from "./thinking.ts"
import type { Family } from "./thinking.ts"

/** How the model writes tool calls: a JSON object, or elements for the function and each parameter. */
export type ToolFormat = "hermes" | "xml"

export interface ChatFormat {
  readonly template: ChatTemplate
  readonly family: Family
  readonly toolFormat: ToolFormat
  /** Whether the template writes earlier calls' arguments from their JSON text as from the object. */
  readonly argumentsForm: "text" | "object"
}

/** The template that came with a checkpoint: `chat_template.jinja`, else the one in `tokenizer_config.json`. */
export function readFormat(files: ReadonlyMap<string, Uint8Array>): ChatFormat {
  const config = readConfig(files.get("tokenizer_config.json"))
  const file = files.get("chat_template.jinja")
  const source = file ? new TextDecoder().decode(file) : templateIn(config.chat_template)
  if (source === undefined)
    throw new UserError(
      "not-found",
      "the checkpoint has no chat template: pass a folder with chat_template.jinja or a tokenizer_config.json " +
        "that holds one (--tokenizer <folder>)",
    )
  return formatOf(ChatTemplate.compile(source, tokenVariables(config)))
}

export function formatOf(template: ChatTemplate): ChatFormat {
  return {
    template,
    family: familyOf(template),
    toolFormat: toolFormatOf(template),
    argumentsForm: argumentsFormOf(template),
  }
}

const question: readonly Message[] = [{ role: "user", content: "a" }]

export function familyOf(template: ChatTemplate): Family {
  const render = (variables: RenderInput["variables"]) =>
    template.render({ messages: question, addGenerationPrompt: true, variables })
  if (render({ enable_thinking: true }) !== render({ enable_thinking: false })) return "hybrid"
  return beginsThinking(render({})) ? "thinking" : "plain"
}

export function toolFormatOf(template: ChatTemplate): ToolFormat {
  return renderCall(template, { key: "value" })?.includes("<function=probe>") ? "xml" : "hermes"
}

function argumentsFormOf(template: ChatTemplate): "text" | "object" {
  const fromText = renderCall(template, '{"key": "value"}')
  return fromText !== undefined && fromText === renderCall(template, { key: "value" }) ? "text" : "object"
}

/** A conversation with one tool call, or nothing where the template refuses it. */
function renderCall(template: ChatTemplate, callArguments: string | { key: string }): string | undefined {
  const call = { type: "function" as const, function: { name: "probe", arguments: callArguments } }
  const messages: Message[] = [
    ...question,
    { role: "assistant", content: "", tool_calls: [call] },
    { role: "tool", content: "b" },
  ]
  try {
    return template.render({ messages, addGenerationPrompt: true })
  } catch {
    return undefined
  }
}

function readConfig(bytes: Uint8Array | undefined): Record<string, unknown> {
  if (!bytes) return {}
  try {
    const config: unknown = JSON.parse(new TextDecoder().decode(bytes))
    if (typeof config === "object" && config !== null) return config as Record<string, unknown> // just checked
    throw new SyntaxError("it is not an object")
  } catch (error) {
    throw new UserError("bad-file", `tokenizer_config.json is not valid: ${messageOf(error)}: fetch it again`)
  }
}

/** One template, or a list of named ones of which "default" is for chat. */
function templateIn(value: unknown): string | undefined {
  const entries = Array.isArray(value) ? (value as { name?: unknown; template?: unknown }[]) : []
  const source = Array.isArray(value) ? entries.find((entry) => entry?.name === "default")?.template : value
  return typeof source === "string" ? source : undefined
}

/** `bos_token` and the like, which templates may name. */
function tokenVariables(config: Record<string, unknown>): Record<string, string> {
  const variables: Record<string, string> = {}
  for (const name of ["bos_token", "eos_token", "pad_token", "unk_token"]) {
    const token = config[name] as { content?: unknown } | string | null | undefined
    const text = typeof token === "object" && token !== null ? token.content : token
    if (typeof text === "string") variables[name] = text
  }
  return variables
}
