// What of a packed file is finished, kept beside it so that a killed run can go on. Pieces and their hashes in, the
// same out on the next run. Knows piece numbers; never what they are.
//
// The first line names the plan; each further line is a finished piece, "<number> <source> <packed>", with its two
// hashes. A line is written only when the piece's bytes are on the disk; a last line that was cut is ignored.

import { appendFileSync, rmSync, writeFileSync } from "node:fs"
import { readTextIfThere, syncFile, writeError } from "./disk.ts"
import type { Hashes } from "./hashes.ts"

export class Journal {
  readonly #path: string
  readonly #partPath: string
  readonly #pending = new Map<number, Hashes>()

  constructor(path: string, partPath: string) {
    this.#path = path
    this.#partPath = partPath
  }

  /** Finished pieces of the same plan; of another plan there are none. */
  read(plan: string): Map<number, Hashes> {
    const finished = new Map<number, Hashes>()
    const [first, ...lines] = readTextIfThere(this.#path).split("\n")
    if (first !== plan) return finished
    for (const line of lines.slice(0, -1)) {
      const match = /^(\d+) ([0-9a-f]{64}) ([0-9a-f]{64})$/.exec(line)
      if (match) finished.set(Number(match[1]), { source: match[2], packed: match[3] })
    }
    return finished
  }

  begin(plan: string): void {
    this.#put(() => writeFileSync(this.#path, `${plan}\n`, { flush: true }))
  }

  add(piece: number, hashes: Hashes): void {
    this.#pending.set(piece, hashes)
  }

  /** Makes the pieces added so far safe: first their bytes, then their lines. */
  sync(): void {
    if (this.#pending.size === 0) return
    const lines = [...this.#pending].map(([piece, { source, packed }]) => `${piece} ${source} ${packed}\n`)
    this.#put(() => {
      syncFile(this.#partPath)
      appendFileSync(this.#path, lines.join(""), { flush: true })
    })
    this.#pending.clear()
  }

  remove(): void {
    rmSync(this.#path, { force: true })
  }

  #put(write: () => void): void {
    try {
      write()
    } catch (error) {
      throw writeError(this.#path, error)
    }
  }
}
