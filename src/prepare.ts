// From what a user names to an opened packed model: a packed file, a stored model's name, a Hugging Face folder, a
// .gguf file or a hub id. What is not packed yet is packed into the store once. Knows where models come from; never
// how they run.

import { realpathSync, statSync } from "node:fs"
import { join } from "node:path"
import { parseConfig } from "./model/config.ts"
import { tensorSpecs } from "./model/tensors.ts"
import { UserError } from "./util/errors.ts"
import { openCheckpoint } from "./weights/checkpoint.ts"
import { fileError } from "./weights/file.ts"
import { readNames } from "./weights/files.ts"
import { pack } from "./weights/pack.ts"
import type { PackOptions } from "./weights/pack.ts"
import { isPacked, openPacked } from "./weights/packed.ts"
import type { PackedModel } from "./weights/packed.ts"
import type { PullProgress } from "./weights/pull.ts"
import { findModel, storedPath } from "./weights/store.ts"

export interface PrepareOptions extends Pick<PackOptions, "quant" | "threads" | "signal"> {
  /** A folder whose tokenizer files take the place of the checkpoint's own. */
  tokenizer?: string
  /** Told what takes long before it begins, in a sentence. */
  onNotice?: (text: string) => void
  /** How far packing and downloading are. */
  onProgress?: (progress: PullProgress) => void
}

export async function prepare(model: string, options: PrepareOptions = {}): Promise<PackedModel> {
  const kind = kindOf(model)
  if (kind === "packed") return openAsAsked(model, options)
  if (kind === "checkpoint") return prepareCheckpoint(model, options)
  const stored = findModel(model)
  if (stored) return openAsAsked(stored.path, options)
  const { parseHubId } = await import("./weights/hub.ts")
  if (parseHubId(model)) return prepareHub(model, options)
  throw new UserError(
    "not-found",
    `${model} is no file, folder, stored model or hub id: check the path, see a3b list, or fetch one with a3b pull <hub id>`,
  )
}

/** Packs a folder or .gguf file, into the store where `out` is absent, whether or not that exists already. */
export async function packCheckpoint(
  path: string,
  options: PrepareOptions & { out?: string } = {},
): Promise<PackedModel> {
  const source = realPath(path)
  const { out = storedCheckpoint(source, options), tokenizer, onNotice } = options
  const checkpoint = await openCheckpoint(source, { tokenizer })
  const specs = tensorSpecs(parseConfig(checkpoint.config))
  onNotice?.(`packing ${path} into ${out}`)
  await pack(checkpoint, specs, out, { ...options, source })
  return openPacked(out)
}

/** Downloads and packs a hub's model, into the store where `out` is absent, whether or not that exists already. */
export async function pullModel(
  id: string,
  options: PrepareOptions & { out?: string } = {},
): Promise<PackedModel> {
  const { out = storedHub(id, options), onNotice } = options
  const { pull } = await import("./weights/pull.ts")
  onNotice?.(`pulling ${id} into ${out}`)
  await pull(id, { ...options, out, specs: (config) => tensorSpecs(parseConfig(config)) })
  return openPacked(out)
}

async function prepareCheckpoint(path: string, options: PrepareOptions): Promise<PackedModel> {
  const out = storedCheckpoint(realPath(path), options)
  return exists(out) ? openPacked(out) : packCheckpoint(path, { ...options, out })
}

async function prepareHub(id: string, options: PrepareOptions): Promise<PackedModel> {
  const out = storedHub(id, options)
  return exists(out) ? openPacked(out) : pullModel(id, { ...options, out })
}

function kindOf(model: string): "packed" | "checkpoint" | "name" {
  const stat = statIfThere(model)
  if (stat === undefined) return "name"
  if (stat.isDirectory()) return "checkpoint"
  return isPacked(model) ? "packed" : "checkpoint"
}

/** A packed file is what it is: options that would have made another one are refused. */
function openAsAsked(path: string, { tokenizer, quant }: PrepareOptions): PackedModel {
  const packed = openPacked(path)
  const again = `a3b pack ${packed.source}`
  if (tokenizer !== undefined)
    throw new UserError(
      "bad-argument",
      `${path} has its tokenizer already: ${again} --tokenizer ${tokenizer}`,
    )
  if (quant !== undefined && quant !== packed.quant)
    throw new UserError("bad-argument", `${path} was packed as ${packed.quant}: ${again} --quant ${quant}`)
  return packed
}

/** Another checkpoint, tokenizer or quant is another file. */
function storedCheckpoint(source: string, { tokenizer, quant = "auto" }: PrepareOptions): string {
  return storedPath(source, [identity(source), tokenizer === undefined ? null : identity(tokenizer), quant])
}

/** What the hub has now is not asked: pulling again is up to the user. */
function storedHub(id: string, { tokenizer, quant = "auto" }: PrepareOptions): string {
  return storedPath(id, [tokenizer === undefined ? null : identity(tokenizer), quant])
}

/** Changes when a checkpoint does: names, sizes and times of its files. */
function identity(path: string): unknown[] {
  const stat = statIfThere(path)
  if (!stat?.isDirectory()) return [stat?.size, stat?.mtimeMs]
  return readNames(path)
    .filter((name) => /\.(safetensors|json|jinja)$/.test(name))
    .map((name) => [name, ...identity(join(path, name))])
}

function exists(path: string): boolean {
  return statIfThere(path) !== undefined
}

function statIfThere(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw fileError(path, error)
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    throw fileError(path, error)
  }
}
