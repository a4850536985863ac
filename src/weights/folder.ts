// A Hugging Face folder in, a checkpoint out: config.json, the small files, and the tensors of every safetensors
// shard by canonical name. Reads headers only; never the weights.

import { join } from "node:path"
import { UserError } from "../util/errors.ts"
import { stackExperts } from "./experts.ts"
import { counted, quoted, readSmallFile, withFile, type ByteSource } from "./file.ts"
import { configFile, generationConfigFile, readFiles, readJsonFile, readNames, smallFiles } from "./files.ts"
import { isObject, readObject } from "./json.ts"
import { checkQuantisation, refuseInteger } from "./quantisation.ts"
import { maxHeaderBytes, parseSafetensors, type SafetensorsEntry } from "./safetensors.ts"
import { sourceTypes, storedBytes, type Checkpoint, type SourceTensor } from "./source.ts"

const singleFile = "model.safetensors"
export const indexFile = "model.safetensors.index.json"

/** Where the weights are: on the disk, or at a hub of which only the headers were fetched. */
export interface Shards {
  /** Of all files there. */
  names: readonly string[]
  use<T>(name: string, read: (source: ByteSource) => T): T
}

/** `path` has the small files and the index; the weights are in `shards`, in the same folder where absent. */
export function readFolder(path: string, shards: Shards = shardsIn(path)): Checkpoint {
  const files = readFiles(path, smallFiles)
  const config = readJsonFile(files, path, configFile)
  checkQuantisation(config, path)
  const tensors = stackExperts(readStored(path, shards))
  return {
    kind: "folder",
    path,
    config,
    ...(files.has(generationConfigFile) && {
      generationConfig: readJsonFile(files, path, generationConfigFile),
    }),
    files,
    tensors,
    bytes: storedBytes(tensors.values()),
  }
}

function shardsIn(folder: string): Shards {
  return { names: readNames(folder), use: (name, read) => withFile(join(folder, name), read) }
}

/** The index's map from tensor to shard; a shard is a plain name in the same folder. */
export function parseIndex(bytes: Uint8Array, path: string): Map<string, string> {
  const { weight_map: map } = readObject(bytes, path)
  if (!isObject(map)) throw new UserError("bad-file", `${path} has no weight_map: download it again`)
  const shards = new Map<string, string>()
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || !/^[\w-][\w.-]*\.safetensors$/.test(shard))
      throw new UserError(
        "bad-file",
        `${path} puts ${quoted(tensor)} in ${typeof shard === "string" ? quoted(shard) : "no file"}; wanted the ` +
          "name of a .safetensors file in the same folder: download the index again",
      )
    shards.set(tensor, shard)
  }
  return shards
}

/** Those of `names` that hold the weights: what the folder's index says, or the only one. */
export function shardNames(folder: string, names: readonly string[]): string[] {
  if (!names.includes(indexFile)) return [singleName(folder, names)]
  const shards = [...new Set(readIndex(folder).values())].sort()
  const missing = shards.filter((shard) => !names.includes(shard))
  if (missing.length === 0) return shards
  throw new UserError(
    "not-found",
    `${folder} lacks ${missing.length} of ${shards.length} shards, the first is ${missing[0]}: download them`,
  )
}

function singleName(folder: string, names: readonly string[]): string {
  if (names.includes(singleFile)) return singleFile
  const gguf = names.find((name) => name.endsWith(".gguf"))
  const next =
    gguf === undefined ? "name a folder with a whole Hugging Face model" : `name ${join(folder, gguf)}`
  throw new UserError("not-found", `${folder} has neither ${singleFile} nor ${indexFile}: ${next}`)
}

function readIndex(folder: string): Map<string, string> {
  const path = join(folder, indexFile)
  return parseIndex(readSmallFile(path, maxHeaderBytes), path)
}

/** All tensors of all shards, each where the index says it is. */
function readStored(folder: string, shards: Shards): SourceTensor[] {
  const stored = shardNames(folder, shards.names).flatMap((shard) => shards.use(shard, storedTensors))
  if (shards.names.includes(indexFile)) checkIndex(folder, readIndex(folder), stored)
  return stored
}

/** One safetensors file's tensors under the names it gives them. */
export function storedTensors(source: ByteSource): SourceTensor[] {
  return parseSafetensors(source).map((entry) => storedTensor(source.path, entry))
}

function storedTensor(path: string, { name, dtype, shape, offset, bytes }: SafetensorsEntry): SourceTensor {
  refuseInteger(name, path)
  const type = sourceTypes.slice(0, 4).find((known) => known === dtype)
  if (type === undefined)
    throw new UserError(
      "unsupported",
      `${path} has ${quoted(name)} as ${quoted(dtype)}; wanted BF16, F16, F32 or F8_E4M3: use the original checkpoint`,
    )
  return { name, type, shape, parts: [{ path, offset, bytes }] }
}

function checkIndex(
  folder: string,
  index: ReadonlyMap<string, string>,
  stored: readonly SourceTensor[],
): void {
  const found = new Set(stored.map(({ name, parts }) => `${parts[0].path}\n${name}`))
  for (const [name, shard] of index)
    if (!found.has(`${join(folder, shard)}\n${name}`))
      throw new UserError("bad-file", `${join(folder, shard)} has no ${quoted(name)}: download it again`)
  if (stored.length !== index.size)
    throw new UserError(
      "bad-file",
      `the shards in ${folder} have ${counted(stored.length)} tensors, ${indexFile} lists ` +
        `${counted(index.size)}: download index and shards from the same revision`,
    )
}
