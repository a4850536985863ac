// Step 4. How many rows of prompts a step may have while replies are under way, so that none of them waits long for its
// next token: learned from how long such steps took. Knows rows and times; never sequences.

/** What a step with prompts in it is meant to take at most, in milliseconds; measured ones vary. */
const aimMs = 350
/** Few, for nothing is known of the machine yet: even these visit most experts of a large model. */
const firstRows = 12
const leastRows = 4

export class Pace {
  readonly #most: number
  #rows: number

  /** `most` rows that a step can have. */
  constructor(most: number) {
    this.#most = most
    this.#rows = Math.min(firstRows, most)
  }

  /** Of prompts, in the next step that has replies too. */
  get rows(): number {
    return this.#rows
  }

  /** A step of replies and so many rows of prompts is over. */
  took(ms: number, rows: number): void {
    // A shorter step says nothing of the limit unless it came near it.
    if (ms <= aimMs && rows < this.#rows) return
    const factor = Math.min(1.5, Math.max(0.25, aimMs / ms))
    this.#rows = Math.max(leastRows, Math.min(this.#most, Math.floor(Math.max(rows, 1) * factor)))
  }
}
