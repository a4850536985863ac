// Seeds from seeds: one number of the recipe becomes as many unrelated ones as there are places that draw.

/** A seed of 31 bits that belongs to these numbers in this order (MurmurHash3's mixing). */
export function seedOf(...numbers: readonly number[]): number {
  let hash = 0x9747b28c
  for (const number of numbers) {
    hash ^= Math.imul(number | 0, 0xcc9e2d51)
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    hash ^= hash >>> 16
  }
  return hash >>> 1
}

/** A seed that belongs to a name. */
export function seedOfText(text: string): number {
  return seedOf(...new TextEncoder().encode(text))
}
