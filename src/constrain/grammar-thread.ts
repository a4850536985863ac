// Between steps 1 and 4. This side of the grammars' thread: constraints begin here and their masks come from there, so
// that neither compiling nor masks hold up the event loop. A thread that ends takes its constraints with it; the next
// one that begins starts another thread. Straight from TypeScript, where no compiled file is, all of it runs here.

import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { UserError, messageOf } from "../util/errors.ts"
import { GrammarDesk } from "./grammar-desk.ts"
import type { GrammarOrder, GrammarReport } from "./grammar-desk.ts"
import type { OwnedConstraint } from "./xgrammar.ts"

/** A thread, or what stands for one. */
export interface GrammarSide {
  send(order: GrammarOrder): void
  /** Whether the process shall live for what is still to come from it. */
  hold(state: "held" | "let go"): void
  close(): void
}

export interface SideListener {
  onReport(report: GrammarReport): void
  onEnd(why: string): void
}

export type OpenSide = (listener: SideListener) => GrammarSide

interface Waiting {
  resolve: (mask: Int32Array) => void
  reject: (error: Error) => void
}

export class GrammarThread {
  readonly #stopIds: ReadonlySet<number>
  readonly #vocabulary: () => Iterable<readonly string[]>
  readonly #open: OpenSide
  #side: GrammarSide | undefined
  #numBegun = 0
  /** Masks on their way, by constraint. */
  readonly #waiting = new Map<number, Waiting>()

  /** `vocabulary` is asked for when a thread starts, and comes in slices. */
  constructor(
    stopIds: ReadonlySet<number>,
    vocabulary: () => Iterable<readonly string[]>,
    open: OpenSide = openSide,
  ) {
    this.#stopIds = stopIds
    this.#vocabulary = vocabulary
    this.#open = open
  }

  /** At the beginning of the grammar, which is compiled from now on; what is wrong with it is told with its mask. */
  begin(grammar: string): OwnedConstraint {
    const side = (this.#side ??= this.#start())
    const id = ++this.#numBegun
    side.send({ type: "begin", id, grammar })
    let accepted: number[] = []
    return {
      mask: () => {
        const order = { type: "mask", id, accepted } as const
        accepted = []
        return this.#ask(side, order)
      },
      accept: (one) => void accepted.push(one),
      free: () => side === this.#side && side.send({ type: "free", id }),
    }
  }

  free(): void {
    this.#side?.close()
  }

  #start(): GrammarSide {
    const side = this.#open({
      onReport: (report) => this.#hear(report),
      onEnd: (why) => this.#over(why),
    })
    void this.#teach(side)
    return side
  }

  async #teach(side: GrammarSide): Promise<void> {
    for (const tokens of this.#vocabulary()) {
      side.send({ type: "tokens", tokens })
      await new Promise((resolve) => setImmediate(resolve))
    }
    side.send({ type: "load", stopIds: this.#stopIds })
  }

  async #ask(side: GrammarSide, order: GrammarOrder & { type: "mask" }): Promise<Int32Array> {
    if (side !== this.#side) throw ended("it was another request that failed")
    side.hold("held")
    return new Promise((resolve, reject) => {
      this.#waiting.set(order.id, { resolve, reject })
      side.send(order)
    })
  }

  #hear(report: GrammarReport): void {
    const waiting = this.#waiting.get(report.id)
    this.#waiting.delete(report.id)
    if (this.#waiting.size === 0) this.#side?.hold("let go")
    if (report.type === "mask") waiting?.resolve(report.mask)
    else {
      const { message, code } = report
      waiting?.reject(code === undefined ? ended(message) : new UserError(code, message))
    }
  }

  #over(why: string): void {
    this.#side = undefined
    for (const { reject } of this.#waiting.values()) reject(ended(why))
    this.#waiting.clear()
  }
}

function ended(why: string): Error {
  return new Error(`the thread that keeps replies to their form failed: ${why}`)
}

const workerPath = fileURLToPath(new URL("./grammar-worker.js", import.meta.url))

function openSide(listener: SideListener): GrammarSide {
  return existsSync(workerPath) ? openWorker(new Worker(workerPath, quiet), listener) : openHere(listener)
}

/** What the module prints when it fails holds parts of the grammar, which are the client's. */
const quiet = { stdout: true, stderr: true }

export function openWorker(worker: Worker, { onReport, onEnd }: SideListener): GrammarSide {
  let why = "it ended"
  worker.unref()
  worker.on("message", onReport)
  worker.on("error", (error) => (why = messageOf(error)))
  worker.on("exit", () => onEnd(why))
  return {
    send: (order) => worker.postMessage(order),
    hold: (state) => (state === "held" ? worker.ref() : worker.unref()),
    close: () => void worker.terminate(),
  }
}

function openHere({ onReport, onEnd }: SideListener): GrammarSide {
  const desk = new GrammarDesk(onReport, () => onEnd("it ended"))
  return { send: (order) => desk.take(order), hold: () => undefined, close: () => undefined }
}
