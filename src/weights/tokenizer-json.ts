// A byte-level BPE vocabulary in, Qwen's tokenizer.json out. Knows the file's form; never where a vocabulary is from.

import type { Json } from "../types.ts"

/** Qwen2's and Qwen3's: words, single digits, punctuation, line ends, spaces. */
export const splitPattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" +
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/** A token beside the BPE's own. */
export interface AddedToken {
  id: number
  content: string
  /** Left out of decoded text on request. */
  special: boolean
}

/** `vocab` is text to id of the BPE's own tokens; merges are in order of rank. */
export function tokenizerJson(
  vocab: Iterable<readonly [string, number]>,
  merges: readonly (readonly [string, string])[],
  added: readonly AddedToken[],
): Json {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false }
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added.map((token) => ({ id: token.id, ...addedTokenEntry(token) })),
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
      vocab: Object.fromEntries(vocab),
      merges: merges.map((pair) => [...pair]),
    },
  }
}

/** What both files say of an added token. */
export function addedTokenEntry({ content, special }: AddedToken) {
  return { content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }
}
