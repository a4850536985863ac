// A model as its headers describe it, whatever form it is in: packed, a checkpoint, or no more than a config.json.
// For commands that tell about a model without running it; reads no weights and packs nothing.

import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { parseConfig } from "../model/config.ts"
import type { ModelConfig, RawConfig } from "../model/config.ts"
import { packedBytes } from "../model/memory.ts"
import { tensorSpecs } from "../model/tensors.ts"
import { openCheckpoint } from "../weights/checkpoint.ts"
import { readSmallFile } from "../weights/file.ts"
import { configFile } from "../weights/files.ts"
import { tensorBytes } from "../weights/format.ts"
import type { PackedTensor } from "../weights/format.ts"
import { readObject } from "../weights/json.ts"
import { planPack } from "../weights/pack-plan.ts"
import { isPacked, openPacked } from "../weights/packed.ts"
import type { SourceTensor } from "../weights/source.ts"

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

export async function readOverview(path: string): Promise<Overview> {
  if (isConfigOnly(path)) return configOverview(path)
  if (existsSync(path) && statSync(path).isFile() && isPacked(path)) return packedOverview(path)
  return checkpointOverview(path)
}

/** A folder with a config.json and no weights. */
function isConfigOnly(path: string): boolean {
  if (!existsSync(join(path, configFile))) return false
  return !readdirSync(path).some(
    (name) => name.endsWith(".safetensors") || (name.endsWith(".json") && name.includes(".index.")),
  )
}

function configOverview(path: string): Overview {
  const file = join(path, configFile)
  const bytes = readSmallFile(file, maxConfigBytes)
  const raw = readObject(bytes, file)
  const config = parseConfig(raw)
  return { kind: "config", path, raw, config, configText: textOf(bytes), weightBytes: packedBytes(config) }
}

function packedOverview(path: string): Overview {
  const { config: raw, files, tensors } = openPacked(path)
  const weightBytes = [...tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  const configText = textOf(files.get(configFile), raw)
  return { kind: "packed", path, raw, config: parseConfig(raw), configText, packed: tensors, weightBytes }
}

async function checkpointOverview(path: string): Promise<Overview> {
  const checkpoint = await openCheckpoint(path)
  const { kind, config: raw, files, tensors } = checkpoint
  const config = parseConfig(raw)
  // Refuses what packing would refuse, and says what the tensors would become.
  const { note } = planPack(checkpoint, tensorSpecs(config), { quant: "auto", source: path })
  const weightBytes = Object.values(note.tensors).reduce(
    (sum, { format, shape }) => sum + tensorBytes(format, shape),
    0,
  )
  const configText = textOf(files.get(configFile), raw)
  return { kind, path, raw, config, configText, stored: tensors, weightBytes }
}

function textOf(bytes: Uint8Array | undefined, raw: RawConfig = {}): string {
  return bytes ? new TextDecoder().decode(bytes) : JSON.stringify(raw)
}
