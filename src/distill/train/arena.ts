// Step 6. Memory for one step's activations: taken piece by piece, given back all at once, so that steps of the same
// size allocate nothing. Knows lengths only.

import type { Ops, Values } from "./ops.ts"

/** Pieces begin at whole cache lines of float32. */
const alignment = 16

export class Arena {
  readonly #ops: Ops
  #memory: Values
  #used = 0
  /** The most that a step has wanted. */
  #wanted = 0

  constructor(ops: Ops) {
    this.#ops = ops
    this.#memory = ops.values(0)
  }

  /** Uninitialised values, until `reset` or the `release` of an earlier mark. */
  take(length: number): Values {
    const at = this.#used
    this.#used += Math.ceil(length / alignment) * alignment
    this.#wanted = Math.max(this.#wanted, this.#used)
    // The first step of a size finds too little; the next reset makes up for it.
    return this.#used <= this.#memory.length
      ? this.#memory.subarray(at, at + length)
      : this.#ops.values(length)
  }

  zeros(length: number): Values {
    return this.take(length).fill(0)
  }

  mark(): number {
    return this.#used
  }

  release(mark: number): void {
    this.#used = mark
  }

  reset(): void {
    this.#used = 0
    if (this.#wanted > this.#memory.length) this.#memory = this.#ops.values(this.#wanted)
  }
}
