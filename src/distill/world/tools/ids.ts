// Step 6. Ids as shops and offices write them, of one split.

import type { Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { drawIn } from "../split.ts"

const letters = [..."ABCDEFGHKLMNPQRSTUVWXYZ"]

const digits = (random: Random, count: number) =>
  Array.from({ length: count }, (_, i) => random.between(i === 0 ? 1 : 0, 9)).join("")
const letter = (random: Random) => random.pick(letters)

const forms: readonly ((random: Random) => string)[] = [
  (r) => digits(r, r.between(4, 6)),
  (r) => `${letter(r)}${digits(r, r.between(3, 5))}`,
  (r) => `${letter(r)}${letter(r)}-${digits(r, 4)}`,
  (r) => `#${digits(r, 5)}`,
  (r) => `${letter(r)}-${digits(r, 3)}-${digits(r, 2)}`,
]

export interface Id {
  readonly text: string
  readonly content: string
}

export function drawId(random: Random, split: Split): Id {
  const contentOf = (text: string) => `id:${text}`
  const text = drawIn(split, random, (r) => r.pick(forms)(r), contentOf)
  return { text, content: contentOf(text) }
}

export const drawDigits = digits
