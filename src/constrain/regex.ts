// Between steps 1 and 4. A regular expression in JavaScript's syntax in, an expression of the same texts out, as they
// are or as they stand inside a JSON string. What no grammar of this kind can say (look-around, backreferences) is
// refused by name. The syntax is read by regexpp.

import { createRequire } from "node:module"
import type * as library from "@eslint-community/regexpp"
import type { AST } from "@eslint-community/regexpp"
import { UserError, messageOf } from "../util/errors.ts"
import {
  anyCharacter,
  characterClass,
  charactersOf,
  except,
  intersection,
  numCharacters,
  union,
} from "./characters.ts"
import type { Characters } from "./characters.ts"
import type { Grammar } from "./grammar.ts"
import { oneOf, repeated, sequence } from "./grammar.ts"
import { jsonCharacters } from "./strings.ts"

export interface RegexForm {
  /** Where the text stands: as it is, or between the quotes of a JSON string. */
  writing: "plain" | "json"
  /** Whether the whole text must match or, as JSON Schema has it, any part of it. */
  matching: "whole" | "part"
}

/** A class of more characters than these is met by most tokens. */
const wide = 1000
const lineEnds = charactersOf("\n\r\u2028\u2029")
const digits = charactersOf("0123456789")
const words = union([...digits, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]])
const spaces = charactersOf(
  "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff",
)
const classes = { digit: digits, word: words, space: spaces }

/** `where` names the pattern in what is said about it. */
export function regexExpression(pattern: string, grammar: Grammar, form: RegexForm, where: string): string {
  const writer = new RegexWriter(grammar, form, where)
  return writer.alternatives(parsed(pattern, where).alternatives, form.matching)
}

let loaded: library.RegExpParser | undefined

/** The library is loaded for the first pattern, since most programs have none. */
function regexParser(): library.RegExpParser {
  const load = createRequire(import.meta.url)
  return (loaded ??= new (load("@eslint-community/regexpp") as typeof library).RegExpParser()) // the same package
}

function parsed(pattern: string, where: string): AST.Pattern {
  const parser = regexParser()
  try {
    return parser.parsePattern(pattern, 0, pattern.length, { unicode: true })
  } catch {
    // Older patterns escape more than Unicode mode allows.
  }
  try {
    return parser.parsePattern(pattern, 0, pattern.length, { unicode: false })
  } catch (error) {
    throw new UserError("bad-request", `${where}: ${messageOf(error)}`)
  }
}

/** How many characters the texts of a pattern have, at least and at most. */
export function lengthsOf(pattern: string, matching: RegexForm["matching"], where: string): [number, number] {
  const lengths = parsed(pattern, where).alternatives.map(({ elements }): [number, number] => {
    const [least, most] = sumOf(elements)
    const isOpen =
      matching === "part" && !(isAnchor(elements[0], "start") && isAnchor(elements.at(-1), "end"))
    return [least, isOpen ? Infinity : most]
  })
  return spanOf(lengths)
}

function sumOf(elements: readonly AST.Element[]): [number, number] {
  const lengths = elements.map(lengthsOfElement)
  return [lengths.reduce((sum, [least]) => sum + least, 0), lengths.reduce((sum, [, most]) => sum + most, 0)]
}

function lengthsOfElement(element: AST.Element): [number, number] {
  switch (element.type) {
    case "Group":
    case "CapturingGroup":
      return spanOf(element.alternatives.map(({ elements }) => sumOf(elements)))
    case "Quantifier": {
      const [least, most] = lengthsOfElement(element.element)
      return [least * element.min, most === 0 ? 0 : most * element.max]
    }
    case "Assertion":
      return [0, 0]
    default:
      return [1, 1]
  }
}

function spanOf(lengths: readonly (readonly [number, number])[]): [number, number] {
  return [Math.min(...lengths.map(([least]) => least)), Math.max(...lengths.map(([, most]) => most))]
}

class RegexWriter {
  readonly #grammar: Grammar
  readonly #form: RegexForm
  readonly #where: string
  /** How often the part in hand may stand in a row. */
  #times = 1

  constructor(grammar: Grammar, form: RegexForm, where: string) {
    this.#grammar = grammar
    this.#form = form
    this.#where = where
  }

