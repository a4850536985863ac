// Conversations as files: Markdown to read, JSON to keep and to read back. What is read back is checked, since a file
// can say anything.

import { pathOf } from "./conversation.ts"
import type { Conversation, Reply, TextFile, Turn } from "./conversation.ts"
import { likened } from "./preferences.ts"
import { plainSettings } from "./settings.ts"

/** What is read down the screen. */
export function toMarkdown(conversation: Conversation): string {
  const { title, settings } = conversation
  const system = settings.system.trim() === "" ? [] : [`## System\n\n${settings.system}`]
  return [`# ${title}`, ...system, ...pathOf(conversation).map(turnMarkdown), ""].join("\n\n")
}

function turnMarkdown(turn: Turn): string {
  if (turn.role === "user") return ["## User", ...turn.files.map(fileMarkdown), turn.text].join("\n\n")
  const { thought, text, calls } = turn
  const thinking = thought ? [`<details><summary>Thinking</summary>\n\n${thought.text}\n\n</details>`] : []
  const called = calls.map(({ name, arguments: given, result }) =>
    [`**${name}**`, fenced(given, "json"), ...(result === undefined ? [] : [fenced(result, "")])].join(
      "\n\n",
    ),
  )
  return ["## Assistant", ...thinking, text, ...called].filter((part) => part !== "").join("\n\n")
}

function fileMarkdown({ name, text }: TextFile): string {
  return `${name}:\n\n${fenced(text, "")}`
}

/** With a fence longer than any in the text. */
function fenced(text: string, language: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length))
  const fence = "`".repeat(longest + 1)
  return `${fence}${language}\n${text}\n${fence}`
}

export function toJson(conversations: readonly Conversation[]): string {
  return JSON.stringify({ a3b: "conversations", version: 1, conversations }, null, 2)
}

/** The conversations of such a file; none where it is something else. What is not sound in itself is left out. */
export function fromJson(text: string): Conversation[] {
  try {
    const file = JSON.parse(text) as { conversations?: unknown }
    return Array.isArray(file.conversations) ? file.conversations.flatMap((one) => readConversation(one)) : []
  } catch {
    return []
  }
}

function readConversation(value: unknown): Conversation[] {
  if (!isRecord(value) || typeof value.id !== "string" || !isRecord(value.turns)) return []
  const turns = Object.values(value.turns).flatMap(readTurn)
  return [
    {
      ...likened(value, { id: value.id, title: "", changedAt: 0 }),
      settings: likened(value.settings, plainSettings),
      turns: Object.fromEntries(turns.map((turn) => [turn.id, turn])),
      chosen: textsOf(value.chosen),
    },
  ]
}

function readTurn(value: unknown): Turn[] {
  if (!isRecord(value) || typeof value.id !== "string") return []
  const base = { id: value.id, parent: typeof value.parent === "string" ? value.parent : null, text: "" }
  const text = likened(value, base).text
  if (value.role === "user") return [{ ...base, role: "user", text, files: listOf(value.files, plainFile) }]
  if (value.role !== "assistant") return []
  return [{ ...readReply(value), ...base, text }]
}

function readReply(value: Record<string, unknown>): Omit<Reply, "id" | "parent" | "text"> {
  // Nothing that is read back runs any more.
  const states: Reply["state"][] = ["done", "stopped", "failed"]
  return {
    role: "assistant",
    state: states.find((state) => state === value.state) ?? "stopped",
    at: typeof value.at === "number" ? value.at : 0,
    calls: listOf(value.calls, plainCall).map((call, i) => ({ ...call, ...resultOf(value.calls, i) })),
    ...(isRecord(value.thought) && { thought: likened(value.thought, plainThought) }),
    ...(isRecord(value.measures) && { measures: readMeasures(value.measures) }),
    ...(typeof value.note === "string" && { note: value.note }),
    ...(value.cut === "length" && { cut: "length" }),
  }
}

const plainFile = { name: "", text: "" }
const plainCall = { id: "", name: "", arguments: "" }
const plainThought = { text: "", tokens: 0, fromMs: 0, toMs: 0 }

function readMeasures(value: Record<string, unknown>) {
  const { promptTokens, cachedTokens } = value
  return {
    ...likened(value, { tokens: 0, firstMs: 0, lastMs: 0 }),
    ...(typeof promptTokens === "number" && { promptTokens }),
    ...(typeof cachedTokens === "number" && { cachedTokens }),
  }
}

function resultOf(calls: unknown, index: number): { result?: string } {
  const call: unknown = Array.isArray(calls) ? calls[index] : undefined
  return isRecord(call) && typeof call.result === "string" ? { result: call.result } : {}
}

function listOf<T extends object>(value: unknown, plain: T): T[] {
  return Array.isArray(value) ? value.map((one) => likened(one, plain)) : []
}

function textsOf(value: unknown): Record<string, string> {
  if (!isRecord(value)) return {}
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
