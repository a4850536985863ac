// Packs pieces on several threads, or on this one where the worker's compiled file is not beside this one (running
// straight from TypeScript). Pieces in, their hashes out as they are finished. Knows threads; never files' order.

import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"
import { UserError } from "../util/errors.ts"
import type { ErrorCode } from "../util/errors.ts"
import type { Hashes } from "./hashes.ts"
import { PiecePacker } from "./pack-piece.ts"
import type { Piece } from "./pack-plan.ts"

/** What a worker says: bytes of a chunk, the hashes of a piece, or why it failed. */
export type WorkerReport =
  { bytes: number } | { hashes: Hashes } | { message: string; code: ErrorCode | undefined }

export interface PackListener {
  /** Source bytes packed since the last call. */
  onBytes(bytes: number): void
  onPiece(piece: number, hashes: Hashes): void
}

const workerPath = fileURLToPath(new URL("./pack-worker.js", import.meta.url))

/** Most threads that speed packing up before the disk is the limit; each takes some 60 MB. */
export const maxThreads = 8

/** Packs the pieces with these numbers, in that order; rejects with the first failure or when `signal` aborts. */
export async function packPieces(
  partPath: string,
  pieces: readonly Piece[],
  numbers: readonly number[],
  options: { threads: number; signal?: AbortSignal },
  listener: PackListener,
): Promise<void> {
  if (numbers.length === 0) return
  const threads = Math.min(options.threads, numbers.length)
  const queue = numbers.values()
  if (threads === 1 || !existsSync(workerPath)) return packHere(partPath, pieces, queue, options, listener)
  const workers = Array.from({ length: threads }, () => new Worker(workerPath, { workerData: partPath }))
  try {
    await Promise.all(workers.map((worker) => drain(worker, pieces, queue, options, listener)))
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

async function packHere(
  partPath: string,
  pieces: readonly Piece[],
  queue: Iterable<number>,
  { signal }: { signal?: AbortSignal },
  listener: PackListener,
): Promise<void> {
  const packer = new PiecePacker(partPath)
  try {
    for (const number of queue) {
      const run = packer.pack(pieces[number])
      let step = run.next()
      for (; !step.done; step = run.next()) {
        listener.onBytes(step.value)
        // Lets signals and timers in between chunks.
        await new Promise((resolve) => setImmediate(resolve))
        if (signal?.aborted) throw cancelled()
      }
      listener.onPiece(number, step.value)
    }
  } finally {
    packer.close()
  }
}

/** One worker takes pieces from the shared queue until it is empty. */
function drain(
  worker: Worker,
  pieces: readonly Piece[],
  queue: IterableIterator<number>,
  { signal }: { signal?: AbortSignal },
  listener: PackListener,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let current = -1
    const next = () => {
      if (signal?.aborted) return reject(cancelled())
      const { value, done } = queue.next()
      if (done) return resolve()
      current = value
      worker.postMessage(pieces[value])
    }
    const hear = (report: WorkerReport) => {
      if ("message" in report) throw failure(report)
      if ("bytes" in report) return listener.onBytes(report.bytes)
      listener.onPiece(current, report.hashes)
      next()
    }
    worker.on("message", (report: WorkerReport) => {
      try {
        hear(report)
      } catch (error) {
        reject(error)
      }
    })
    worker.on("error", reject)
    const cancel = () => reject(cancelled())
    signal?.addEventListener("abort", cancel)
    worker.on("exit", () => signal?.removeEventListener("abort", cancel))
    next()
  })
}

/** An error as it was on the worker's side: threads pass on no classes. */
function failure({ message, code }: { message: string; code: ErrorCode | undefined }): Error {
  return code ? new UserError(code, message) : new Error(message)
}

function cancelled(): UserError {
  return new UserError(
    "cancelled",
    "packing was cancelled: run the command again, it goes on where it stopped",
  )
}
