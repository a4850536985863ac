// Where packed models live, in one folder: `$A3B_HOME/models`, else `a3b/models` in the user's cache folder. Names in,
// paths out, and what is there. Knows file names and headers; never how they are made.

import { createHash } from "node:crypto"
import { readdirSync, rmSync, statSync } from "node:fs"
import type { Stats } from "node:fs"
import { homedir } from "node:os"
import { join, resolve } from "node:path"
import { UserError, messageOf, systemCode } from "../util/errors.ts"
import { writeError } from "./disk.ts"
import { fileError } from "./file.ts"
import { layoutVersion } from "./format.ts"
import { lock } from "./pack-lock.ts"
import { openPacked } from "./packed.ts"

export interface StoredModel {
  name: string
  /** Where it is, or will be once it is complete. */
  path: string
  /** On the disk. */
  bytes: number
  /** What it was packed from: a path or hub id; absent while it is being made and where it cannot be read. */
  source?: string
  created: Date
  state: "ready" | "incomplete" | "unreadable"
  /** Why it cannot be read. */
  problem?: string
}

const ending = ".a3b"
/** Beside a model's file, what packing and pulling leave where they are stopped. */
const unfinished = [".part", ".part.journal", ".download"]

/** On Windows the cache folder is `%LOCALAPPDATA%`, elsewhere `$XDG_CACHE_HOME` or `~/.cache`. */
export function modelsFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.A3B_HOME) return resolve(env.A3B_HOME, "models")
  const windows = process.platform === "win32" ? env.LOCALAPPDATA : undefined
  return join(windows || env.XDG_CACHE_HOME || join(homedir(), ".cache"), "a3b", "models")
}

/** Where a source is packed to: a readable name, and a key of everything that decides the bytes. */
export function storedPath(source: string, key: readonly unknown[], folder = modelsFolder()): string {
  const readable = source
    .replace(/\.gguf$/i, "")
    .split(/[\\/]+/)
    .filter((part) => part !== "")
    .slice(-2)
    .join("-")
    .replace(/[^\w.-]+/g, "-")
    .replace(/^[.-]+/, "")
    .slice(-80)
  const hash = createHash("sha256")
    .update(JSON.stringify([layoutVersion, source, ...key]))
    .digest("hex")
  return join(folder, `${readable || "model"}-${hash.slice(0, 8)}${ending}`)
}

/** All models, by name; the folder need not exist. */
export function listModels(folder = modelsFolder()): StoredModel[] {
  const files = new Set(readFolder(folder))
  const names = new Set<string>()
  for (const file of files) {
    const end = ["", ...unfinished].map((suffix) => ending + suffix).find((suffix) => file.endsWith(suffix))
    if (end !== undefined) names.add(file.slice(0, -end.length))
  }
  return [...names].sort().map((name) => (files.has(name + ending) ? describe : incomplete)(folder, name))
}

/** The model of that name; undefined where there is none or the name is no name. */
export function findModel(name: string, folder = modelsFolder()): StoredModel | undefined {
  return listModels(folder).find((model) => model.name === name)
}

/** Removes a model and what an unfinished run left of it. */
export function removeModel(name: string, folder = modelsFolder()): StoredModel {
  const model = findModel(name, folder)
  if (model === undefined)
    throw new UserError("not-found", `no model ${name} in ${folder}: a3b list shows the names`)
  const path = join(folder, `${name}${ending}`)
  const unlock = lock(`${path}.part.lock`)
  try {
    for (const suffix of ["", ...unfinished]) rmSync(path + suffix, { force: true, recursive: true })
  } catch (error) {
    throw writeError(path, error)
  } finally {
    unlock()
  }
  return model
}

function describe(folder: string, name: string): StoredModel {
  const path = join(folder, name + ending)
  const { size: bytes, mtime: created } = statSync(path)
  const about = { name, path, bytes, created }
  try {
    return { ...about, source: openPacked(path).source, state: "ready" }
  } catch (error) {
    return { ...about, state: "unreadable", problem: messageOf(error) }
  }
}

function incomplete(folder: string, name: string): StoredModel {
  const path = join(folder, name + ending)
  const left = unfinished.flatMap((suffix) => allFiles(path + suffix))
  const bytes = left.reduce((sum, { blocks }) => sum + blocks * 512, 0)
  const created = new Date(Math.max(0, ...left.map(({ mtimeMs }) => mtimeMs)))
  return { name, path, bytes, created, state: "incomplete" }
}

/** A file, or what is in a folder; nothing where there is neither. */
function allFiles(path: string): Stats[] {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat?.isDirectory()) return stat ? [stat] : []
  return readFolder(path).flatMap((file) => allFiles(join(path, file)))
}

function readFolder(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (systemCode(error) === "ENOENT") return []
    throw fileError(folder, error)
  }
}