  /** Anchors count at the very ends of the alternatives of the whole pattern only. */
  alternatives(alternatives: readonly AST.Alternative[], matching: "whole" | "part"): string {
    return oneOf(
      alternatives.map(({ elements }) => {
        const starts = isAnchor(elements[0], "start")
        const ends = isAnchor(elements.at(-1), "end")
        const inner = elements.slice(starts ? 1 : 0, ends ? elements.length - 1 : undefined)
        const open = matching === "part" ? this.#grammar.rule(`${this.#characters(anyCharacter)}*`) : ""
        const body = inner.map((element) => this.#element(element))
        return sequence(starts ? "" : open, ...body, ends ? "" : open)
      }),
    )
  }

  #element(element: AST.Element): string {
    switch (element.type) {
      case "Group":
        if (element.modifiers) this.#refuse(element.raw)
        return this.#group(element.alternatives)
      case "CapturingGroup":
        return this.#group(element.alternatives)
      case "Character":
        return this.#characters([[element.value, element.value]])
      case "CharacterSet":
      case "CharacterClass":
        return this.#characters(charactersIn(element) ?? this.#refuse(element.raw))
      case "Quantifier":
        return this.#quantified(element)
      case "Assertion":
      case "Backreference":
      case "ExpressionCharacterClass":
        return this.#refuse(element.raw)
      default:
        return element satisfies never
    }
  }

  #group(alternatives: readonly AST.Alternative[]): string {
    return oneOf(
      alternatives.map(({ elements }) => sequence(...elements.map((element) => this.#element(element)))),
    )
  }

  #quantified({ element, min, max }: AST.Quantifier): string {
    const before = this.#times
    this.#times *= Math.max(1, max === Infinity ? min : max)
    const expression = this.#element(element)
    this.#times = before
    return repeated(`(${expression})`, [min, max])
  }

  #characters(characters: Characters): string {
    const written = this.#form.writing === "json" ? jsonCharacters(characters) : plainCharacters(characters)
    if (written === undefined) return this.#refuse("a class of no characters")
    if (this.#times > 1 && numCharacters(characters) > wide) this.#grammar.countWide(this.#times, this.#where)
    return written
  }

  #refuse(what: string): never {
    throw new UserError(
      "bad-request",
      `${this.#where}: ${what} cannot be kept to while text is written: leave it out of the pattern`,
    )
  }
}

function isAnchor(element: AST.Element | undefined, kind: "start" | "end"): boolean {
  return element?.type === "Assertion" && element.kind === kind
}

function plainCharacters(characters: Characters): string | undefined {
  const known = intersection(characters, anyCharacter)
  return known.length === 0 ? undefined : characterClass(known)
}

type ClassElement = AST.CharacterClass["elements"][number]

/** Nothing where the set has forms that only the newest syntax knows. */
function charactersIn(element: AST.Element | ClassElement): Characters | undefined {
  switch (element.type) {
    case "Character":
      return [[element.value, element.value]]
    case "CharacterClassRange":
      return [[element.min.value, element.max.value]]
    case "CharacterSet":
      if (element.kind === "any") return except(lineEnds)
      if (element.kind === "property") return element.strings ? undefined : charactersMatching(element.raw)
      return element.negate ? except(classes[element.kind]) : classes[element.kind]
    case "CharacterClass": {
      const parts = element.elements.map(charactersIn)
      if (parts.some((part) => part === undefined)) return undefined
      const all = union(parts.flatMap((part) => part ?? []))
      return element.negate ? except(all) : all
    }
    default:
      return undefined
  }
}

const properties = new Map<string, Characters>()

/** Of a class such as `\p{L}`, which JavaScript knows best itself. */
function charactersMatching(raw: string): Characters {
  const known = properties.get(raw)
  if (known) return known
  const pattern = new RegExp(raw, "u")
  const found: [number, number][] = []
  for (const [first, last] of anyCharacter)
    for (let code = first; code <= last; code++) {
      if (!pattern.test(String.fromCodePoint(code))) continue
      const previous = found.at(-1)
      if (previous?.[1] === code - 1) previous[1] = code
      else found.push([code, code])
    }
  properties.set(raw, found)
  return found
}
