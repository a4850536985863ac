// The small files beside a model's weights: config, generation config, tokenizer and chat template, read whole.
// Knows their names; never what the fields mean, but for a template kept inside tokenizer_config.json.

import { readdirSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../util/errors.ts"
import { fileError, readSmallFile } from "./file.ts"
import { isObject, readObject, type JsonObject } from "./json.ts"

export const configFile = "config.json"
export const generationConfigFile = "generation_config.json"
export const tokenizerFile = "tokenizer.json"
export const tokenizerConfigFile = "tokenizer_config.json"
export const templateFile = "chat_template.jinja"

export const tokenizerFiles = [tokenizerFile, tokenizerConfigFile, templateFile] as const
export const smallFiles = [configFile, generationConfigFile, ...tokenizerFiles] as const

/** Qwen3's largest, tokenizer.json, has 11 MB. */
export const maxSmallFileBytes = 100_000_000

export function readNames(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch (error) {
    throw fileError(folder, error)
  }
}

/** Those of `wanted` that the folder has; the chat template always as a file of its own. */
export function readFiles(folder: string, wanted: readonly string[]): Map<string, Uint8Array> {
  const present = new Set(readNames(folder))
  const files = new Map<string, Uint8Array>()
  for (const name of wanted)
    if (present.has(name)) files.set(name, readSmallFile(join(folder, name), maxSmallFileBytes))
  const template = files.has(templateFile) ? undefined : templateIn(folder, files.get(tokenizerConfigFile))
  if (template !== undefined) files.set(templateFile, new TextEncoder().encode(template))
  return files
}

/** The tokenizer's files of `folder`, and its generation config, whose ids belong to that tokenizer. */
export function readTokenizerFiles(folder: string): Map<string, Uint8Array> {
  const files = readFiles(folder, [...tokenizerFiles, generationConfigFile])
  if (files.has(tokenizerFile)) return files
  throw new UserError(
    "not-found",
    `${folder} has no ${tokenizerFile}: name a folder with a tokenizer's files`,
  )
}

export function readJsonFile(
  files: ReadonlyMap<string, Uint8Array>,
  folder: string,
  name: string,
): JsonObject {
  const bytes = files.get(name)
  if (bytes === undefined)
    throw new UserError(
      "not-found",
      `${folder} has no ${name}: name a folder with a whole Hugging Face model`,
    )
  return readObject(bytes, join(folder, name))
}

/** `chat_template` is a string, or a list of named ones. */
function templateIn(folder: string, bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined
  const { chat_template: template } = readObject(bytes, join(folder, tokenizerConfigFile))
  const templates = Array.isArray(template) ? template.filter(isObject) : [{ name: "default", template }]
  const chosen = templates.find(({ name }) => name === "default")?.template
  return typeof chosen === "string" ? chosen : undefined
}
