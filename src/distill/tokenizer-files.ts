// Step 6. A trained vocabulary in, the files of a Qwen checkpoint's tokenizer out, which any program that reads those
// can load. Special tokens have Qwen's names and kinds, behind the merged ones as there.

import { splitPattern } from "./bpe.ts"
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
  return {
    "tokenizer.json": written(tokenizerJson(bpe, added)),
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

interface AddedToken {
  readonly id: number
  readonly content: string
  readonly single_word: false
  readonly lstrip: false
  readonly rstrip: false
  readonly normalized: false
  readonly special: boolean
}

function addedTokens(firstId: number): AddedToken[] {
  return [...specialTokens, ...plainTokens].map((content, i) => ({
    id: firstId + i,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: i < specialTokens.length,
  }))
}

function tokenizerJson(bpe: Bpe, added: readonly AddedToken[]) {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false }
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: splitPattern }, behavior: "Isolated", invert: false },
        byteLevel,
      ],
    },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(bpe.tokens.map((token, id) => [token, id])),
      merges: bpe.merges,
    },
  }
}

function tokenizerConfig(added: readonly AddedToken[], { chatTemplate, maxPositions }: TokenizerSettings) {
  return {
    add_bos_token: false,
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(added.map(({ id, ...token }) => [id, token])),
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

function written(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
