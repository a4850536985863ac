// Step 6. One sequence's constraint: logits in, the same logits with those of forbidden ids out of reach. It begins
// where the thought is over, within which only the end of the reply is forbidden; or behind an id, before which nothing
// is. Knows ids and bits; never the grammar they come from.

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
  /** Behind this id, outside of a thought, the constraint begins; where left out, with the reply. */
  startId?: number
}

/** The least float32: out of reach of every temperature, and finite, so that a broken row is still told apart. */
const unreachable = -3.4028234663852886e38

export class ConstrainedReply {
  readonly #options: ConstraintOptions
  readonly #stopIds: ReadonlySet<number>
  #state: "ahead" | "begun"
  /** Of the next id, once it was prepared. */
  #mask: Int32Array | undefined
  #preparing: Promise<void> | undefined

  constructor(options: ConstraintOptions, stopIds: ReadonlySet<number>) {
    this.#options = options
    this.#stopIds = stopIds
    this.#state = options.startId === undefined ? "begun" : "ahead"
  }

  /** Finds out what may come next, while the model computes how probable it is; nothing where that is known. */
  prepare(): Promise<void> | undefined {
    if (this.#mask || this.#state === "ahead") return undefined
    return (this.#preparing ??= this.#prepare())
  }

  /** Whether the next id can be drawn. */
  isReady(thought: Thought | undefined): boolean {
    return this.#mask !== undefined || this.#state === "ahead" || thought?.place === "inside"
  }

  /** `thought` as it stands before the id that is drawn from these logits. */
  apply(logits: Float32Array, thought: Thought | undefined): void {
    if (this.#state === "ahead") return
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
    if (this.#state === "ahead") {
      if (id === this.#options.startId) this.#state = "begun"
      return
    }
    this.#options.constraint.accept(id)
    this.#mask = this.#preparing = undefined
  }

  async #prepare(): Promise<void> {
    this.#mask = await this.#options.constraint.mask()
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
