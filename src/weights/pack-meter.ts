// How far packing is: finished chunks and pieces in, progress for people out. Knows counts and times; never bytes'
// meaning.

import type { Piece } from "./pack-plan.ts"

export interface PackProgress {
  phase: "pack"
  tensorsDone: number
  tensorsTotal: number
  /** Files of the source that are packed; what users know as checkpoint shards. */
  shardsDone: number
  shardsTotal: number
  /** Of the source's weights. */
  bytesDone: number
  bytesTotal: number
  /** In this run. */
  bytesPerSecond: number
  secondsLeft: number
}

/** Least time between two reports. */
const reportMs = 100

export class PackMeter {
  readonly #pieces: readonly Piece[]
  readonly #report: ((progress: PackProgress) => void) | undefined
  readonly #piecesLeft = { tensor: new Map<string, number>(), shard: new Map<string, number>() }
  readonly #bytesTotal: number
  readonly #startMs = performance.now()
  readonly #bytesBefore: number
  #bytesDone = 0
  #lastMs = -Infinity

  constructor(
    pieces: readonly Piece[],
    finished: Iterable<number>,
    report: ((progress: PackProgress) => void) | undefined,
  ) {
    this.#pieces = pieces
    this.#report = report
    this.#bytesTotal = pieces.reduce((sum, { part }) => sum + part.bytes, 0)
    for (const { tensor, part } of pieces) {
      count(this.#piecesLeft.tensor, tensor, 1)
      count(this.#piecesLeft.shard, part.path, 1)
    }
    for (const piece of finished) {
      this.#bytesDone += pieces[piece].part.bytes
      this.#takeOff(piece)
    }
    this.#bytesBefore = this.#bytesDone
  }

  addBytes(bytes: number): void {
    this.#bytesDone += bytes
    if (performance.now() - this.#lastMs >= reportMs) this.#tell()
  }

  addPiece(piece: number): void {
    this.#takeOff(piece)
    if (this.#piecesLeft.shard.get(this.#pieces[piece].part.path) === 0) this.#tell()
  }

  end(): void {
    this.#tell()
  }

  #takeOff(piece: number): void {
    const { tensor, part } = this.#pieces[piece]
    count(this.#piecesLeft.tensor, tensor, -1)
    count(this.#piecesLeft.shard, part.path, -1)
  }

  #tell(): void {
    if (this.#report === undefined) return
    this.#lastMs = performance.now()
    const { tensor, shard } = this.#piecesLeft
    const seconds = (this.#lastMs - this.#startMs) / 1000
    const bytesPerSecond = (this.#bytesDone - this.#bytesBefore) / Math.max(seconds, 1e-3)
    const bytesLeft = this.#bytesTotal - this.#bytesDone
    this.#report({
      phase: "pack",
      tensorsDone: zeros(tensor),
      tensorsTotal: tensor.size,
      shardsDone: zeros(shard),
      shardsTotal: shard.size,
      bytesDone: this.#bytesDone,
      bytesTotal: this.#bytesTotal,
      bytesPerSecond,
      secondsLeft: bytesLeft === 0 ? 0 : bytesLeft / Math.max(bytesPerSecond, 1),
    })
  }
}

function count(counts: Map<string, number>, key: string, step: number): void {
  counts.set(key, (counts.get(key) ?? 0) + step)
}

function zeros(counts: ReadonlyMap<string, number>): number {
  let zero = 0
  for (const left of counts.values()) if (left === 0) zero++
  return zero
}
