// Step 0, before the path: a checkpoint in, one packed file out, whatever happens on the way. Knows the plan, the part
// file and its journal; never how a block is packed.
//
// Everything is written to `<out>.part`; pieces that are safe on the disk are named in `<out>.part.journal`, so a
// killed run goes on where it stopped. The final name appears only when the file is whole.

import { createHash } from "node:crypto"
import { closeSync, mkdirSync, openSync, renameSync, rmSync, statSync, truncateSync } from "node:fs"
import { availableParallelism } from "node:os"
import { dirname, resolve } from "node:path"
import { assert } from "../util/errors.ts"
import { checkSpace, syncFile, syncFolder, writeAll, writeError } from "./disk.ts"
import { fileError } from "./file.ts"
import { joinHashes } from "./hashes.ts"
import type { Hashes } from "./hashes.ts"
import { Journal } from "./pack-journal.ts"
import { lock } from "./pack-lock.ts"
import { fileSizes, planPack, planText } from "./pack-plan.ts"
import type { PackPlan, Quant } from "./pack-plan.ts"
import { maxThreads, packPieces } from "./pack-pool.ts"
import { PackMeter } from "./pack-meter.ts"
import type { PackProgress } from "./pack-meter.ts"
import { encodeHeader, filePrefix } from "./packed-header.ts"
import type { TensorNote } from "./packed-header.ts"
import type { Checkpoint } from "./source.ts"
import type { TensorSpec } from "./spec.ts"

export interface PackOptions {
  /** How float matrices are stored; `auto` where absent. */
  quant?: Quant
  /** What to pack again if the file gets too old; the checkpoint's path where absent. */
  source?: string
  /** Names the source's bytes, for going on after a stop; size and time of its files where absent. */
  identity?: string
  threads?: number
  /** Longest time whose work a kill can lose, a piece in the making aside. */
  syncMs?: number
  onProgress?: (progress: PackProgress) => void
  signal?: AbortSignal
}

/** Packs a checkpoint whose files are all there. */
export async function pack(
  checkpoint: Checkpoint,
  specs: readonly TensorSpec[],
  out: string,
  options: PackOptions = {},
): Promise<void> {
  const packer = Packer.open(checkpoint, specs, out, options)
  try {
    await packer.packFrom(packer.sources)
    packer.finish()
  } finally {
    packer.close()
  }
}

/**
 * Packs a checkpoint whose files may come and go: `packFrom` with the files that are there, drop those that are no
 * longer needed, and `finish` when none is. `close` in any case; what is safe by then is found by the next `open`.
 */
export class Packer {
  readonly #plan: PackPlan
  readonly #out: string
  readonly #part: string
  readonly #options: PackOptions
  readonly #journal: Journal
  readonly #finished: Map<number, Hashes>
  readonly #meter: PackMeter
  readonly #unlock: () => void
  #lastSync = Date.now()

  static open(
    checkpoint: Checkpoint,
    specs: readonly TensorSpec[],
    out: string,
    options: PackOptions = {},
  ): Packer {
    const { quant = "auto", source = checkpoint.path } = options
    const plan = planPack(checkpoint, specs, { quant, source })
    const path = resolve(out)
    makeFolder(dirname(path))
    const unlock = lock(`${path}.part.lock`)
    try {
      return new Packer(plan, path, options, unlock)
    } catch (error) {
      unlock()
      throw error
    }
  }

  private constructor(plan: PackPlan, out: string, options: PackOptions, unlock: () => void) {
    this.#plan = plan
    this.#out = out
    this.#part = `${out}.part`
    this.#options = options
    this.#unlock = unlock
    this.#journal = new Journal(`${this.#part}.journal`, this.#part)
    this.#finished = this.#resume()
    this.#meter = new PackMeter(plan.pieces, this.#finished.keys(), options.onProgress)
  }

