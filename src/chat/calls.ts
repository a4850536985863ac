// Step 8. Tool calls as the readers find them in, numbered events out. A call's deltas concatenate to its final
// arguments because both come from the same pieces.

import type { ChatEvent, Tool } from "../types.ts"
import type { ToolFormat } from "./format.ts"
import { HermesReader } from "./hermes.ts"
import type { CallReader, CallSink } from "./tools.ts"
import { XmlReader } from "./xml.ts"

export class CallEvents implements CallSink {
  readonly diagnostics: string[] = []
  readonly #emit: (event: ChatEvent) => void
  #numCalls = 0
  #id = ""
  #name = ""
  #arguments = ""

  constructor(emit: (event: ChatEvent) => void) {
    this.#emit = emit
  }

  get numCalls(): number {
    return this.#numCalls
  }

  /** Begins a block of calls. */
  reader(format: ToolFormat, tools: readonly Tool[]): CallReader {
    return format === "xml" ? new XmlReader(this, tools) : new HermesReader(this)
  }

  start(name: string): void {
    this.#id = `call_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`
    this.#name = name
    this.#arguments = ""
    this.#emit({ type: "tool-call-start", index: this.#numCalls++, id: this.#id, name })
  }

  arguments(piece: string): void {
    if (piece === "") return
    this.#arguments += piece
    this.#emit({ type: "tool-call-delta", index: this.#numCalls - 1, arguments: piece })
  }

  end(): void {
    const call = { id: this.#id, name: this.#name, arguments: this.#arguments }
    this.#emit({ type: "tool-call", index: this.#numCalls - 1, ...call })
  }

  complain(diagnostic: string): void {
    this.diagnostics.push(diagnostic)
  }
}
