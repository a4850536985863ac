// A talk with a model: its messages so far and what the next one goes with. Knows messages; never terminals.

import { writeFileSync } from "node:fs"
import { basename } from "node:path"
import type { Reply } from "../chat/reply.ts"
import type { Json, Message } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { writeError } from "../weights/disk.ts"
import { readJson, readTextFile } from "./request-options.ts"

export class Conversation {
  readonly #system: Message[]
  #messages: Message[]
  /** Texts of files that go before the next message. */
  #files: string[] = []

  constructor(system?: string) {
    this.#system = system === undefined ? [] : [{ role: "system", content: system }]
    this.#messages = [...this.#system]
  }

  get messages(): readonly Message[] {
    return this.#messages
  }

  /** Puts a file's text before the next message; returns that text. */
  addFile(path: string): string {
    const text = readTextFile(path)
    this.#files.push(`${basename(path)}:\n\n${text}`)
    return text
  }

  ask(text: string): void {
    this.#messages.push({ role: "user", content: [...this.#files, text].join("\n\n") })
    this.#files = []
  }

  answerCall(id: string | undefined, content: string): void {
    this.#messages.push({ role: "tool", content, ...(id !== undefined && { tool_call_id: id }) })
  }

  take({ reasoning, content, toolCalls }: Reply): void {
    this.#messages.push({
      role: "assistant",
      content,
      ...(reasoning && { reasoning_content: reasoning }),
      ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
    })
  }

  /** Forgets the latest question and all that came after it, so that it can be asked again. */
  takeBack(): void {
    const last = this.#messages.findLastIndex(({ role }) => role === "user")
    if (last >= 0) this.#messages.length = last
  }

  reset(): void {
    this.#messages = [...this.#system]
    this.#files = []
  }

  save(path: string): void {
    try {
      writeFileSync(path, `${JSON.stringify({ messages: this.#messages }, null, 2)}\n`)
    } catch (error) {
      throw writeError(path, error)
    }
  }

  /** Takes a saved conversation's place, system message and all. */
  load(path: string): void {
    const saved = readJson(path)
    const messages = isRecord(saved) ? saved.messages : saved
    if (!Array.isArray(messages) || !messages.every(isMessage))
      throw new UserError("bad-file", `${path} is no saved conversation: name a file that /save wrote`)
    this.#messages = messages
    this.#files = []
  }
}

const roles = ["system", "user", "assistant", "tool"]

/** Fields beside the role are checked where the prompt is rendered. */
function isMessage(value: Json): value is Json & Message {
  return isRecord(value) && roles.some((role) => role === value.role)
}

function isRecord(value: Json): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
