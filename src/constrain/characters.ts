// Between steps 1 and 4. Sets of characters as sorted ranges of code points, and how a grammar writes them.

import { utf8Sequences } from "./utf8.ts"
import type { Range } from "./utf8.ts"

export type Characters = readonly Range[]

/** Bytes that no UTF-8 has stand for the ids of the tags around tool calls: nothing else can be taken for them. */
export const tagBytes = { toolCall: 0xfe, endToolCall: 0xff } as const

/** Every character that a text can have: half characters are none. */
export const anyCharacter: Characters = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
]

/** All characters but these. */
export function except(excluded: Characters, all: Characters = anyCharacter): Characters {
  const gaps = union(excluded)
  return all.flatMap(([first, last]) => {
    const left: Range[] = []
    let from = first
    for (const [gapFirst, gapLast] of gaps) {
      if (gapLast < from || gapFirst > last) continue
      if (gapFirst > from) left.push([from, gapFirst - 1])
      from = gapLast + 1
    }
    return from <= last ? [...left, [from, last] as const] : left
  })
}

export function intersection(a: Characters, b: Characters): Characters {
  return except(except(b), union(a))
}

/** Sorted and without overlaps. */
export function union(ranges: Characters): Characters {
  const merged: [number, number][] = []
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const previous = merged.at(-1)
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last)
    else merged.push([first, last])
  }
  return merged
}

export function charactersOf(text: string): Characters {
  return union([...text].map((character) => [codeOf(character), codeOf(character)]))
}

export function numCharacters(characters: Characters): number {
  return characters.reduce((sum, [first, last]) => sum + last - first + 1, 0)
}

/** `[a-z]`, or the bytes of characters beyond ASCII. */
export function characterClass(characters: Characters): string {
  return byteBranches(union(characters).flatMap(utf8Sequences))
}

/** One branch for each first byte: among many that begin alike, xgrammar takes one's end for another's. */
function byteBranches(sequences: readonly (readonly Range[])[]): string {
  const ends = sequences.filter((bytes) => bytes.length === 1).map(([range]) => range)
  const behind = new Map<string, Range[][]>()
  for (const [first, ...rest] of sequences) {
    if (rest.length === 0) continue
    const written = byteClass([first])
    const others = behind.get(written)
    if (others) others.push(rest)
    else behind.set(written, [rest])
  }
  const longer = [...behind].map(([first, rest]) => `${first} ${byteBranches(rest)}`)
  const branches = [...(ends.length > 0 ? [byteClass(ends)] : []), ...longer]
  return branches.length === 1 ? branches[0] : `(${branches.join(" | ")})`
}

/** A class of a single byte is written twice: once, xgrammar would take it for the character of that number. */
function byteClass(ranges: readonly Range[]): string {
  const written = ranges.map(([first, last]) => `${escapedByte(first)}-${escapedByte(last)}`).join("")
  return ranges.length === 1 && ranges[0][0] === ranges[0][1] ? `[${written}${written}]` : `[${written}]`
}

function escapedByte(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`
}

/** The id of a tag. */
export function tagExpression(tag: keyof typeof tagBytes): string {
  return byteClass([[tagBytes[tag], tagBytes[tag]]])
}

/** `"text"`; the empty text is written the same. */
export function literal(text: string): string {
  return `"${[...text].map(escaped).join("")}"`
}

function escaped(character: string): string {
  return /[A-Za-z0-9 _]/.test(character) ? character : `\\U${codeOf(character).toString(16).padStart(8, "0")}`
}

function codeOf(character: string): number {
  return character.codePointAt(0)! // never empty: it comes from a text's own characters
}
