// Between steps 1 and 4. xgrammar (arXiv 2411.15100), the only file that knows it: the vocabulary and a grammar in,
// masks of the ids that may come next out. It is a WebAssembly module, loaded when it is first needed.

import { createRequire } from "node:module"
import type * as library from "@mlc-ai/web-xgrammar"
import type { Constraint } from "../engine/constraint.ts"
import { UserError, assert, messageOf } from "../util/errors.ts"

type Library = typeof library

export interface Vocabulary {
  /** [ids] In the byte-level alphabet; empty for those that no text may hold. */
  tokens: readonly string[]
  /** What ends a reply, once the grammar is satisfied. */
  stopIds: ReadonlySet<number>
}

/** A constraint that has memory outside of JavaScript's reach. */
export interface OwnedConstraint extends Constraint {
  free(): void
}

export class GrammarEngine {
  readonly #library: Library
  readonly #compiler: library.GrammarCompiler
  readonly #numTokens: number

  private constructor(library: Library, compiler: library.GrammarCompiler, numTokens: number) {
    this.#library = library
    this.#compiler = compiler
    this.#numTokens = numTokens
  }

  static async load({ tokens, stopIds }: Vocabulary): Promise<GrammarEngine> {
    const xgrammar = loadLibrary()
    const info = await xgrammar.TokenizerInfo.createTokenizerInfo(
      [...tokens],
      "byte_level",
      false,
      tokens.length,
      [...stopIds],
    )
    const compiler = await xgrammar.GrammarCompiler.createGrammarCompiler(info, false)
    info.dispose() // the compiler has its own reference
    return new GrammarEngine(xgrammar, compiler, tokens.length)
  }

  async compile(grammar: string): Promise<CompiledGrammar> {
    const compiled = await this.#compiler.compileGrammar(grammar)
    return new CompiledGrammar(this.#library, compiled, this.#numTokens)
  }
}

export class CompiledGrammar {
  readonly #library: Library
  readonly #compiled: library.CompiledGrammar
  readonly #numTokens: number

  constructor(library: Library, compiled: library.CompiledGrammar, numTokens: number) {
    this.#library = library
    this.#compiled = compiled
    this.#numTokens = numTokens
  }

  /** At the beginning of the grammar. It outlives the compiled grammar. */
  async begin(): Promise<OwnedConstraint> {
    const matcher = await this.#library.GrammarMatcher.createGrammarMatcher(this.#compiled)
    return {
      mask: async () => {
        const mask = await matcher.getNextTokenBitmask()
        // Its last word may have bits beyond the vocabulary.
        if (this.#numTokens % 32 !== 0) mask[mask.length - 1] &= (1 << (this.#numTokens % 32)) - 1
        if (mask.some((bits) => bits !== 0)) return mask
        throw new UserError("bad-request", "no token of this model goes on as the form asked for must go on")
      },
      accept: (id) =>
        assert(matcher.acceptToken(id), `the grammar does not take id ${id}, which its mask allowed`),
      free: () => matcher.dispose(),
    }
  }

  free(): void {
    this.#compiled.dispose()
  }
}

/** The library's file with an ending that Node reads as what it is; `npm run build` makes it. */
function loadLibrary(): Library {
  try {
    return createRequire(import.meta.url)("#xgrammar") as Library // the same file under another name
  } catch (error) {
    const message = `xgrammar could not be loaded (${messageOf(error)}): run npm run build`
    throw new UserError("not-found", message, { cause: error })
  }
}
