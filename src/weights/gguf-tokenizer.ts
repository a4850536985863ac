// GGUF tokenizer metadata in, the same tokenizer as the files of a Hugging Face folder out: tokenizer.json,
// tokenizer_config.json, chat_template.jinja. Knows the vocabulary's form; never encodes or decodes text.

import type { Json } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { counted, quoted } from "./file.ts"
import { templateFile, tokenizerConfigFile, tokenizerFile } from "./files.ts"
import type { Metadata } from "./gguf-config.ts"
import { addedTokenEntry, tokenizerJson } from "./tokenizer-json.ts"
import type { AddedToken } from "./tokenizer-json.ts"

/** GGUF's numbers of the token types that a byte-level BPE vocabulary uses. */
const tokenType = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const

interface Vocabulary {
  /** Text to id of the BPE's own tokens. */
  vocab: Map<string, number>
  added: AddedToken[]
}

/** None where the metadata carries no tokenizer. */
export function tokenizerFilesOf(metadata: Metadata, path: string): [name: string, bytes: Uint8Array][] {
  const model = metadata.get("tokenizer.ggml.model")
  if (model === undefined || model === "none" || model === "no_vocab") return []
  if (model !== "gpt2" || metadata.get("tokenizer.ggml.pre") !== "qwen2")
    throw new UserError(
      "unsupported",
      `${path} has a tokenizer that is not Qwen's (tokenizer.ggml.model gpt2, pre qwen2): give --tokenizer <folder>`,
    )
  const vocabulary = readVocabulary(metadata, path)
  return [
    [
      tokenizerFile,
      jsonBytes(tokenizerJson(vocabulary.vocab, readMerges(metadata, vocabulary, path), vocabulary.added)),
    ],
    [tokenizerConfigFile, jsonBytes(tokenizerConfig(metadata, vocabulary))],
  ]
}

export function templateFileOf(metadata: Metadata): [name: string, bytes: Uint8Array][] {
  const template = metadata.get("tokenizer.chat_template")
  return typeof template === "string" ? [[templateFile, new TextEncoder().encode(template)]] : []
}

function readVocabulary(metadata: Metadata, path: string): Vocabulary {
  const tokens = strings(metadata, "tokenizer.ggml.tokens", path)
  const types = metadata.get("tokenizer.ggml.token_type")
  if (typeof types !== "object" || types.length !== tokens.length)
    throw damaged(
      path,
      "tokenizer.ggml.token_type",
      `one number for each of ${counted(tokens.length)} tokens`,
    )
  const vocabulary: Vocabulary = { vocab: new Map(), added: [] }
  const seen = new Set<string>()
  for (const [id, content] of tokens.entries()) {
    const type = types[id]
    if (type === tokenType.unused) continue
    if (seen.has(content)) throw damaged(path, `token ${quoted(content)} twice`, "each once")
    seen.add(content)
    if (type === tokenType.normal) vocabulary.vocab.set(content, id)
    else if (type === tokenType.control) vocabulary.added.push({ id, content, special: true })
    else if (type === tokenType.userDefined) vocabulary.added.push({ id, content, special: false })
    else
      throw damaged(
        path,
        `token ${quoted(content)} of type ${type}`,
        "normal, control, user-defined or unused",
      )
  }
  return vocabulary
}

/** Pairs in order of rank; a pair whose union is no token can never give an id, and is left out. */
function readMerges(metadata: Metadata, { vocab }: Vocabulary, path: string): [string, string][] {
  const merges: [string, string][] = []
  for (const line of strings(metadata, "tokenizer.ggml.merges", path)) {
    const space = line.indexOf(" ", 1)
    const [left, right] = [line.slice(0, space), line.slice(space + 1)]
    if (space < 1 || right === "")
      throw damaged(path, `the merge ${quoted(line)}`, "two tokens with a space between")
    if (vocab.has(left + right)) merges.push([left, right])
  }
  return merges
}

function tokenizerConfig(metadata: Metadata, { added }: Vocabulary): Json {
  const token = (key: string) => {
    const id = metadata.get(`tokenizer.ggml.${key}_token_id`)
    return added.find((one) => one.id === id)?.content ?? null
  }
  const context = metadata.get("qwen3moe.context_length")
  return {
    add_bos_token: metadata.get("tokenizer.ggml.add_bos_token") === true,
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(added.map((token) => [token.id, addedTokenEntry(token)])),
    bos_token: metadata.get("tokenizer.ggml.add_bos_token") === true ? token("bos") : null,
    clean_up_tokenization_spaces: false,
    eos_token: token("eos"),
    ...(typeof context === "number" && { model_max_length: context }),
    pad_token: token("padding"),
    tokenizer_class: "Qwen2Tokenizer",
    unk_token: null,
  }
}

function strings(metadata: Metadata, key: string, path: string): string[] {
  const value = metadata.get(key)
  if (Array.isArray(value)) return value
  throw damaged(path, value === undefined ? `no ${key}` : `${key} of another type`, "a list of strings")
}

function jsonBytes(value: Json): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function damaged(path: string, got: string, wanted: string): UserError {
  const next = "convert it again with a current llama.cpp, or give --tokenizer <folder>"
  return new UserError("bad-file", `${path} has ${got}; wanted ${wanted}: ${next}`)
}
