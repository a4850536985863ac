// A thread of the pool: takes pieces, packs them, reports bytes as they are written and the hashes at the end.

import { parentPort, workerData } from "node:worker_threads"
import { UserError, assert, messageOf } from "../util/errors.ts"
import { PiecePacker } from "./pack-piece.ts"
import type { Piece } from "./pack-plan.ts"
import type { WorkerReport } from "./pack-pool.ts"

const port = parentPort
assert(port, "pack-worker runs as a thread")
// The pool starts this file and hands over the part file's path.
const packer = new PiecePacker(workerData as string)

port.on("message", (piece: Piece) => {
  try {
    const run = packer.pack(piece)
    let step = run.next()
    for (; !step.done; step = run.next()) report({ bytes: step.value })
    report({ hashes: step.value })
  } catch (error) {
    report({ message: messageOf(error), code: error instanceof UserError ? error.code : undefined })
  }
})

function report(message: WorkerReport): void {
  port?.postMessage(message)
}