  /** Every file with weights, in the order of work. */
  get sources(): string[] {
    return [...new Set(this.#plan.pieces.flatMap((_, i) => this.#filesOf(i)))]
  }

  /** Size of the finished file. */
  get bytes(): number {
    return this.#plan.layout.fileBytes
  }

  /** Whether a file has bytes that are not packed yet. */
  needs(path: string): boolean {
    return this.#plan.pieces.some((_, i) => !this.#finished.has(i) && this.#filesOf(i).includes(path))
  }

  /** Packs what lies in these files and is not packed yet; what needs further files waits for them. */
  async packFrom(paths: readonly string[]): Promise<void> {
    const there = new Set(paths)
    const numbers = [...this.#plan.pieces.keys()].filter(
      (i) => !this.#finished.has(i) && this.#filesOf(i).every((path) => there.has(path)),
    )
    const { threads = Math.min(availableParallelism(), maxThreads), signal } = this.#options
    try {
      await packPieces(
        this.#part,
        this.#plan.pieces,
        numbers,
        { threads, signal },
        {
          onBytes: (bytes) => this.#meter.addBytes(bytes),
          onPiece: (piece, hashes) => this.#finishPiece(piece, hashes),
        },
      )
    } finally {
      this.#journal.sync()
    }
  }

  /** Writes what is not weights and gives the file its final name. */
  finish(): void {
    const missing = this.#plan.pieces.length - this.#finished.size
    assert(missing === 0, `${missing} pieces are not packed`)
    try {
      this.#writeEnds()
      syncFile(this.#part)
      renameSync(this.#part, this.#out)
      syncFolder(dirname(this.#out))
    } catch (error) {
      throw writeError(this.#part, error)
    }
    this.#journal.remove()
    this.#meter.end()
  }

  /** Lets another run take over. */
  close(): void {
    this.#unlock()
  }

  /** Removes what an unfinished run left; for a source that will not come back. */
  discard(): void {
    rmSync(this.#part, { force: true })
    this.#journal.remove()
  }

  /** What an earlier run of the same plan left, or an empty file of the full size. */
  #resume(): Map<number, Hashes> {
    const plan = this.#planHash()
    const stat = statSync(this.#part, { throwIfNoEntry: false })
    const { fileBytes } = this.#plan.layout
    const finished = stat?.size === fileBytes ? this.#journal.read(plan) : new Map<number, Hashes>()
    if (stat && finished.size === 0) rmSync(this.#part)
    checkSpace(this.#part, fileBytes - (finished.size > 0 && stat ? stat.blocks * 512 : 0))
    if (finished.size > 0) return finished
    try {
      closeSync(openSync(this.#part, "wx"))
      truncateSync(this.#part, fileBytes)
    } catch (error) {
      throw writeError(this.#part, error)
    }
    this.#journal.begin(plan)
    return finished
  }

  #planHash(): string {
    const identity = this.#options.identity ?? JSON.stringify(this.sources.map(fileIdentity))
    return createHash("sha256").update(planText(this.#plan)).update(identity).digest("hex")
  }

  #filesOf(piece: number): string[] {
    const { part, scales } = this.#plan.pieces[piece]
    return [part.path, ...(scales?.parts.map(({ path }) => path) ?? [])]
  }

  #finishPiece(piece: number, hashes: Hashes): void {
    this.#finished.set(piece, hashes)
    this.#journal.add(piece, hashes)
    this.#meter.addPiece(piece)
    if (Date.now() - this.#lastSync < (this.#options.syncMs ?? 5000)) return
    this.#journal.sync()
    this.#lastSync = Date.now()
  }

  /** The header, now with hashes, and the checkpoint's files. */
  #writeEnds(): void {
    const { note, files, layout } = this.#plan
    const tensors: Record<string, TensorNote> = {}
    for (const [name, tensor] of Object.entries(note.tensors))
      tensors[name] = { ...tensor, ...this.#hashesOf(name) }
    const header = encodeHeader({ ...note, tensors }, fileSizes(files))
    assert(header.length === layout.headerBytes, "hashes do not change the header's length")
    const file = openSync(this.#part, "r+")
    try {
      writeAll(file, header, 0)
      for (const [name, bytes] of files) writeAll(file, bytes, layout.offsets.get(filePrefix + name) ?? 0)
    } finally {
      closeSync(file)
    }
  }

  #hashesOf(tensor: string): Pick<TensorNote, "hash" | "packed"> {
    const hashes = this.#plan.pieces
      .flatMap((piece, i) => {
        const done = piece.tensor === tensor ? this.#finished.get(i) : undefined
        return done ? [{ at: piece.target, ...done }] : []
      })
      .sort((a, b) => a.at - b.at)
    return {
      hash: joinHashes(hashes.map(({ source }) => source)),
      packed: joinHashes(hashes.map(({ packed }) => packed)),
    }
  }
}

function fileIdentity(path: string): [string, number, number] {
  try {
    const { size, mtimeMs } = statSync(path)
    return [path, size, mtimeMs]
  } catch (error) {
    throw fileError(path, error)
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    throw writeError(path, error)
  }
}
