// Whatever a user has in, one checkpoint out: a Hugging Face folder or a GGUF file, its config, small files and
// tensors under the same names. Reads headers only; never the weights.

import { statSync } from "node:fs"
import { fileError, withFile } from "./file.ts"
import { generationConfigFile, readJsonFile, readTokenizerFiles, tokenizerConfigFile } from "./files.ts"
import { readFolder } from "./folder.ts"
import { readGguf } from "./gguf-checkpoint.ts"
import type { Checkpoint } from "./source.ts"

export type { Checkpoint, SourcePart, SourceTensor, SourceType } from "./source.ts"

export interface CheckpointOptions {
  /** A folder whose tokenizer files take the place of the checkpoint's own. */
  tokenizer?: string
}

export async function openCheckpoint(
  path: string,
  { tokenizer }: CheckpointOptions = {},
): Promise<Checkpoint> {
  const checkpoint = isFolder(path)
    ? readFolder(path)
    : withFile(path, (source) => readGguf(source, tokenizer === undefined ? "own" : "other"))
  return tokenizer === undefined ? checkpoint : withTokenizer(checkpoint, tokenizer)
}

/** What the folder lacks stays the checkpoint's own, but for the tokenizer's config. */
export function withTokenizer(checkpoint: Checkpoint, folder: string): Checkpoint {
  const kept = [...checkpoint.files].filter(([name]) => name !== tokenizerConfigFile)
  const files = new Map([...kept, ...readTokenizerFiles(folder)])
  const generationConfig = files.has(generationConfigFile)
    ? readJsonFile(files, checkpoint.path, generationConfigFile)
    : undefined
  return { ...checkpoint, files, ...(generationConfig && { generationConfig }) }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    throw fileError(path, error)
  }
}
