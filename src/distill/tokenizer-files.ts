// Step 6. A trained vocabulary in, the files of a Qwen checkpoint's tokenizer out, which any program that reads those
// can load. Special tokens have Qwen's names and kinds, behind the merged ones as there.

import { addedTokenEntry, tokenizerJson } from "../weights/tokenizer-json.ts"
import type { AddedToken } from "../weights/tokenizer-json.ts"
import type { Bpe } from "./bpe.ts"

/** Left out of decoded text on request. */
export const specialTokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
/** Found as written in the text, but part of what is said. */
export const plainTokens = [
  "<think>",
  "</think>",
  "<tool_call>",
  "</tool_call>",
  "<tool_response>",
  "</tool_response>",
]

export interface TokenizerFiles {
  readonly "tokenizer.json": string
  readonly "tokenizer_config.json": string
  readonly "generation_config.json": string
}

export interface TokenizerSettings {
  readonly chatTemplate: string
  readonly maxPositions: number
  /** How it was trained to be sampled. */
  readonly temperature: number
  readonly topP: number
  readonly topK: number
}

export function writeTokenizer(bpe: Bpe, settings: TokenizerSettings): TokenizerFiles {
  const added = addedTokens(bpe.tokens.length)
  const idOf = (content: string) => added.find((token) => token.content === content)?.id
  const vocab = bpe.tokens.map((token, id) => [token, id] as const)
  return {
    "tokenizer.json": written(tokenizerJson(vocab, bpe.merges, added)),
    "tokenizer_config.json": written(tokenizerConfig(added, settings)),
    "generation_config.json": written({
      do_sample: true,
      eos_token_id: [idOf("<|im_end|>"), idOf("<|endoftext|>")],
      pad_token_id: idOf("<|endoftext|>"),
      temperature: settings.temperature,
      top_k: settings.topK,
      top_p: settings.topP,
    }),
  }
}

function addedTokens(firstId: number): AddedToken[] {
  return [...specialTokens, ...plainTokens].map((content, i) => ({
    id: firstId + i,
    content,
    special: i < specialTokens.length,
  }))
}

function tokenizerConfig(added: readonly AddedToken[], { chatTemplate, maxPositions }: TokenizerSettings) {
  return {
    add_bos_token: false,
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(added.map((token) => [token.id, addedTokenEntry(token)])),
    additional_special_tokens: specialTokens.slice(1),
    bos_token: null,
    chat_template: chatTemplate,
    clean_up_tokenization_spaces: false,
    eos_token: "<|im_end|>",
    errors: "replace",
    model_max_length: maxPositions,
    pad_token: "<|endoftext|>",
    split_special_tokens: false,
    tokenizer_class: "Qwen2Tokenizer",
    unk_token: null,
  }
}

function written(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
