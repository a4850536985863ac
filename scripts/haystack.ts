// Texts for the constructed retriever (retriever.ts): words at random with `key value` among them, and the questions that
// `a3b eval kv --prompts` reads.

import { byteCharacters } from "../src/tokenizer/bytes.ts"
import { writeText } from "../src/weights/disk.ts"

/** The first ids, one for each byte, are keys that needles may have; all later ones are words. */
export const numKeys = byteCharacters.length

/** A haystack's question: its key, its value, and where both are, if only for this question. */
export interface Needle {
  readonly key: number
  readonly value: number
  readonly depth: number
  readonly at: number
}

/** A haystack of `length` words with `key value` at even depths, one pair for each of the first `needles` keys. */
export function haystack(length: number, needles: number, words: number, seed = 1) {
  const random = generator(seed)
  const word = () => numKeys + Math.floor(random() * words)
  const ids = Int32Array.from({ length }, word)
  const values = Array.from({ length: needles }, (_, key) => {
    const at = Math.floor(((key + 0.5) * (length - 1)) / needles)
    ids[at] = key
    return ids[at + 1]
  })
  return { ids, values }
}

/** A haystack of words alone, and one needle at each of so many even depths, which take turns in it. */
export function singleNeedles(length: number, depths: number, words: number, seed = 2) {
  const { ids } = haystack(length, 0, words, seed)
  const random = generator(seed + 1)
  const needles = Array.from({ length: depths }, (_, i): Needle => {
    const depth = (i + 0.5) / depths
    const at = Math.floor(depth * (length - 1))
    return { key: i % numKeys, value: numKeys + Math.floor(random() * words), depth, at }
  })
  return { ids, needles }
}

/** Haystacks as lines for `a3b eval kv --prompts`. */
export function writeNeedles(
  file: string,
  lengths: readonly number[],
  { needles, depths, words }: { needles: number; depths: number; words: number },
): void {
  const lines = lengths.flatMap((length) => {
    const { ids, values } = haystack(length, needles, words)
    const many = values.map((value, key) => ({ ids: [key], answer: [value], depth: (key + 0.5) / needles }))
    const single = singleNeedles(length, depths, words)
    const one = single.needles.map(({ key, value, depth, at }) => ({
      ...{ ids: [key], answer: [value], depth },
      put: { at, ids: [key, value] },
    }))
    return [
      { kind: `${needles} needles`, ids: [...ids], questions: many },
      ...(depths > 0 ? [{ kind: "single needle", ids: [...single.ids], questions: one }] : []),
    ]
  })
  writeText(file, lines.map((line) => JSON.stringify(line)).join("\n") + "\n")
}

/** Uniform in [0, 1): a linear congruence, of which the upper bits are taken (Knuth's MMIX constants). */
export function generator(seed: number): () => number {
  let state = BigInt(seed)
  return () => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
    return Number(state >> 32n) / 2 ** 32
  }
}
