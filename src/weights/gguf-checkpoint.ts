// A GGUF file of architecture qwen3moe in, a checkpoint out, in the form of a Hugging Face folder. Reads the header
// only; never the weights.

import { UserError } from "../util/errors.ts"
import type { ByteSource } from "./file.ts"
import { configFile, generationConfigFile } from "./files.ts"
import { checkArchitecture, configOf, generationConfigOf } from "./gguf-config.ts"
import { tensorsOf } from "./gguf-tensors.ts"
import { templateFileOf, tokenizerFilesOf } from "./gguf-tokenizer.ts"
import { parseGguf } from "./gguf.ts"
import type { JsonObject } from "./json.ts"
import { storedBytes, type Checkpoint } from "./source.ts"

/** With `tokenizer` "other" the file's own tokenizer is left unread: another one takes its place. */
export function readGguf(source: ByteSource, tokenizer: "own" | "other"): Checkpoint {
  const { path } = source
  const { metadata, tensors: stored } = parseGguf(source)
  checkArchitecture(metadata, path)
  const tensors = tensorsOf(source, stored)
  const embedding = tensors.get("model.embed_tokens.weight")
  if (embedding === undefined)
    throw new UserError("bad-file", `${path} has no tensor token_embd.weight: download it again`)
  const config = configOf(metadata, embedding.shape[0], tensors.has("lm_head.weight"), path)
  const generationConfig = generationConfigOf(metadata)
  const files = new Map([
    [configFile, jsonBytes(config)],
    [generationConfigFile, jsonBytes(generationConfig)],
    ...(tokenizer === "own" ? tokenizerFilesOf(metadata, path) : []),
    ...templateFileOf(metadata),
  ])
  return {
    kind: "gguf",
    path,
    config,
    generationConfig,
    files,
    tensors,
    bytes: storedBytes(tensors.values()),
  }
}

function jsonBytes(value: JsonObject): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value, null, 2))
}
