// Files that a user names: opened, measured and read with errors that say what to do. Knows paths and bytes; never
// what they mean.

import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs"
import { systemCode, messageOf, UserError } from "../util/errors.ts"

/** Bytes that a parser may ask for; a file, or memory in tests. */
export interface ByteSource {
  readonly path: string
  /** Size of the whole file. */
  readonly bytes: number
  /** `length` bytes from `offset` on, all inside the file. */
  read(offset: number, length: number): Uint8Array
}

/** Opens a file for the time of `use`. */
export function withFile<T>(path: string, use: (source: ByteSource) => T): T {
  const file = openFile(path)
  try {
    const { size } = fstatSync(file)
    return use({ path, bytes: size, read: (offset, length) => readAt(file, path, offset, length) })
  } finally {
    closeSync(file)
  }
}

/** Reads a whole file of at most `maxBytes`; the size is looked at before memory is taken. */
export function readSmallFile(path: string, maxBytes: number): Uint8Array {
  return withFile(path, (source) => {
    if (source.bytes > maxBytes)
      throw new UserError(
        "bad-file",
        `${path} has ${counted(source.bytes)} bytes; at most ${counted(maxBytes)} are expected: check the file`,
      )
    return source.read(0, source.bytes)
  })
}

function openFile(path: string): number {
  try {
    // Looked at before: opening a named pipe would wait for its writer.
    if (statSync(path).isFile()) return openSync(path, "r")
  } catch (error) {
    throw fileError(path, error)
  }
  throw new UserError("bad-file", `${path} is not a file: name a file`)
}

function readAt(file: number, path: string, offset: number, length: number): Uint8Array {
  const out = new Uint8Array(length)
  for (let done = 0; done < length;) {
    const got = readSync(file, out, done, length - done, offset + done)
    if (got === 0)
      throw new UserError(
        "bad-file",
        `${path} ends at byte ${counted(offset + done)}, ${counted(length - done)} short: it changed while it was read`,
      )
    done += got
  }
  return out
}

/** What the system said about a path, with the next step. */
export function fileError(path: string, error: unknown): UserError {
  const code = systemCode(error)
  if (code === "ENOENT" || code === "ENOTDIR")
    return new UserError("not-found", `${path} does not exist: check the path`, { cause: error })
  if (code === "EACCES" || code === "EPERM")
    return new UserError("permission", `no permission to read ${path}: check its owner and mode`, {
      cause: error,
    })
  return new UserError("bad-file", `cannot read ${path}: ${messageOf(error)}`, { cause: error })
}

/** 1234567 as "1,234,567". */
export function counted(number: number | bigint): string {
  return number.toLocaleString("en-US")
}

/** A name from a file for a message: in quotes, escaped, cut where it is long. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}...` : name)
}
