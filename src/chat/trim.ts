// Step 8. One stretch of reasoning or content on its way out, without the whitespace around it that templates put
// there themselves. Whitespace waits until it is known to stand between words.

export class TrimmedText {
  readonly #emit: (text: string) => void
  readonly #leading: RegExp
  #spaces = ""
  #state: "unbegun" | "begun" = "unbegun"

  /** `leading` matches what is dropped before the first word. */
  constructor(emit: (text: string) => void, leading: RegExp) {
    this.#emit = emit
    this.#leading = leading
  }

  /** Whether the next character would begin a line, or the whole text. */
  get isLineStart(): boolean {
    return this.#state === "unbegun" || this.#spaces.includes("\n")
  }

  push(text: string): void {
    if (text.trim() === "") {
      this.#spaces += text // unread, so that a long run of spaces costs no more than its length
      return
    }
    const all = this.#spaces + text
    const length = all.trimEnd().length
    this.#spaces = all.slice(length)
    const words = all.slice(0, length)
    this.#emit(this.#state === "unbegun" ? words.replace(this.#leading, "") : words)
    this.#state = "begun"
  }

  /** Ends the text; `trailing` matches what is dropped behind the last word. Gives back what was dropped there. */
  close(trailing: RegExp): string {
    const spaces = this.#spaces
    this.#spaces = ""
    if (this.#state === "unbegun") return ""
    const kept = spaces.replace(trailing, "")
    if (kept !== "") this.#emit(kept)
    return spaces.slice(kept.length)
  }
}
