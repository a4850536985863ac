// Texts of a grammar for tests: a walk through its masks over a small vocabulary, that chooses among what may come
// next by chance and, once it is long, whatever ends it soonest.

import { GrammarEngine } from "../src/constrain/xgrammar.ts"
import { tagBytes } from "../src/constrain/characters.ts"
import { byteCharacters } from "../src/tokenizer/bytes.ts"

/** Pieces as a tokenizer has them: some end within JSON's structure, some within a character. */
const pieces = [
  '{"',
  '": ',
  '":',
  '", "',
  '"}',
  '"]',
  "}}",
  ", ",
  "[{",
  "\n  ",
  "true",
  "null",
  "ab",
  "10",
  "é",
  "日本",
  "\\n",
]
const stopId = 256
const utf8 = new TextEncoder()

/** Bytes, of which two are those of tags, the stop id, pieces; and the first bytes of characters together with what comes before them. */
const tokens: Uint8Array[] = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  new Uint8Array(),
  ...pieces.map((text) => utf8.encode(text)),
  Uint8Array.of(0x61, 0xe6),
  Uint8Array.of(0x97, 0xa5, 0x22),
]
const letters = (bytes: Uint8Array) => Array.from(bytes, (byte) => byteCharacters[byte]).join("")

let engine: Promise<GrammarEngine> | undefined
export function smallEngine(): Promise<GrammarEngine> {
  engine ??= GrammarEngine.load({ tokens: tokens.map(letters), stopIds: new Set([stopId]) })
  return engine
}

const tagTexts = new Map([
  [tagBytes.toolCall as number, utf8.encode("<tool_call>")],
  [tagBytes.endToolCall as number, utf8.encode("</tool_call>")],
])

/** Ends of values and of texts: what a long walk prefers. */
const closing = [...['"', "}", "]", "<", "\n"].map((text) => text.charCodeAt(0)), tagBytes.endToolCall]

/**
 * A text of the grammar, or nothing where the walk did not end in time; tags in it stand as their text. Bytes that are
 * no UTF-8 throw.
 */
export async function walk(grammar: string, random: () => number, most = 4000): Promise<string | undefined> {
  const compiled = await (await smallEngine()).compile(grammar)
  const constraint = await compiled.begin()
  const bytes: number[] = []
  try {
    for (let step = 0; step < most; step++) {
      const mask = await constraint.mask()
      const allowed = tokens.flatMap((_, id) => ((mask[id >> 5] >>> (id & 31)) & 1 ? [id] : []))
      const id = chosen(allowed, random, step)
      if (id === stopId)
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
      bytes.push(...(tagTexts.get(id) ?? tokens[id]))
      constraint.accept(id)
    }
    return undefined
  } finally {
    constraint.free()
    compiled.free()
  }
}

function chosen(allowed: readonly number[], random: () => number, step: number): number {
  const pick = (ids: readonly number[]) => ids[Math.floor(random() * ids.length)]
  if (allowed.includes(stopId) && (step > 60 || random() < 0.5)) return stopId
  const ends = allowed.filter((id) => closing.includes(id))
  return ends.length > 0 && (step > 60 ? random() < 0.9 : random() < 0.3) ? pick(ends) : pick(allowed)
}

/** Whether the grammar has the text, byte by byte. */
export async function accepts(grammar: string, text: string): Promise<boolean> {
  const compiled = await (await smallEngine()).compile(grammar)
  const constraint = await compiled.begin()
  try {
    for (const id of [...utf8.encode(text), stopId]) {
      const mask = await constraint.mask()
      if (!((mask[id >> 5] >>> (id & 31)) & 1)) return false
      if (id !== stopId) constraint.accept(id)
    }
    return true
  } finally {
    constraint.free()
    compiled.free()
  }
}
