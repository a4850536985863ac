// A model as its headers describe it, whatever form it is in: packed, a checkpoint, one at a hub, or no more than a
// config.json. For commands that tell about a model without running it; reads no weights and packs nothing.

import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseConfig } from "../model/config.ts"
import type { ModelConfig, RawConfig } from "../model/config.ts"
import { packedBytes } from "../model/memory.ts"
import { tensorSpecs } from "../model/tensors.ts"
import { UserError } from "../util/errors.ts"
import { openCheckpoint } from "../weights/checkpoint.ts"
import { fileError, readSmallFile, withFile } from "../weights/file.ts"
import { configFile, readNames } from "../weights/files.ts"
import { tensorBytes } from "../weights/format.ts"
import type { PackedTensor } from "../weights/format.ts"
import { readGguf } from "../weights/gguf-checkpoint.ts"
import { readObject } from "../weights/json.ts"
import { planPack } from "../weights/pack-plan.ts"
import { isPacked, openPacked } from "../weights/packed.ts"
import type { Checkpoint, SourceTensor } from "../weights/source.ts"
import { listModels } from "../weights/store.ts"
import { note } from "./output.ts"

export interface Overview {
  kind: "packed" | "folder" | "gguf" | "config"
  path: string
  raw: RawConfig
  config: ModelConfig
  /** The text of config.json. */
  configText: string
  /** Of a packed model. */
  packed?: ReadonlyMap<string, PackedTensor>
  /** Of a checkpoint that is not packed. */
  stored?: ReadonlyMap<string, SourceTensor>
  /** What its weights take once they are packed. */
  weightBytes: number
}

const maxConfigBytes = 10_000_000

export async function readOverview(model: string, signal?: AbortSignal): Promise<Overview> {
  const kind = kindOf(model)
  if (kind === "folder") {
    if (isConfigOnly(model)) return configOverview(model)
    return checkpointOverview(model, await openCheckpoint(model))
  }
  if (kind === "file") {
    if (isPacked(model)) return packedOverview(model)
    // Whether it has a tokenizer does not matter here.
    return checkpointOverview(
      model,
      withFile(model, (source) => readGguf(source, "other")),
    )
  }
  const stored = listModels().find(
    ({ name, source, state }) => state === "ready" && (name === model || source === model),
  )
  return stored ? packedOverview(stored.path) : hubOverview(model, signal)
}

function kindOf(path: string): "folder" | "file" | "name" {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return "name"
    return stat.isDirectory() ? "folder" : "file"
  } catch (error) {
    throw fileError(path, error)
  }
}

/** A folder with a config.json and nothing that belongs to weights. */
function isConfigOnly(path: string): boolean {
  const names = readNames(path)
  return names.includes(configFile) && !names.some((name) => name.includes(".safetensors"))
}

function configOverview(path: string): Overview {
  const file = join(path, configFile)
  const bytes = readSmallFile(file, maxConfigBytes)
  const raw = readObject(bytes, file)
  const config = parseConfig(raw)
  return {
    kind: "config",
    path,
    raw,
    config,
    configText: textOf(bytes, raw),
    weightBytes: packedBytes(config),
  }
}

function packedOverview(path: string): Overview {
  const { config: raw, files, tensors } = openPacked(path)
  const weightBytes = [...tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  const configText = textOf(files.get(configFile), raw)
  return { kind: "packed", path, raw, config: parseConfig(raw), configText, packed: tensors, weightBytes }
}

function checkpointOverview(path: string, checkpoint: Checkpoint): Overview {
  const { kind, config: raw, files, tensors } = checkpoint
  const config = parseConfig(raw)
  // Refuses what packing would refuse, and says what the tensors would become.
  const { note: plan } = planPack(checkpoint, tensorSpecs(config), { quant: "auto", source: path })
  const packed = Object.values(plan.tensors)
  const weightBytes = packed.reduce((sum, { format, shape }) => sum + tensorBytes(format, shape), 0)
  const configText = textOf(files.get(configFile), raw)
  return { kind, path, raw, config, configText, stored: tensors, weightBytes }
}

/** Fetches the headers and small files of a hub's model, and leaves nothing of them behind. */
async function hubOverview(id: string, signal: AbortSignal | undefined): Promise<Overview> {
  const { listFiles, parseHubId } = await import("../weights/hub.ts")
  const hubId = parseHubId(id)
  if (hubId === undefined)
    throw new UserError(
      "not-found",
      `${id} is no file, folder, stored model or hub id: check the path, or get a model with a3b pull <hub id>`,
    )
  const { openRemote } = await import("../weights/remote.ts")
  note(`reading the headers of ${id} at its hub; the weights stay there`)
  const folder = mkdtempSync(join(tmpdir(), "a3b-headers-"))
  try {
    const files = await listFiles(hubId, { signal })
    const { checkpoint } = await openRemote(hubId, files, folder, { signal })
    return checkpointOverview(id, checkpoint)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function textOf(bytes: Uint8Array | undefined, raw: RawConfig): string {
  return bytes ? new TextDecoder().decode(bytes) : JSON.stringify(raw)
}
