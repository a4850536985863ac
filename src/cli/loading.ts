// From what a user names to a model that can run, for the commands that need no text: packed or pulled on first use,
// and refused before anything is allocated where it does not fit in memory.

import { existsSync } from "node:fs"
import { availableMemory, contextFor } from "../context.ts"
import { parseConfig } from "../model/config.ts"
import { prepare } from "../prepare.ts"
import { openPacked } from "../weights/packed.ts"
import type { PackedModel } from "../weights/packed.ts"
import { findModel } from "../weights/store.ts"
import type { ModelOptions } from "./options.ts"
import { note } from "./output.ts"
import { ProgressLine } from "./progress.ts"

/** Packs or pulls what is not packed yet, and shows it. */
export async function openPrepared(
  model: string,
  { tokenizer }: { tokenizer?: string },
  signal: AbortSignal,
): Promise<PackedModel> {
  return showingProgress((onProgress) => prepare(model, { tokenizer, onNotice: note, onProgress, signal }))
}

/** Runs what may pack or pull, with a line that says how far it is. */
export async function showingProgress<T>(
  work: (onProgress: ProgressLine["update"]) => Promise<T>,
): Promise<T> {
  const progress = new ProgressLine()
  try {
    return await work(progress.update)
  } finally {
    progress.end()
  }
}

/** A packed model by its path or its name in the store; packs nothing. */
export function openStored(model: string): PackedModel {
  return openPacked(existsSync(model) ? model : (findModel(model)?.path ?? model))
}

/** Refuses a model that this machine has no memory for, before any is taken. */
export function checkMemory(packed: PackedModel, contextTokens: number, { backend }: ModelOptions): void {
  const weightBytes = [...packed.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  const kv = backend === "reference" ? "f32" : "f16"
  const availableBytes = availableMemory()
  contextFor(contextTokens, { config: parseConfig(packed.config), weightBytes, kv, availableBytes })
}
