// Between steps 1 and 2. The model's side of its process: orders in, what the model does about them out as reports.
// Knows messages and the served model; nothing of HTTP.

import { parseJson } from "../chat/json.ts"
import type { ChatRequest } from "../types.ts"
import { UserError, assert, messageOf } from "../util/errors.ts"
import type { Order, Question, Report } from "./model-link.ts"
import type { CompletionRequest, ServedModel } from "./served-model.ts"

type Unnumbered<T> = T extends unknown ? Omit<T, "id"> : never

export interface OpenOptions {
  signal: AbortSignal
  onNotice: (text: string) => void
  onProgress: (progress: unknown) => void
}

export type OpenModel = (order: Order & { type: "open" }, options: OpenOptions) => Promise<ServedModel>

export class ProcessDesk {
  readonly #open: OpenModel
  readonly #report: (report: Report) => void
  readonly #aborts = new Map<number, AbortController>()
  #model: ServedModel | undefined

  constructor(open: OpenModel, report: (report: Report) => void) {
    this.#open = open
    this.#report = report
  }

  /** Resolves when the order is carried out; what goes wrong is reported. */
  async take(order: Order): Promise<void> {
    const { id } = order
    if (order.type === "abort") return this.#aborts.get(id)?.abort()
    const abort = new AbortController()
    this.#aborts.set(id, abort)
    try {
      const answer = await this.#answer(
        order,
        abort.signal,
        (report) => this.#report({ ...report, id } as Report), // what `Unnumbered` took away
      )
      this.#report({ type: "answer", id, answer })
    } catch (error) {
      const code = error instanceof UserError ? error.code : undefined
      const health = this.#model?.health ?? "sound"
      this.#report({ type: "failure", id, message: messageOf(error), code, health })
    } finally {
      this.#aborts.delete(id)
    }
  }

  async #answer(
    order: Exclude<Order, { type: "abort" }>,
    signal: AbortSignal,
    report: (report: Unnumbered<Report>) => void,
  ): Promise<unknown> {
    if (order.type === "open") {
      const onNotice = (text: string) => report({ type: "notice", text })
      const onProgress = (progress: unknown) => report({ type: "progress", progress })
      this.#model = await this.#open(order, { signal, onNotice, onProgress })
      return { context: this.#model.context, family: this.#model.family }
    }
    const model = this.#model
    assert(model, "an order before the model was opened")
    if (order.type === "question") return answered(model, order.question, order.about)
    const request = parseJson(order.request)
    const events =
      order.type === "chat"
        ? model.chat({ ...(request as unknown as ChatRequest), signal }) // as the other side wrote them
        : model.complete({ ...(request as unknown as CompletionRequest), signal })
    for await (const event of events) report({ type: "event", event })
    return undefined
  }
}

async function answered(model: ServedModel, question: Question, about: string | readonly number[]) {
  switch (question) {
    case "render":
      return model.render(parseJson(String(about)) as unknown as ChatRequest) // as the other side wrote it
    case "encode":
      return model.encode(String(about))
    case "decode":
      return model.decode(about as readonly number[]) // what this question is about
    case "load":
      return model.load
    case "status":
      return model.status
    case "settled":
      return model.settled()
    default:
      return question satisfies never
  }
}
