// Step 9. Tool calls in the pieces that servers send, whole events out. Servers differ: indices are missing or always 0,
// names and ids come with every piece, arguments as text, as an object or not at all.

import type { ChatEvent, Json } from "../types.ts"
import { asNumber, asObject, asText, parseObject } from "./json.ts"
import type { JsonObject } from "./json.ts"

interface Call {
  /** Ours, from 0 up; none before its name is known. */
  index: number | undefined
  id: string
  name: string
  arguments: string
  state: "open" | "ended"
}

export interface ToolCallReaderOptions {
  emit: (event: ChatEvent) => void
  /** Numbers the reply's calls. */
  nextIndex: () => number
  /** Tells that the server sent what cannot be read. */
  broken: (why: string) => Error
}

export class ToolCallReader {
  readonly diagnostics: string[] = []
  readonly #options: ToolCallReaderOptions
  /** By the server's numbers. */
  readonly #byNumber = new Map<number, Call>()
  #latest: Call | undefined

  constructor(options: ToolCallReaderOptions) {
    this.#options = options
  }

  push(delta: JsonObject): void {
    const called = asObject(delta.function) ?? {}
    const name = asText(called.name) ?? ""
    const piece = argumentsText(called.arguments)
    const number = asNumber(delta.index)
    const id = asText(delta.id) ?? ""
    const known = number === undefined ? this.#latest : this.#byNumber.get(number)
    const call = known && !isAnother(known, { name, piece, id, number }) ? known : this.#begin(number, id)
    if (call.state === "ended")
      throw this.#options.broken(`went on with a call of ${call.name} after the next one`)
    if (call.name === "" && name !== "") this.#start(call, name)
    this.#add(call, piece)
  }

  /** No more pieces come. */
  end(): void {
    const call = this.#latest
    if (!call || call.state === "ended") return
    if (call.index === undefined) throw this.#options.broken("sent a tool call without a name")
    if (call.arguments.trim() === "") this.#add(call, "{}")
    if (!isWhole(call.arguments)) this.diagnostics.push(`the arguments of ${call.name} are no JSON object`)
    call.state = "ended"
    const { index, id, name } = call
    this.#options.emit({ type: "tool-call", index, id, name, arguments: call.arguments })
  }

  #begin(number: number | undefined, id: string): Call {
    this.end()
    const call: Call = { index: undefined, id: id || newId(), name: "", arguments: "", state: "open" }
    if (number !== undefined) this.#byNumber.set(number, call)
    return (this.#latest = call)
  }

  #start(call: Call, name: string): void {
    call.name = name
    call.index = this.#options.nextIndex()
    this.#options.emit({ type: "tool-call-start", index: call.index, id: call.id, name })
    this.#emitPiece(call, call.arguments)
  }

  #add(call: Call, piece: string): void {
    call.arguments += piece
    this.#emitPiece(call, piece)
  }

  #emitPiece({ index }: Call, piece: string): void {
    if (index !== undefined && piece !== "")
      this.#options.emit({ type: "tool-call-delta", index, arguments: piece })
  }
}

interface Piece {
  name: string
  piece: string
  id: string
  number: number | undefined
}

/**
 * Whether a piece begins a call of its own although its number, or the lack of one, says otherwise. A name alone does
 * not say it, nor does a new id where there are numbers: some servers send both with every piece.
 */
function isAnother(call: Call, { name, piece, id, number }: Piece): boolean {
  if (name === "") return false
  if (number === undefined && id !== "" && id !== call.id) return true
  return piece.trimStart().startsWith("{") && isWhole(call.arguments)
}

function isWhole(text: string): boolean {
  return parseObject(text) !== undefined
}

function argumentsText(given: Json | undefined): string {
  if (typeof given === "string") return given
  return given === undefined || given === null ? "" : JSON.stringify(given)
}

function newId(): string {
  return `call_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`
}
