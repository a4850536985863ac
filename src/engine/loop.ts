// Step 6. Finds a text that goes round in circles: the same block of ids again and again, word for word.
// Per period p it counts how many of the latest ids equal the id p places before; about 0.5 us per id.

/** Longest block that is recognised. */
const maxPeriod = 512
/** How often a block must stand in a row. Four times 512 ids word for word is no longer thinking. */
const minRepeats = 4
/** Short blocks must fill this many ids: a table of zeros is not yet a loop. */
const minSpan = 512

export class LoopDetector {
  /** [maxPeriod + 1] By period: how many latest ids equal the id one period before. */
  readonly #runs = new Int32Array(maxPeriod + 1)
  #found = false

  get found(): boolean {
    return this.#found
  }

  /** Looks at tokens[at], the newest, and at nothing before tokens[since]. */
  observe(tokens: Int32Array, at: number, since: number): void {
    const runs = this.#runs
    const id = tokens[at]
    const longest = Math.min(maxPeriod, at - since)
    for (let period = 1; period <= longest; period++) {
      if (tokens[at - period] !== id) {
        runs[period] = 0
        continue
      }
      const span = ++runs[period] + period
      if (span >= minSpan && span >= minRepeats * period) this.#found = true
    }
  }

  reset(): void {
    this.#runs.fill(0)
    this.#found = false
  }
}
