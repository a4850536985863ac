// Between steps 8 and 9. Events in, events out up to the end of the last tool call that the request allows; what
// follows it is left out.

import type { ChatEvent } from "./types.ts"

export class CallLimit {
  readonly #most: number
  #numCalls = 0

  constructor(most = Infinity) {
    this.#most = most
  }

  /** `reached`: nothing but the reply's end is still to come. */
  get state(): "open" | "reached" {
    return this.#numCalls < this.#most ? "open" : "reached"
  }

  *pass(events: Iterable<ChatEvent>): Generator<ChatEvent> {
    for (const event of events) {
      const aboutEnd = event.type === "usage" || event.type === "finish"
      if (this.state === "reached" && !aboutEnd) continue
      if (event.type === "tool-call") this.#numCalls++
      yield event
    }
  }
}
