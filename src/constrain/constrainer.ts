// Between steps 1 and 4. One tokenizer's constraints: grammars in, constraints over its ids out.

import type { TagIds } from "../chat/tags.ts"
import { byteCharacters } from "../tokenizer/bytes.ts"
import type { Tokenizer } from "../tokenizer/tokenizer.ts"
import { tagBytes } from "./characters.ts"
import { GrammarThread } from "./grammar-thread.ts"
import type { OwnedConstraint } from "./xgrammar.ts"

export interface ConstrainerOptions {
  tokenizer: Tokenizer
  tags: TagIds
  stopIds: ReadonlySet<number>
}

export class Constrainer {
  readonly #thread: GrammarThread

  constructor(options: ConstrainerOptions) {
    this.#thread = new GrammarThread(options.stopIds, () => vocabularyOf(options))
  }

  /** At the beginning of the grammar, which is compiled while the model reads its prompt. */
  begin(grammar: string): OwnedConstraint {
    return this.#thread.begin(grammar)
  }

  free(): void {
    this.#thread.free()
  }
}

/** Tokens of one slice: some milliseconds' work. */
const sliceTokens = 2048

/**
 * In slices, so that the event loop has its turns. Special tokens and tags stand for no text, nor do the bytes that stand
 * for those of tool calls.
 */
export function* vocabularyOf({ tokenizer, tags }: ConstrainerOptions): Generator<string[]> {
  const isTagByte = (byte: number) => byte === tagBytes.toolCall || byte === tagBytes.endToolCall
  const textOf = (id: number) => {
    if (id === tags.toolCall) return byteCharacters[tagBytes.toolCall]
    if (id === tags.endToolCall) return byteCharacters[tagBytes.endToolCall]
    const bytes = tokenizer.bytesOf(id)
    const isText =
      !tokenizer.isSpecial(id) && id !== tags.think && id !== tags.endThink && !bytes.some(isTagByte)
    return isText ? Array.from(bytes, (byte) => byteCharacters[byte]).join("") : ""
  }
  for (let first = 0; first < tokenizer.size; first += sliceTokens) {
    const length = Math.min(sliceTokens, tokenizer.size - first)
    yield Array.from({ length }, (_, i) => textOf(first + i))
  }
}
