// Between steps 8 and 9. Content in, content out up to the first stop string, which is never shown, not even when it
// comes in pieces: text that could be the beginning of one is held back until it is known not to be.

import type { ChatEvent } from "./types.ts"

export class StopStrings {
  readonly #stops: readonly string[]
  #held = ""
  #found: string | undefined

  constructor(stops: readonly string[] = []) {
    this.#stops = stops.filter((stop) => stop.length > 0)
  }

  /** The stop string that ended the reply, if one has. */
  get found(): string | undefined {
    return this.#found
  }

  /** The events that can be shown now; once a stop string was found, only those about the end. */
  *pass(events: Iterable<ChatEvent>): Generator<ChatEvent> {
    for (const event of events) {
      const aboutEnd = event.type === "usage" || event.type === "finish"
      if (this.#found !== undefined && !aboutEnd) continue
      // A stop string does not reach beyond the content it began in.
      const text = event.type === "content" ? this.push(event.text) : this.flush()
      if (text !== "") yield { type: "content", text }
      if (event.type !== "content") yield event
    }
  }

  /** The text that can be shown now. */
  push(text: string): string {
    if (this.#stops.length === 0) return text
    const all = this.#held + text
    const end = this.#endOf(all)
    this.#held = this.#found === undefined ? all.slice(end) : ""
    return all.slice(0, end)
  }

  /** The text held back, which nothing more will follow. */
  flush(): string {
    const held = this.#held
    this.#held = ""
    return held
  }

  /** Where the stop string that is complete first begins; else where one could begin. */
  #endOf(text: string): number {
    let begin = text.length
    let end = Infinity
    for (const stop of this.#stops) {
      const at = text.indexOf(stop)
      // Of two that end together the longer one counts.
      if (at < 0 || at + stop.length > end || (at + stop.length === end && at > begin)) continue
      begin = at
      end = at + stop.length
      this.#found = stop
    }
    return this.#found === undefined ? Math.min(...this.#stops.map((stop) => heldFrom(text, stop))) : begin
  }
}

/** Where the longest end of the text begins that could become the stop string. */
function heldFrom(text: string, stop: string): number {
  let at = Math.max(0, text.length - stop.length + 1)
  while (!stop.startsWith(text.slice(at))) at++
  return at
}
