// A model at a hub in, its checkpoint out before any weights are here: the small files are downloaded whole, of the
// files with weights only the headers. Knows which files of a repository a model is made of; never the weights.

import { basename, join } from "node:path"
import { assert, UserError } from "../util/errors.ts"
import { withTokenizer } from "./checkpoint.ts"
import { downloadFile, downloadStart, type DownloadOptions } from "./download.ts"
import { counted, type ByteSource } from "./file.ts"
import { maxSmallFileBytes, smallFiles } from "./files.ts"
import { indexFile, readFolder, shardNames } from "./folder.ts"
import { readGguf } from "./gguf-checkpoint.ts"
import { parseGguf } from "./gguf.ts"
import type { HubFile, HubId } from "./hub.ts"
import { parseSafetensors } from "./safetensors.ts"
import type { Checkpoint } from "./source.ts"

export interface RemoteCheckpoint {
  /** As if the files with weights were in the folder. */
  checkpoint: Checkpoint
  /** The files with weights, by the path where the checkpoint expects them. */
  weights: Map<string, HubFile>
}

export interface RemoteOptions extends DownloadOptions {
  /** A folder whose tokenizer takes the place of the model's own. */
  tokenizer?: string
}

/** Downloads what is small into `folder` and reads the headers of the rest. */
export async function openRemote(
  id: HubId,
  files: readonly HubFile[],
  folder: string,
  options: RemoteOptions = {},
): Promise<RemoteCheckpoint> {
  const gguf = chooseGguf(id, files)
  const remote = gguf
    ? await openRemoteGguf(gguf, folder, options)
    : await openRemoteFolder(files, folder, options)
  const { tokenizer } = options
  return tokenizer === undefined
    ? remote
    : { ...remote, checkpoint: withTokenizer(remote.checkpoint, tokenizer) }
}

/** The GGUF file that is meant; undefined where the repository is a Hugging Face folder. */
function chooseGguf({ hub, name, file }: HubId, files: readonly HubFile[]): HubFile | undefined {
  const ggufs = files.filter(({ path }) => path.endsWith(".gguf"))
  const choices = ggufs.map(({ path }) => path)
  if (file !== undefined) {
    const named = ggufs.find(({ path }) => path === file)
    if (named !== undefined) return named
    const next = choices.length > 0 ? `choose one of ${choices.join(", ")}` : "leave the file out"
    throw new UserError("not-found", `${name} has no file ${file}: ${next}`)
  }
  if (ggufs.length === 0 || files.some(({ path }) => path.endsWith(".safetensors"))) return undefined
  if (ggufs.length === 1) return ggufs[0]
  throw new UserError(
    "bad-argument",
    `${name} has ${ggufs.length} GGUF files (${choices.join(", ")}): name one, as in ${hub}:${name}/${choices[0]}`,
  )
}

async function openRemoteGguf(
  file: HubFile,
  folder: string,
  options: RemoteOptions,
): Promise<RemoteCheckpoint> {
  const path = join(folder, basename(file.path))
  const source = await startOf(file, path, options, parseGguf)
  const checkpoint = readGguf(source, options.tokenizer === undefined ? "own" : "other")
  return { checkpoint, weights: new Map([[path, file]]) }
}

async function openRemoteFolder(
  files: readonly HubFile[],
  folder: string,
  options: RemoteOptions,
): Promise<RemoteCheckpoint> {
  for (const file of files)
    if (isSmallFile(file.path)) await downloadSmall(file, join(folder, file.path), options)
  const names = files.map(({ path }) => path)
  const weights = new Map<string, HubFile>()
  const sources = new Map<string, ByteSource>()
  for (const name of shardNames(folder, names)) {
    const file = files[names.indexOf(name)]
    const path = join(folder, name)
    weights.set(path, file)
    sources.set(name, await startOf(file, path, options, parseSafetensors))
  }
  const use = <T>(name: string, read: (source: ByteSource) => T): T => {
    const source = sources.get(name)
    assert(source !== undefined, `the header of ${name} was read`)
    return read(source)
  }
  return { checkpoint: readFolder(folder, { names, use }), weights }
}

function isSmallFile(path: string): boolean {
  return path === indexFile || smallFiles.some((name) => name === path)
}

async function downloadSmall(file: HubFile, target: string, options: DownloadOptions): Promise<void> {
  if (file.bytes > maxSmallFileBytes)
    throw new UserError(
      "bad-file",
      `the hub lists ${file.path} with ${counted(file.bytes)} bytes; wanted at most ` +
        `${counted(maxSmallFileBytes)}: check the model's id`,
    )
  const { limits, signal } = options
  await downloadFile(file, target, { limits, signal })
}

const firstBytes = 1 << 20

/** As much of a file's start as `parse` reads; reading further is a bug. */
async function startOf(
  file: HubFile,
  path: string,
  options: DownloadOptions,
  parse: (source: ByteSource) => unknown,
): Promise<ByteSource> {
  for (let wanted = firstBytes; ;) {
    const start = await downloadStart(file, wanted, options)
    let missing = 0
    const read = (offset: number, length: number) => {
      missing = Math.max(0, offset + length - start.length)
      assert(missing === 0, `${path} was read ${missing} bytes beyond its start`)
      return start.slice(offset, offset + length)
    }
    const source = { path, bytes: file.bytes, read }
    try {
      parse(source)
      return source
    } catch (error) {
      if (missing === 0) throw error
      wanted = Math.max(start.length + missing, 4 * start.length)
    }
  }
}
