// Writing to a disk that may be full or forbidden: room asked for before, errors that say what to do, and waiting
// until bytes are safe. Knows paths and bytes; never what they mean.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { dirname } from "node:path"
import { UserError, messageOf, systemCode } from "../util/errors.ts"
import { counted, fileError } from "./file.ts"

/** Refuses to begin what would not fit; `bytes` are still to be written to `path`. */
export function checkSpace(path: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(dirname(path))
  const free = bavail * bsize
  if (bytes <= free) return
  throw new UserError(
    "disk-full",
    `${path} needs ${counted(bytes)} bytes and ${counted(free)} are free: make room or choose a folder on another disk`,
  )
}

/** Writes all of `bytes` at a position. */
export function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(file, bytes, done, bytes.length - done, position + done)
}

/** What the system said about writing to a path, with the next step. */
export function writeError(path: string, error: unknown): UserError {
  const code = systemCode(error)
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG")
    return new UserError(
      "disk-full",
      `no room to write ${path} (${code}): make room and run the command again, it goes on where it stopped`,
      { cause: error },
    )
  if (code === "EACCES" || code === "EPERM" || code === "EROFS")
    return new UserError("permission", `no permission to write ${path}: check its folder's owner and mode`, {
      cause: error,
    })
  return new UserError("bad-file", `cannot write ${path}: ${messageOf(error)}`, { cause: error })
}

/** Waits until a file's bytes are on the disk. */
export function syncFile(path: string): void {
  sync(path, "r+")
}

/** Waits until a folder's names are on the disk; Windows has no such thing. */
export function syncFolder(path: string): void {
  if (process.platform !== "win32") sync(path, "r")
}

function sync(path: string, flags: "r" | "r+"): void {
  const file = openSync(path, flags)
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** The text of a small file of our own; empty where there is none. */
export function readTextIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    if (systemCode(error) === "ENOENT") return ""
    throw fileError(path, error)
  }
}

/** Whole or not at all. */
export function writeText(path: string, text: string): void {
  writeWhole(path, (part) => writeFileSync(part, text))
}

/** What `write` puts into the file that it is given gets this name once it is whole. */
export function writeWhole(path: string, write: (part: string) => void): void {
  try {
    mkdirSync(dirname(path), { recursive: true })
    write(`${path}.part`)
    syncFile(`${path}.part`)
    renameSync(`${path}.part`, path)
    syncFolder(dirname(path))
  } catch (error) {
    throw writeError(path, error)
  }
}
