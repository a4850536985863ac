// Step 4. The scheduled part of each sequence in, one `Batch` out. Its arrays are views of buffers that the next
// batch overwrites: a step is over before the next one begins.

import { pageTokens } from "../backend/backend.ts"
import type { Batch, BatchSequence } from "../backend/backend.ts"
import { pagesFor } from "./pages.ts"
import type { Sequence } from "./sequence.ts"
import type { Tiers } from "./tiers.ts"

export class BatchBuilder {
  readonly #ids: Int32Array
  readonly #positions: Int32Array
  readonly #slots: Int32Array
  readonly #logitRows: Int32Array
  readonly #tierOf: Tiers
  /** [pages of all sequences] */
  readonly #tiers: Uint8Array

  constructor(maxRows: number, maxPages: number, tiers: Tiers) {
    this.#tierOf = tiers
    this.#tiers = new Uint8Array(maxPages)
    this.#ids = new Int32Array(maxRows)
    this.#positions = new Int32Array(maxRows)
    this.#slots = new Int32Array(maxRows)
    this.#logitRows = new Int32Array(maxRows)
  }

  build(sequences: readonly Sequence[]): Batch {
    const parts: BatchSequence[] = []
    let rows = 0
    let wanted = 0
    let numPages = 0
    for (const sequence of sequences) {
      const firstRow = rows
      rows = this.#fill(sequence, rows)
      for (let row = rows - numLogitRows(sequence); row < rows; row++) this.#logitRows[wanted++] = row
      const contextTokens = sequence.numComputed + sequence.numScheduled
      const pages = sequence.pageTable.subarray(0, pagesFor(contextTokens))
      const tiers = this.#tiers.subarray(numPages, (numPages += pages.length))
      for (const [i, page] of pages.entries()) tiers[i] = this.#tierOf.of(page)
      const numTokens = sequence.numScheduled
      parts.push({
        firstRow,
        numTokens,
        contextTokens,
        pages,
        tiers,
        selectiveFrom: this.#selectiveFrom(sequence),
      })
    }
    return {
      ids: this.#ids.subarray(0, rows),
      positions: this.#positions.subarray(0, rows),
      slots: this.#slots.subarray(0, rows),
      sequences: parts,
      logitRows: this.#logitRows.subarray(0, wanted),
    }
  }

  /** A prompt is read exactly, also its last token; a generated one chooses, also where it is computed anew. */
  #selectiveFrom({ numPrompt }: Sequence): number | undefined {
    const { selectiveFrom } = this.#tierOf.policy
    return selectiveFrom === undefined ? undefined : Math.max(selectiveFrom, numPrompt)
  }

  /** Writes the sequence's tokens from `row` on; returns the row after them. */
  #fill(sequence: Sequence, row: number): number {
    const { tokens, pageTable, numComputed, numScheduled } = sequence
    for (let position = numComputed; position < numComputed + numScheduled; position++, row++) {
      this.#ids[row] = tokens[position]
      this.#positions[row] = position
      this.#slots[row] = pageTable[Math.floor(position / pageTokens)] * pageTokens + (position % pageTokens)
    }
    return row
  }
}

/** Of the scheduled tokens, how many of the last need logits. */
export function numLogitRows(sequence: Sequence): number {
  if (sequence.wants === "every") return sequence.numScheduled
  return sequence.numScheduled === sequence.numPending ? 1 : 0
}
