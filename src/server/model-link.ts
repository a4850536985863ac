// Between steps 1 and 2. What a model's process and this one say to each other, and this end of it: orders go out with
// a number, reports come back under it. When the process ends, whatever waits for it fails. Knows numbers and messages;
// nothing of what they are about.

import type { ChildProcess } from "node:child_process"
import type { Health } from "../engine/failures.ts"
import type { ChatEvent, Json } from "../types.ts"
import { UserError, messageOf } from "../util/errors.ts"
import type { ErrorCode } from "../util/errors.ts"
import { ApiError } from "./api-error.ts"

export type Question = "render" | "encode" | "decode" | "load" | "status" | "settled"

/** Requests go as JSON text, in which numbers stand as they were written. */
export type Order =
  | { type: "open"; id: number; model: string; options: Readonly<Record<string, Json | undefined>> }
  | { type: "chat" | "complete"; id: number; request: string }
  | { type: "question"; id: number; question: Question; about: string | readonly number[] }
  | { type: "abort"; id: number }

/** The last one of each number is an answer or a failure. */
export type Report =
  | { type: "event"; id: number; event: ChatEvent }
  | { type: "notice"; id: number; text: string }
  | { type: "progress"; id: number; progress: unknown }
  | { type: "answer"; id: number; answer: unknown }
  | { type: "failure"; id: number; message: string; code?: ErrorCode; health: Health }

type Listener = (report: Report) => void

/** A process that takes longer to end an aborted order hangs: a step takes a second, the longest prompt some. */
const patienceMs = 30_000

/** `Omit` of each of the orders. */
type Unnumbered<T> = T extends unknown ? Omit<T, "id"> : never

export class ModelLink {
  readonly #process: ChildProcess
  readonly #listeners = new Map<number, Listener>()
  readonly #ended: Promise<void>
  readonly #patienceMs: number
  #numOrders = 0
  /** How the process ended. */
  #end: string | undefined
  #health: Health = "sound"

  constructor(process: ChildProcess, options: { patienceMs: number } = { patienceMs }) {
    this.#process = process
    this.#patienceMs = options.patienceMs
    process.on("message", (report: Report) => this.#hear(report))
    this.#ended = new Promise((resolve) => {
      const over = (how: string) => {
        this.#over(how)
        resolve()
      }
      process.once("exit", (code, signal) => over(signal ?? `exit code ${code}`))
      process.once("error", (error) => over(messageOf(error)))
    })
  }

  get health(): Health {
    return this.#end === undefined ? this.#health : "broken"
  }

  /** Sends an order; `listener` hears all reports on it. */
  order(order: Unnumbered<Order>, listener: Listener): number {
    const id = ++this.#numOrders
    if (this.#end !== undefined) {
      listener(this.#lost(id))
      return id
    }
    this.#listeners.set(id, listener)
    this.#send({ ...order, id } as Order) // what `Unnumbered` took away
    return id
  }

  /** Ends the order, or the process where that does not. */
  abort(id: number): void {
    const listener = this.#listeners.get(id)
    if (!listener) return
    this.#send({ type: "abort", id })
    const kill = setTimeout(() => this.#process.kill("SIGKILL"), this.#patienceMs).unref()
    this.#listeners.set(id, (report) => {
      if (report.type === "answer" || report.type === "failure") clearTimeout(kill)
      listener(report)
    })
  }

  /** Lets the process end and waits until it has. */
  async close(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect()
    await this.#ended
  }

  /** The error that a failure tells of; `reason` is why the caller ended it, if it did. */
  errorOf({ message, code }: Report & { type: "failure" }, reason?: unknown): Error {
    if (this.#end !== undefined) return crashed(this.#end)
    return code === undefined ? new Error(message) : new UserError(code, message, { cause: reason })
  }

  /** That the process is gone is told by its end. */
  #send(order: Order): void {
    if (this.#process.connected) this.#process.send(order, () => undefined)
  }

  #hear(report: Report): void {
    const listener = this.#listeners.get(report.id)
    if (report.type === "failure") this.#health = report.health
    if (report.type === "answer" || report.type === "failure") this.#listeners.delete(report.id)
    listener?.(report)
  }

  #over(how: string): void {
    this.#end ??= how
    for (const id of [...this.#listeners.keys()]) this.#hear(this.#lost(id))
  }

  #lost(id: number): Report {
    return { type: "failure", id, message: "the process is gone", health: "broken" }
  }
}

/** Told to clients; the log has how it ended. */
function crashed(how: string): ApiError {
  const message = "the model's process ended and is started again: send the request once more"
  const cause = new Error(`the model's process ended with ${how}`)
  return new ApiError(500, message, { code: "model_crashed", cause })
}
