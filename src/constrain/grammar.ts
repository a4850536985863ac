// Between steps 1 and 4. Rules in, a grammar as xgrammar reads it out (its EBNF). Expressions are texts; those that
// are needed in several places become rules, so that a grammar stays as small as what it was made from.

import { UserError } from "../util/errors.ts"

/** Each state before a wide class costs about 50 ms when the grammar is compiled. */
const maxWideStates = 64
const maxLength = 1_000_000
const maxRepeat = 2000

export class Grammar {
  readonly #rules = new Map<string, string>()
  readonly #names = new Map<string, string>()
  #length = 0
  #numWideStates = 0

  /** The name of a rule with this expression; equal expressions share one. */
  rule(expression: string): string {
    const known = this.#names.get(expression)
    if (known !== undefined) return known
    const name = this.reserve()
    this.#names.set(expression, name)
    this.define(name, expression)
    return name
  }

  /** A name for what may need itself in its own expression. */
  reserve(): string {
    const name = `r${this.#rules.size}`
    this.#rules.set(name, "")
    return name
  }

  has(name: string): boolean {
    return this.#rules.has(name)
  }

  define(name: string, expression: string): void {
    this.#rules.set(name, expression)
    this.#length += expression.length
    if (this.#length > maxLength)
      throw new UserError("bad-request", "the form asked for is too large: ask for a simpler one")
  }

  /** Takes note of states before a wide class. */
  countWide(count: number, where: string): void {
    this.#numWideStates += count
    if (this.#numWideStates <= maxWideStates) return
    const most = `at most ${maxWideStates} characters can be counted in a form`
    throw new UserError("bad-request", `${where}: ${most}: ask for shorter texts or leave the limit out`)
  }

  /** The whole grammar, which begins with this expression. */
  text(root: string): string {
    const rules = [...this.#rules].map(([name, expression]) => `${name} ::= ${expression}\n`)
    return `${rules.join("")}root ::= ${root}\n`
  }
}

/** One expression after the other; the empty one where there is none. */
export function sequence(...parts: readonly string[]): string {
  const all = parts.filter((part) => part !== "" && part !== '""')
  return all.length === 0 ? '""' : all.join(" ")
}

/** One of the expressions. */
export function oneOf(alternatives: readonly string[]): string {
  const distinct = [...new Set(alternatives)]
  return distinct.length === 1 ? distinct[0] : `(${distinct.join(" | ")})`
}

export function optional(expression: string): string {
  return `(${expression})?`
}

export function repeated(expression: string, [min, max]: readonly [number, number]): string {
  if (min > maxRepeat || (max !== Infinity && max > maxRepeat))
    throw new UserError("bad-request", `more than ${maxRepeat} repetitions cannot be counted: ask for fewer`)
  if (min === 0 && max === Infinity) return `(${expression})*`
  if (min === 1 && max === Infinity) return `(${expression})+`
  if (min === 1 && max === 1) return expression
  if (max === 0) return '""'
  return `(${expression}){${min}${max === min ? "" : max === Infinity ? "," : `,${max}`}}`
}
