// Step 6. One sequence's constraint: logits in, the same logits with those of forbidden ids out of reach. It begins
// where the thought is over; within a thought only the end of the reply is forbidden. Knows ids and bits; never the
// grammar they come from.

import { assert } from "../util/errors.ts"
import type { Thought } from "./thought.ts"

/** A language over ids, and how far into one of its sentences a reply is. */
export interface Constraint {
  /** [ceil(ids / 32)] Bit id % 32 of word id / 32 is set where the id may come next. */
  mask(): Promise<Int32Array>
  /** Takes note of the id that came. */
  accept(id: number): void
}

export interface ConstraintOptions {
  constraint: Constraint
  /** May come first in place of what the constraint allows: it opens a thought. */
  openId?: number
}

/** The least float32: out of reach of every temperature, and finite, so that a broken row is still told apart. */
const unreachable = -3.4028234663852886e38

export class ConstrainedReply {
  readonly #options: ConstraintOptions
  readonly #stopIds: ReadonlySet<number>
  /** Of the next id, once it was prepared. */
  #mask: Int32Array | undefined

  constructor(options: ConstraintOptions, stopIds: ReadonlySet<number>) {
    this.#options = options
    this.#stopIds = stopIds
  }

  /** Finds out what may come next, while the model computes how probable it is. */
  async prepare(): Promise<void> {
    this.#mask ??= await this.#options.constraint.mask()
  }

  /** `thought` as it stands before the id that is drawn from these logits. */
  apply(logits: Float32Array, thought: Thought | undefined): void {
    if (thought?.place === "inside") {
      for (const id of this.#stopIds) logits[id] = unreachable
      return
    }
    assert(this.#mask, "the constraint was not prepared")
    const { openId } = this.#options
    const opening = openId !== undefined && thought?.state === "none" ? logits[openId] : undefined
    applyMask(logits, this.#mask)
    if (openId !== undefined && opening !== undefined) logits[openId] = opening
  }

  /** Takes note of the id that was drawn. */
  accept(id: number, thought: Thought | undefined): void {
    if (thought?.place === "inside" || id === this.#options.openId) return
    this.#options.constraint.accept(id)
    this.#mask = undefined
  }
}

/** Words of 32 allowed ids, the most there are inside of strings, cost one comparison. */
export function applyMask(logits: Float32Array, mask: Int32Array): void {
  for (let word = 0; word < mask.length; word++) {
    const bits = mask[word]
    if (bits === -1) continue
    const first = word * 32
    const end = Math.min(first + 32, logits.length)
    if (bits === 0) logits.fill(unreachable, first, end)
    else
      for (let id = first; id < end; id++) if (((bits >>> (id - first)) & 1) === 0) logits[id] = unreachable
  }
}
