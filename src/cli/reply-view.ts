// Step 9 on a terminal: a reply's events in, text out as it comes. The answer and tool calls go to stdout; thinking,
// dimmed, and what is said about the reply go to stderr.

import { addEvent, emptyReply } from "../chat/reply.ts"
import type { ChatEvent, Usage } from "../types.ts"
import { note, paint } from "./output.ts"
import type { Output } from "./output.ts"
import { count, duration } from "./units.ts"

export interface ReplyViewOptions {
  /** A folded thought is one line. */
  thinking: "shown" | "folded"
  /** Not where the tokenizer is elsewhere. */
  countTokens?: (text: string) => number
  out?: Output
  err?: Output
}

const rewriteMs = 200

export class ReplyView {
  /** All that came so far. */
  readonly reply = emptyReply()
  readonly #options: ReplyViewOptions
  readonly #out: Output
  readonly #err: Output
  #place: "before" | "thought" | "answer" = "before"
  #thoughtMs = 0
  #shownMs = -Infinity
  /** Whether stdout stands at the beginning of a line. */
  #atLineStart = true

  constructor(options: ReplyViewOptions) {
    this.#options = options
    this.#out = options.out ?? process.stdout
    this.#err = options.err ?? process.stderr
  }

  push(event: ChatEvent): void {
    addEvent(this.reply, event)
    if (event.type === "reasoning") this.#think(event.text)
    if (event.type === "content") this.#answer(event.text)
    if (event.type === "tool-call") {
      const call = `${paint("bold", event.name, this.#out)}(${event.arguments})\n`
      this.#answer(this.#atLineStart ? call : `\n${call}`)
    }
  }

  /** Ends the lines that were begun, also those of a reply that was cut short. */
  end(): void {
    this.#endThought()
    if (!this.#atLineStart) this.#answer("\n")
    const { finishReason, diagnostic, usage } = this.reply
    if (diagnostic) note(diagnostic, this.#err)
    if (finishReason === "length") note("the reply was cut: it is as long as it may be", this.#err)
    if (usage) note(speedLine(usage), this.#err)
  }

  #think(text: string): void {
    if (this.#place === "before") this.#thoughtMs = performance.now()
    this.#place = "thought"
    if (this.#options.thinking === "shown") this.#err.write(paint("dim", text, this.#err))
    else if (this.#err.isTTY && performance.now() - this.#shownMs >= rewriteMs) {
      this.#shownMs = performance.now()
      this.#err.write(`\r${paint("dim", `thinking for ${this.#thoughtTime()}`, this.#err)}\x1b[K`)
    }
  }

  #endThought(): void {
    if (this.#place !== "thought") return
    this.#place = "answer"
    const { reasoning } = this.reply
    if (this.#options.thinking === "shown") this.#err.write(reasoning.endsWith("\n") ? "\n" : "\n\n")
    else if (this.#err.isTTY) this.#err.write("\r\x1b[K")
    const numTokens = this.#options.countTokens?.(reasoning)
    const length = numTokens === undefined ? "" : `, ${tokens(numTokens)}`
    note(`thought for ${this.#thoughtTime()}${length}`, this.#err)
  }

  #thoughtTime(): string {
    return duration((performance.now() - this.#thoughtMs) / 1000)
  }

  #answer(text: string): void {
    this.#endThought()
    if (text === "") return
    this.#out.write(text)
    this.#atLineStart = text.endsWith("\n")
  }
}

/** `212 tokens, 14.2 a second; 1,024 read in 3.1 s` */
function speedLine({ promptTokens, cachedTokens, completionTokens, prefillMs, decodeMs }: Usage): string {
  // The first token comes with the prompt's last step.
  const perSecond = (1000 * (completionTokens - 1)) / decodeMs
  const speed = completionTokens > 1 && decodeMs > 0 ? `, ${perSecond.toFixed(1)} a second` : ""
  const kept = cachedTokens > 0 ? `, ${count(cachedTokens)} were kept` : ""
  const read = `${count(promptTokens - cachedTokens)} read in ${duration(prefillMs / 1000)}${kept}`
  return `${tokens(completionTokens)}${speed}; ${read}`
}

function tokens(numTokens: number): string {
  return `${count(numTokens)} token${numTokens === 1 ? "" : "s"}`
}
