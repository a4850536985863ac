// Between steps 1 and 4. Characters and texts as they stand between the quotes of a JSON string. Each character has
// one way of being written, the shortest, so that counting what is written counts the characters.

import { anyCharacter, characterClass, except, intersection, literal } from "./characters.ts"
import type { Characters } from "./characters.ts"
import type { Range } from "./utf8.ts"
import { oneOf } from "./grammar.ts"

/** What cannot stand for itself (RFC 8259, section 7). */
const escapes = new Map<number, string>([
  [0x22, '\\"'],
  [0x5c, "\\\\"],
  [0x08, "\\b"],
  [0x0c, "\\f"],
  [0x0a, "\\n"],
  [0x0d, "\\r"],
  [0x09, "\\t"],
])
const escapedCharacters: Characters = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
]
const unescaped = except(escapedCharacters)

/** One of the characters; nothing where none of them can be written. */
export function jsonCharacters(characters: Characters): string | undefined {
  const plain = intersection(characters, unescaped)
  const has = (code: number) => characters.some(([first, last]: Range) => first <= code && code <= last)
  const escaped = [...escapes].filter(([code]) => has(code)).map(([, text]) => literal(text))
  const all = [...(plain.length > 0 ? [characterClass(plain)] : []), ...escaped]
  return all.length === 0 ? undefined : oneOf(all)
}

/** Any character of a JSON string. */
export const jsonCharacter = `(${characterClass(intersection(anyCharacter, unescaped))} | ${oneOf([...escapes.values()].map(literal))})`

/** The JSON text of a value, as a whole. */
export function jsonLiteral(value: unknown): string {
  return literal(JSON.stringify(value))
}
