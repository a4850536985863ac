// One process at a time writes a packed file. A path in, the right to write beside it out, until it is given back.
// Knows process numbers; never what is written.

import { rmSync, writeFileSync } from "node:fs"
import { UserError, systemCode } from "../util/errors.ts"
import { readTextIfThere, writeError } from "./disk.ts"

/** Locks of this process. A file with our number that is not among them was left by an earlier process. */
const held = new Set<string>()

/** Returns what gives the lock back. The lock of a process that was killed is taken over. */
export function lock(path: string): () => void {
  for (let tries = 0; tries < 2; tries++) {
    if (tryLock(path)) return () => unlock(path)
    const holder = Number(readTextIfThere(path))
    if (held.has(path) || (holder !== process.pid && isRunning(holder)))
      throw new UserError(
        "bad-argument",
        `process ${holder} is writing this file: wait for it; if that is no a3b, remove ${path}`,
      )
    rmSync(path, { force: true })
  }
  throw new UserError("bad-argument", `another process has just taken ${path}: wait for it`)
}

function tryLock(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid}\n`, { flag: "wx" })
    held.add(path)
    return true
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false
    throw writeError(path, error)
  }
}

function unlock(path: string): void {
  held.delete(path)
  rmSync(path, { force: true })
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCode(error) === "EPERM"
  }
}
