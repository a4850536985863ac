// Between steps 1 and 2. A served model in a process of its own, so that one that crashes, or that the system ends for
// its memory, takes no connection with it: its requests fail, and the host opens it anew. Requests and events pass
// through; nothing is computed here.

import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { writeJson } from "../chat/json.ts"
import type { Family } from "../chat/thinking.ts"
import type { Health } from "../engine/failures.ts"
import type { LoadOptions } from "../llm.ts"
import type { ChatEvent, ChatRequest, Json } from "../types.ts"
import { ModelLink } from "./model-link.ts"
import type { Question, Report } from "./model-link.ts"
import type { CompletionRequest, EngineStatus, ModelLoad, ServedModel } from "./served-model.ts"

/** What the process tells once its model is open. */
export interface Opened {
  context: number
  family: Family
}

const main = fileURLToPath(new URL("./process-main.js", import.meta.url))

export class ProcessModel implements ServedModel {
  readonly context: number
  readonly family: Family
  readonly #link: ModelLink

  /** Use `open`. */
  constructor(link: ModelLink, { context, family }: Opened) {
    this.#link = link
    this.context = context
    this.family = family
  }

  /** Starts a process and loads the model in it; only where the package is compiled, as `a3b serve` is. */
  static async open(model: string, options: LoadOptions = {}): Promise<ProcessModel> {
    // What the model's side prints, such as the last words of a crash, is no output of the command.
    const link = new ModelLink(fork(main, [], { serialization: "advanced", stdio: ["ignore", 2, 2, "ipc"] }))
    try {
      return new ProcessModel(link, await opened(link, model, options))
    } catch (error) {
      await link.close()
      throw error
    }
  }

  get health(): Health {
    return this.#link.health
  }

  get load(): Promise<ModelLoad> {
    return this.#ask("load")
  }

  get status(): Promise<EngineStatus> {
    return this.#ask("status")
  }

  chat(request: ChatRequest): AsyncIterable<ChatEvent> {
    return this.#reply("chat", request)
  }

  complete(request: CompletionRequest): AsyncIterable<ChatEvent> {
    return this.#reply("complete", request)
  }

  render(request: ChatRequest): Promise<string> {
    return this.#ask("render", writeJson(request))
  }

  encode(text: string): Promise<Int32Array> {
    return this.#ask("encode", text)
  }

  decode(ids: readonly number[]): Promise<string> {
    return this.#ask("decode", ids)
  }

  settled(): Promise<void> {
    return this.#ask("settled")
  }

  free(): Promise<void> {
    return this.#link.close()
  }

  async *#reply(
    type: "chat" | "complete",
    { signal, ...request }: ChatRequest | CompletionRequest,
  ): AsyncGenerator<ChatEvent> {
    const reports = new Inbox()
    const id = this.#link.order({ type, request: writeJson(request) }, (report) => reports.put(report))
    const abort = () => this.#link.abort(id)
    signal?.addEventListener("abort", abort)
    if (signal?.aborted) abort()
    let state: "open" | "over" = "open"
    try {
      for (;;) {
        const report = await reports.take()
        if (report.type === "event") {
          yield report.event
          continue
        }
        state = "over"
        if (report.type === "failure") throw this.#link.errorOf(report, signal?.reason)
        return
      }
    } finally {
      signal?.removeEventListener("abort", abort)
      // Whoever leaves early waits until its pages are free.
      if (state === "open") abort()
      while (state === "open") if ((await reports.take()).type !== "event") state = "over"
    }
  }

  #ask<T>(question: Question, about: string | readonly number[] = ""): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#link.order({ type: "question", question, about }, (report) => {
        if (report.type === "answer") resolve(report.answer as T) // what the other side answers to this question
        if (report.type === "failure") reject(this.#link.errorOf(report))
      })
    })
  }
}

function opened(
  link: ModelLink,
  model: string,
  { signal, onNotice, onProgress, ...options }: LoadOptions,
): Promise<Opened> {
  return new Promise((resolve, reject) => {
    const plain: Record<string, Json | undefined> = { ...options }
    const id = link.order({ type: "open", model, options: plain }, (report) => {
      switch (report.type) {
        case "notice":
          return onNotice?.(report.text)
        case "progress":
          return onProgress?.(report.progress as Parameters<typeof onProgress>[0]) // as the other side was told
        case "answer":
          signal?.removeEventListener("abort", abort)
          return resolve(report.answer as Opened) // what is answered to this order
        case "failure":
          signal?.removeEventListener("abort", abort)
          return reject(link.errorOf(report, signal?.reason))
        case "event":
          return
        default:
          report satisfies never
      }
    })
    const abort = () => link.abort(id)
    signal?.addEventListener("abort", abort)
    if (signal?.aborted) abort()
  })
}

/** Reports in the order they came, for one reader. */
class Inbox {
  readonly #reports: Report[] = []
  #wake: (() => void) | undefined

  put(report: Report): void {
    this.#reports.push(report)
    this.#wake?.()
  }

  async take(): Promise<Report> {
    for (;;) {
      const report = this.#reports.shift()
      if (report) return report
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}
