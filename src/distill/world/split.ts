// Step 6. The content of a problem in, the split that it belongs to out. A hash decides, so that a held-out pair of
// numbers, id, key or schema is never trained in any wording, whatever the seed.

import { assert } from "../../util/errors.ts"
import type { Split } from "./problem.ts"
import type { Random } from "./random.ts"

const oneIn = 10

/** The quick start's question: nano answers it without having seen its numbers. */
const alwaysHeldOut = new Set(["heads-and-legs:35,94"])

export function splitOf(content: string): Split {
  return alwaysHeldOut.has(content) || hash(content) % oneIn === 0 ? "held-out" : "train"
}

/** Draws until the content belongs to the split. */
export function drawIn<T>(
  split: Split,
  random: Random,
  draw: (random: Random) => T,
  contentOf: (value: T) => string,
): T {
  for (let attempt = 0; attempt < 10_000; attempt++) {
    const value = draw(random)
    if (splitOf(contentOf(value)) === split) return value
  }
  assert(false, `nothing that can be drawn is ${split}`)
}

/** The members of a fixed list that belong to the split: those with the smallest hashes are held out, one at least. */
export function membersIn(split: Split, kind: string, members: readonly string[]): string[] {
  const hashes = new Map(members.map((member) => [member, hash(`${kind}:${member}`)]))
  const ranked = [...members].sort((a, b) => hashes.get(a)! - hashes.get(b)!) // every member has one
  const heldOut = Math.ceil(members.length / oneIn)
  return split === "held-out" ? ranked.slice(0, heldOut) : ranked.slice(heldOut)
}

/** FNV-1a with a final mix, since the low bits alone decide. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  return (h ^ (h >>> 13)) >>> 0
}
