// Between steps 8 and 9. Log probabilities of drawn ids in, content events that carry them as tokens out. Content may
// come later than the tokens it is made of; each event takes all that came since the last one.

import type { IdLogprobs } from "./engine/logprobs.ts"
import type { Tokenizer } from "./tokenizer/tokenizer.ts"
import type { ChatEvent, Logprob, TokenLogprob } from "./types.ts"
import { UserError } from "./util/errors.ts"

const mostTop = 20

export class ContentLogprobs {
  readonly #tokenizer: Tokenizer
  #pending: TokenLogprob[] = []
  #content: "unbegun" | "begun" = "unbegun"

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer
  }

  /** Takes note of an id of the content. */
  note({ id, logprob, top }: IdLogprobs): void {
    const best = top.map((one) => this.#token(one.id, one.logprob))
    this.#pending.push({ ...this.#token(id, logprob), top: best })
  }

  *pass(events: Iterable<ChatEvent>): Generator<ChatEvent> {
    for (const event of events) {
      if (event.type !== "content" || this.#pending.length === 0) yield event
      else yield { ...event, logprobs: this.#take(event.text) }
    }
  }

  /** Empty lines behind a thought are no part of the content. */
  #take(text: string): TokenLogprob[] {
    const isSpace = ({ token }: TokenLogprob) => token.trim() === ""
    let first = 0
    if (this.#content === "unbegun" && text.trimStart() === text)
      while (first < this.#pending.length && isSpace(this.#pending[first])) first++
    const taken = this.#pending.slice(first)
    this.#pending = []
    this.#content = "begun"
    return taken
  }

  #token(id: number, logprob: number): Logprob {
    return { token: this.#tokenizer.decode([id]), logprob, bytes: [...this.#tokenizer.bytesOf(id)] }
  }
}

/** Refuses what no reply gives. */
export function checkLogprobs(numTop: number | undefined): void {
  if (numTop === undefined || (Number.isInteger(numTop) && numTop >= 0 && numTop <= mostTop)) return
  throw new UserError("bad-argument", `logprobs is ${numTop}: wanted a whole number from 0 to ${mostTop}`)
}
