// Step 8. Tool calls written inside a thought, held until what follows tells whether they were meant: nothing, then
// the model forgot to end its thought; more words or a call after the thought, then they were only thought about.

import type { Piece } from "./tags.ts"

export class HeldCalls {
  readonly pieces: Piece[]
  #block: "open" | "closed" = "open"
  #thought: "open" | "ended" = "open"

  /** Begins with the tag of the first call. */
  constructor(first: Piece) {
    this.pieces = [first]
  }

  /** "held", or "thought" where the piece shows that the calls were not meant; it is then not taken. */
  take(piece: Piece): "held" | "thought" {
    if (!this.#belongs(piece)) return "thought"
    this.pieces.push(piece)
    if (piece.tag === "toolCall") this.#block = "open"
    if (piece.tag === "endToolCall") this.#block = "closed"
    if (piece.tag === "endThink") this.#thought = "ended"
    return "held"
  }

  #belongs({ tag, text }: Piece): boolean {
    if (this.#block === "open") return tag !== "endThink"
    if (tag === undefined) return text.trim() === ""
    return (tag === "toolCall" || tag === "endThink") && this.#thought === "open"
  }
}
