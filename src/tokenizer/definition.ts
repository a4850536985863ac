// Load time. The bytes of tokenizer.json and tokenizer_config.json in, the checked parts of a byte-level BPE out.
// Whatever this room cannot do exactly is refused here by name, so that encoding never differs in silence.

import { UserError, messageOf } from "../util/errors.ts"
import { nfc } from "./nfc.ts"
import * as library from "@huggingface/tokenizers"

/** A token that is found as written in the text, before any splitting. */
export interface AddedToken {
  readonly id: number
  readonly content: string
  /** Left out of decoded text on request. `<think>` and `<tool_call>` are added tokens but not special. */
  readonly special: boolean
}

export interface Definition {
  readonly vocabulary: ReadonlyMap<string, number>
  readonly merges: readonly (string | readonly string[])[]
  readonly added: readonly AddedToken[]
  readonly normalise: (text: string) => string
  /** Matches one pre-token after the other; what lies between two matches is a pre-token as well. */
  readonly split: RegExp
}

type Fields = Record<string, unknown>

// The library's own declarations do not resolve under Node's module rules (they import without file endings).
const { SplitPreTokenizer } = library as unknown as {
  SplitPreTokenizer: new (config: object) => { readonly pattern: RegExp | null }
}

// Far above any vocabulary: an id decides the size of a table, so a damaged one must not choose it.
const maxId = 2 ** 22

export function readDefinition(files: ReadonlyMap<string, Uint8Array>): Definition {
  const file = readJson(files, "tokenizer.json")
  if (!file)
    throw new UserError(
      "not-found",
      "the checkpoint has no tokenizer.json: pass a folder that has one (--tokenizer <folder>)",
    )
  const model = fields(file.model, "model")
  if (model.type !== undefined) only("model.type", model.type, "BPE")
  for (const key of [
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "byte_fallback",
    "ignore_merges",
  ])
    if (model[key]) refuse(`model.${key}`, model[key], "none")
  return {
    vocabulary: readVocabulary(model.vocab),
    merges: readMerges(model.merges),
    added: readAdded(file.added_tokens, readJson(files, "tokenizer_config.json")?.added_tokens_decoder),
    normalise: readNormaliser(file.normalizer),
    split: readSplit(file.pre_tokenizer),
  }
}

function readJson(files: ReadonlyMap<string, Uint8Array>, name: string): Fields | undefined {
  const bytes = files.get(name)
  if (!bytes) return undefined
  try {
    const parsed: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
    return fields(parsed, name)
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError("bad-file", `${name} is not valid JSON: ${messageOf(error)}: fetch it again`)
  }
}

function readVocabulary(value: unknown): Map<string, number> {
  const vocabulary = new Map<string, number>()
  for (const [token, id] of Object.entries(fields(value, "model.vocab")))
    vocabulary.set(token, readId(id, `model.vocab["${token}"]`))
  return vocabulary
}

function readMerges(value: unknown): (string | string[])[] {
  const isPair = (merge: unknown) =>
    typeof merge === "string"
      ? merge.split(" ").length === 2
      : Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === "string")
  if (!Array.isArray(value)) throw damaged("model.merges", "a list of pairs", value)
  for (const [rank, merge] of value.entries())
    if (!isPair(merge)) throw damaged(`model.merges[${rank}]`, "a pair of tokens", merge)
  return value as (string | string[])[] // the loop above proved it
}

/** tokenizer.json decides; tokens that only tokenizer_config.json lists are added to them, as Transformers does. */
function readAdded(value: unknown, configured: unknown): AddedToken[] {
  const listed = (value ?? []) as unknown
  if (!Array.isArray(listed)) throw damaged("added_tokens", "a list", listed)
  const added = listed.map((entry, i) => readAddedToken(entry, undefined, `added_tokens[${i}]`))
  const known = new Set(added.map((token) => token.id))
  for (const [id, entry] of Object.entries(fields(configured ?? {}, "added_tokens_decoder")))
    if (!known.has(Number(id))) added.push(readAddedToken(entry, Number(id), `added_tokens_decoder["${id}"]`))
  return added
}

function readAddedToken(value: unknown, id: number | undefined, where: string): AddedToken {
  const token = fields(value, where)
  if (typeof token.content !== "string" || token.content === "")
    throw damaged(`${where}.content`, "a text", token.content)
  for (const key of ["lstrip", "rstrip", "single_word"])
    if (token[key]) refuse(`${where}.${key}`, token[key], false)
  return {
    id: readId(id ?? token.id, `${where}.id`),
    content: token.content,
    special: token.special === true,
  }
}

function readNormaliser(value: unknown): (text: string) => string {
  if (value === null || value === undefined) return (text) => text
  only("normalizer.type", fields(value, "normalizer").type, "NFC")
  return nfc
}

/** A regular expression and then bytes: the one arrangement of Qwen's tokenizers. */
function readSplit(value: unknown): RegExp {
  const steps = fields(value, "pre_tokenizer").pretokenizers
  const [split, bytes] = Array.isArray(steps) ? steps.map((step) => fields(step, "pre_tokenizer")) : []
  const pattern = fields(split?.pattern ?? {}, "pre_tokenizer.pattern").Regex
  if (
    !Array.isArray(steps) ||
    steps.length !== 2 ||
    split?.type !== "Split" ||
    typeof pattern !== "string" ||
    split.behavior !== "Isolated" ||
    split.invert ||
    bytes?.type !== "ByteLevel" ||
    bytes.add_prefix_space ||
    bytes.use_regex !== false
  )
    throw refuse(
      "pre_tokenizer",
      value,
      "[Split by Regex, isolated; ByteLevel without prefix space or regex]",
    )
  try {
    // The library's translation from Oniguruma's syntax to JavaScript's.
    const compiled = new SplitPreTokenizer({
      type: "Split",
      pattern: { Regex: pattern },
      behavior: "Isolated",
    })
    if (compiled.pattern) return compiled.pattern
  } catch (error) {
    throw new UserError(
      "bad-file",
      `tokenizer.json: pre_tokenizer's Regex does not compile: ${messageOf(error)}`,
    )
  }
  throw damaged("pre_tokenizer.pattern", "a Regex", pattern)
}

function fields(value: unknown, where: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw damaged(where, "an object", value)
  return value as Fields // just checked
}

function readId(value: unknown, where: string): number {
  if (!Number.isInteger(value) || Number(value) < 0 || Number(value) >= maxId)
    throw damaged(where, `an id from 0 to ${maxId - 1}`, value)
  return Number(value)
}

function only(where: string, got: unknown, wanted: string) {
  if (got !== wanted) refuse(where, got, wanted)
}

function refuse(where: string, got: unknown, wanted: unknown): never {
  throw new UserError(
    "unsupported",
    `tokenizer.json: ${where} is ${shown(got)}; only ${shown(wanted)} is supported: use the tokenizer of a Qwen3 model`,
  )
}

function damaged(where: string, wanted: string, got: unknown): UserError {
  return new UserError(
    "bad-file",
    `tokenizer.json: ${where} must be ${wanted}, got ${shown(got)}: fetch it again`,
  )
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing")
  return text.length > 80 ? `${text.slice(0, 80)}...` : text
}
