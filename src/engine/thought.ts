// Step 6. Follows one sequence's thinking by its ids and says when it must end: the budget is spent or the thought
// goes round in circles. Then the stop ids take the place of sampled ones. Knows ids; never the text they stand for.

import { assert } from "../util/errors.ts"
import { LoopDetector } from "./loop.ts"

export interface ThinkingLimit {
  /** Whether the prompt ends inside a thought. */
  starts: "inside" | "outside"
  openId?: number
  closeId: number
  /** Most ids of thinking; Infinity for no limit. */
  budget: number
  /** What ends a thought by force, closeId included. */
  stopIds: Int32Array
}

/** How a thought stands: not begun, going on, ended by the model, by the budget, or for repeating itself. */
export type ThoughtState = "none" | "open" | "closed" | "budget" | "loop"

export class Thought {
  readonly #limit: ThinkingLimit
  readonly #loop = new LoopDetector()
  #state: ThoughtState
  #place: "inside" | "outside"
  /** Index of the first id of the thought. */
  #since: number
  #numTokens = 0

  /** `since`: index of the first id that will be generated. */
  constructor(limit: ThinkingLimit, since: number) {
    assert(limit.stopIds.includes(limit.closeId), "the stop ids do not close the thought")
    this.#limit = limit
    this.#place = limit.starts
    this.#state = limit.starts === "inside" ? "open" : "none"
    this.#since = since
  }

  get state(): ThoughtState {
    return this.#state
  }

  /** Whether the next id belongs to a thought. */
  get place(): "inside" | "outside" {
    return this.#place
  }

  /** Ids between the opening and the closing one so far. */
  get numTokens(): number {
    return this.#numTokens
  }

  /** The ids to append instead of a sampled one, if the thought must end here. */
  takeStopIds(): Int32Array | undefined {
    if (this.#state !== "open") return undefined
    if (this.#numTokens >= this.#limit.budget) this.#state = "budget"
    else if (this.#loop.found) this.#state = "loop"
    else return undefined
    return this.#limit.stopIds
  }

  /** Takes note of tokens[at], the newest. */
  observe(tokens: Int32Array, at: number): void {
    const { openId, closeId } = this.#limit
    const id = tokens[at]
    if (this.#place === "outside") {
      if (id === openId) this.#open(at + 1)
    } else if (id === closeId) {
      this.#place = "outside"
      if (this.#state === "open") this.#state = "closed"
    } else {
      this.#numTokens++
      this.#loop.observe(tokens, at, this.#since)
    }
  }

  #open(since: number): void {
    this.#place = "inside"
    this.#state = "open"
    this.#since = since
    this.#loop.reset()
  }
}
