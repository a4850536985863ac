// Progress of downloading and packing in, the events that a progress_callback of transformers.js knows out.

import type { PullProgress } from "../weights/pull.ts"

/** `file` is "checkpoint" while it is downloaded and "packed" while it is packed, each as a whole. */
export type ProgressInfo =
  | { status: "initiate" | "done"; name: string; file: string }
  | { status: "progress"; name: string; file: string; progress: number; loaded: number; total: number }
  | { status: "ready"; name: string }

export type ProgressCallback = (info: ProgressInfo) => void

const files = { download: "checkpoint", pack: "packed" } as const

export class ProgressEvents {
  readonly #name: string
  readonly #callback: ProgressCallback | undefined
  /** The two phases take turns. */
  readonly #begun = new Set<string>()

  constructor(name: string, callback?: ProgressCallback) {
    this.#name = name
    this.#callback = callback
  }

  readonly update = (progress: PullProgress): void => {
    if (progress.phase === "plan") return
    const file = files[progress.phase]
    const { bytesDone: loaded, bytesTotal: total } = progress
    if (!this.#begun.has(file)) this.#callback?.({ status: "initiate", name: this.#name, file })
    this.#begun.add(file)
    const percent = total > 0 ? (100 * loaded) / total : 100
    this.#callback?.({ status: "progress", name: this.#name, file, progress: percent, loaded, total })
  }

  /** All is there. */
  end(): void {
    for (const file of this.#begun) this.#callback?.({ status: "done", name: this.#name, file })
    this.#callback?.({ status: "ready", name: this.#name })
  }
}
