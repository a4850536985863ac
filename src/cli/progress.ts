// How far a long piece of work is: one line that is rewritten in place on a terminal, a plain line every few seconds
// elsewhere. On stderr, so that results stay clean.

import type { PackProgress } from "../weights/pack-meter.ts"
import type { PullProgress } from "../weights/pull.ts"
import { note } from "./output.ts"
import type { Output } from "./output.ts"
import { duration, fileSize } from "./units.ts"

type PullPlan = Extract<PullProgress, { phase: "plan" }>
type DownloadProgress = Extract<PullProgress, { phase: "download" }>
type Amount = Pick<PackProgress, "bytesDone" | "bytesTotal" | "bytesPerSecond" | "secondsLeft">

/** The latest report of each phase. */
interface Latest {
  download?: DownloadProgress
  pack?: PackProgress
}

const plainMs = 5000
const rewriteMs = 100

export class ProgressLine {
  readonly #stream: Output
  #lastMs: number | undefined
  /** What stands on the terminal's line, or was last said elsewhere. */
  #shown = ""
  #latest = ""
  #progress: Latest = {}

  constructor(stream: Output = process.stderr) {
    this.#stream = stream
  }

  readonly update = (progress: PullProgress): void => {
    if (progress.phase === "plan") return note(planText(progress), this.#stream)
    if (progress.phase === "pack") this.#progress.pack = progress
    else this.#progress.download = progress
    this.#latest = progressText(this.#progress)
    const now = performance.now()
    // What ends soon needs only its last line.
    if (!this.#stream.isTTY) this.#lastMs ??= now
    if (this.#lastMs !== undefined && now - this.#lastMs < (this.#stream.isTTY ? rewriteMs : plainMs)) return
    this.#lastMs = now
    this.#show()
  }

  /** Shows where it stopped; what is written next begins on a line of its own. */
  end(): void {
    if (this.#latest !== this.#shown) this.#show()
    if (this.#stream.isTTY && this.#shown) this.#stream.write("\n")
    this.#latest = this.#shown = ""
    this.#progress = {}
  }

  #show(): void {
    this.#shown = this.#latest
    const { isTTY, columns = 80 } = this.#stream
    this.#stream.write(isTTY ? `\r${this.#latest.slice(0, columns - 1)}\x1b[K` : `${this.#latest}\n`)
  }
}

/** What a pull is about to do. */
function planText({ files, downloadBytes, packedBytes, neededBytes, freeBytes }: PullPlan): string {
  const fetched = `fetching ${fileSize(downloadBytes)} in ${files.length} files`
  const room = `needs ${fileSize(neededBytes)} of ${fileSize(freeBytes)} free`
  return `${fetched}; packed it has ${fileSize(packedBytes)}; ${room}`
}

/** Packing goes on while a model is downloaded; then the download is what people wait for. */
export function progressText({ download, pack }: Latest): string {
  if (download && download.bytesDone < download.bytesTotal) {
    const text = line("Downloading checkpoint shards", download, download.filesDone, download.filesTotal)
    return pack ? `${text}, ${percent(pack)}% packed` : text
  }
  return pack ? line("Loading checkpoint shards", pack, pack.shardsDone, pack.shardsTotal) : ""
}

/** `Loading checkpoint shards: 44% 7/16  26.9 of 61.1 GB  412 MB/s  1 min 23 s left` */
function line(title: string, amount: Amount, done: number, total: number): string {
  const { bytesDone, bytesTotal, bytesPerSecond, secondsLeft } = amount
  const left = bytesDone < bytesTotal ? `  ${duration(secondsLeft)} left` : ""
  const sizes = `${fileSize(bytesDone)} of ${fileSize(bytesTotal)}  ${fileSize(bytesPerSecond)}/s`
  return `${title}: ${percent(amount)}% ${done}/${total}  ${sizes}${left}`
}

function percent({ bytesDone, bytesTotal }: Amount): number {
  return Math.floor((100 * bytesDone) / Math.max(bytesTotal, 1))
}
