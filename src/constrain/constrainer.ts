// Between steps 1 and 4. One tokenizer's constraints: grammars in, constraints over its ids out. Compiled grammars
// are kept, for the requests of one program mostly ask for the same forms.

import type { TagIds } from "../chat/tags.ts"
import { byteCharacters } from "../tokenizer/bytes.ts"
import type { Tokenizer } from "../tokenizer/tokenizer.ts"
import type { Constraint } from "../engine/constraint.ts"
import { assert } from "../util/errors.ts"
import { tagBytes } from "./characters.ts"
import type { CompiledGrammar, GrammarEngine, OwnedConstraint, Vocabulary } from "./xgrammar.ts"

const maxCompiled = 32

export interface ConstrainerOptions {
  tokenizer: Tokenizer
  tags: TagIds
  stopIds: ReadonlySet<number>
}

export class Constrainer {
  readonly #options: ConstrainerOptions
  #engine: Promise<GrammarEngine> | undefined
  /** By grammar, those used lately last. */
  readonly #compiled = new Map<string, Promise<CompiledGrammar>>()

  constructor(options: ConstrainerOptions) {
    this.#options = options
  }

  /** At the beginning of the grammar, which is compiled while the model reads its prompt. */
  begin(grammar: string): PendingConstraint {
    const known = this.#compiled.get(grammar)
    const compiled = known ?? this.#compile(grammar)
    this.#compiled.delete(grammar)
    this.#compiled.set(grammar, compiled)
    const constraint = new PendingConstraint(compiled.then((one) => one.begin()))
    for (const [oldest, unused] of this.#compiled) {
      if (this.#compiled.size <= maxCompiled) break
      this.#compiled.delete(oldest)
      unused.then((one) => one.free()).catch(() => undefined)
    }
    return constraint
  }

  async #compile(grammar: string): Promise<CompiledGrammar> {
    try {
      this.#engine ??= this.#load()
      return await (await this.#engine).compile(grammar)
    } catch (error) {
      this.#compiled.delete(grammar)
      throw error
    }
  }

  async #load(): Promise<GrammarEngine> {
    const { GrammarEngine: engine } = await import("./xgrammar.ts")
    return engine.load(vocabularyOf(this.#options))
  }
}

/** A constraint that may still be on its way; nothing is accepted before its first mask has come. */
export class PendingConstraint implements Constraint {
  readonly #constraint: Promise<OwnedConstraint>
  #ready: OwnedConstraint | undefined

  constructor(constraint: Promise<OwnedConstraint>) {
    this.#constraint = constraint
    // A failure is told to who asks for a mask.
    constraint.catch(() => undefined)
  }

  async mask(): Promise<Int32Array> {
    this.#ready ??= await this.#constraint
    return this.#ready.mask()
  }

  accept(id: number): void {
    assert(this.#ready, "an id was accepted before a mask was made")
    this.#ready.accept(id)
  }

  free(): void {
    this.#constraint.then((constraint) => constraint.free()).catch(() => undefined)
  }
}

/** Special tokens and tags stand for no text, nor do the bytes that stand for those of tool calls. */
export function vocabularyOf({ tokenizer, tags, stopIds }: ConstrainerOptions): Vocabulary {
  const isTagByte = (byte: number) => byte === tagBytes.toolCall || byte === tagBytes.endToolCall
  const tokens = Array.from({ length: tokenizer.size }, (_, id) => {
    if (id === tags.toolCall) return byteCharacters[tagBytes.toolCall]
    if (id === tags.endToolCall) return byteCharacters[tagBytes.endToolCall]
    const bytes = tokenizer.bytesOf(id)
    const isText =
      !tokenizer.isSpecial(id) && id !== tags.think && id !== tags.endThink && !bytes.some(isTagByte)
    return isText ? Array.from(bytes, (byte) => byteCharacters[byte]).join("") : ""
  })
  return { tokens, stopIds }
}
