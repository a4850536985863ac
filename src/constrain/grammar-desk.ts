// Between steps 1 and 4. The grammars' side of their thread: orders in, masks out as reports. Compiled grammars are
// kept, for the requests of one program mostly ask for the same forms. Knows ids and messages, never threads.

import { UserError, assert, messageOf } from "../util/errors.ts"
import type { ErrorCode } from "../util/errors.ts"
import type { CompiledGrammar, GrammarEngine, OwnedConstraint, Vocabulary } from "./xgrammar.ts"

/**
 * The vocabulary comes in slices before it is loaded, which constraints wait for. Each of them has a number; what it
 * accepted since its last mask comes with the order for the next one.
 */
export type GrammarOrder =
  | { type: "tokens"; tokens: readonly string[] }
  | { type: "load"; stopIds: ReadonlySet<number> }
  | { type: "begin"; id: number; grammar: string }
  | { type: "mask"; id: number; accepted: readonly number[] }
  | { type: "free"; id: number }

export type GrammarReport =
  | { type: "mask"; id: number; mask: Int32Array }
  | { type: "failure"; id: number; message: string; code?: ErrorCode }

const maxCompiled = 32

export class GrammarDesk {
  readonly #report: (report: GrammarReport) => void
  readonly #onBroken: () => void
  readonly #tokens: string[] = []
  readonly #engine: Promise<GrammarEngine>
  #load: (stopIds: ReadonlySet<number>) => void = () => undefined
  /** By grammar, those used lately last. */
  readonly #compiled = new Map<string, Promise<CompiledGrammar>>()
  readonly #constraints = new Map<number, Promise<OwnedConstraint>>()

  /** `onBroken`: the module behind it failed, and nothing that it says from now on can be trusted. */
  constructor(report: (report: GrammarReport) => void, onBroken: () => void) {
    this.#report = report
    this.#onBroken = onBroken
    this.#engine = new Promise((resolve) => {
      this.#load = (stopIds) => resolve(loadEngine({ tokens: this.#tokens, stopIds }))
    })
    this.#engine.catch(() => undefined) // told to who asks for a mask
  }

  take(order: GrammarOrder): void {
    switch (order.type) {
      case "tokens":
        return void this.#tokens.push(...order.tokens)
      case "load":
        return this.#load(order.stopIds)
      case "begin": {
        const constraint = this.#compile(order.grammar).then((compiled) => compiled.begin())
        constraint.catch(() => undefined) // the same
        this.#constraints.set(order.id, constraint)
        return
      }
      case "mask":
        return void this.#mask(order.id, order.accepted)
      case "free":
        this.#constraints
          .get(order.id)
          ?.then((constraint) => constraint.free())
          .catch(() => undefined) // it never was one
        this.#constraints.delete(order.id)
        return
      default:
        order satisfies never
    }
  }

  async #mask(id: number, accepted: readonly number[]): Promise<void> {
    try {
      const constraint = await this.#constraints.get(id)
      assert(constraint, `a mask was asked for of constraint ${id}, which there is not`)
      for (const one of accepted) constraint.accept(one)
      this.#report({ type: "mask", id, mask: await constraint.mask() })
    } catch (error) {
      const code = error instanceof UserError ? error.code : undefined
      this.#report({ type: "failure", id, message: messageOf(error), code })
      if (code === undefined) this.#onBroken()
    }
  }

  #compile(grammar: string): Promise<CompiledGrammar> {
    const compiled = this.#compiled.get(grammar) ?? this.#compiledAnew(grammar)
    this.#compiled.delete(grammar)
    this.#compiled.set(grammar, compiled)
    for (const [oldest, unused] of this.#compiled) {
      if (this.#compiled.size <= maxCompiled) break
      this.#compiled.delete(oldest)
      unused.then((one) => one.free()).catch(() => undefined) // it never was one
    }
    return compiled
  }

  async #compiledAnew(grammar: string): Promise<CompiledGrammar> {
    return (await this.#engine).compile(grammar)
  }
}

async function loadEngine(vocabulary: Vocabulary): Promise<GrammarEngine> {
  const { GrammarEngine: engine } = await import("./xgrammar.ts")
  return engine.load(vocabulary)
}
