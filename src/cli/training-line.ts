// How far a distillation is: one line that is rewritten in place on a terminal; elsewhere a line when a part begins
// and every so often while it goes on. On stderr, so that results stay clean.

import type { DistilProgress } from "../distill/distill.ts"
import type { Output } from "./output.ts"
import { count, duration } from "./units.ts"

const plainMs = 30_000
const rewriteMs = 200

export class TrainingLine {
  readonly #stream: Output
  #shownMs = -Infinity
  #part = ""
  /** Whether the terminal's line has text. */
  #place: "line start" | "in a line" = "line start"

  constructor(stream: Output = process.stderr) {
    this.#stream = stream
  }

  readonly update = (progress: DistilProgress): void => {
    const { isTTY, columns = 80 } = this.#stream
    const part = partOf(progress)
    const now = performance.now()
    const isNew = part !== this.#part
    if (!isNew && !isDone(progress) && now - this.#shownMs < (isTTY ? rewriteMs : plainMs)) return
    if (isNew) this.end()
    this.#part = part
    this.#shownMs = now
    const text = progressText(progress)
    this.#stream.write(isTTY ? `\r${text.slice(0, columns - 1)}\x1b[K` : `${text}\n`)
    if (isTTY) this.#place = "in a line"
  }

  /** What is written next begins on a line of its own. */
  end(): void {
    if (this.#place === "in a line") this.#stream.write("\n")
    this.#place = "line start"
  }
}

function partOf(progress: DistilProgress): string {
  return "unit" in progress ? `${progress.phase} ${progress.unit}` : progress.phase
}

function isDone(progress: DistilProgress): boolean {
  if (progress.phase === "training") return progress.share >= 1
  return "done" in progress && progress.done === progress.all
}

/** `student-1-off-policy 44 %  loss 0.812  9,310 tokens/s  12 min 03 s left` */
export function progressText(progress: DistilProgress): string {
  switch (progress.phase) {
    case "tokenizer":
      return "tokenizer"
    case "export":
      return "export and report"
    case "training": {
      const { unit, share, loss, tokensPerSecond, secondsLeft } = progress
      const speed = `${count(Math.round(tokensPerSecond))} tokens/s`
      const left = share < 1 ? `  ${duration(secondsLeft)} left` : ""
      return `${unit} ${Math.floor(100 * share)} %  loss ${loss.toFixed(3)}  ${speed}${left}`
    }
    case "sampling":
      return `${progress.unit}: sampling ${count(progress.done)} of ${count(progress.all)}`
    case "evaluation":
      return `${progress.unit}: ${count(progress.done)} of ${count(progress.all)}`
    default:
      return progress satisfies never
  }
}
