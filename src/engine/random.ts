// Step 6. A seed in, uniform numbers in [0, 1) out: the same on every platform, as only 32-bit integer
// arithmetic is used (xoshiro128**, Blackman and Vigna 2018). Knows nothing of logits.

export class Random {
  readonly #state: Uint32Array

  /** Four words, not all zero. */
  constructor(state: ArrayLike<number>) {
    this.#state = Uint32Array.from(state)
  }

  /** From any safe integer: the halves of its two's complement, spread by MurmurHash3's finaliser. */
  static seeded(seed: number): Random {
    const halves = [Math.floor(seed / 2 ** 32), seed]
    const state = new Uint32Array(4)
    for (let i = 1; i <= 4; i++) {
      let word = (halves[i % 2] | 0) + Math.imul(i, 0x9e3779b9)
      word = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
      word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
      state[i - 1] = word ^ (word >>> 16)
    }
    return new Random(state)
  }

  /** The next 32 bits. */
  word(): number {
    const s = this.#state
    const scrambled = Math.imul(rotate(Math.imul(s[1], 5), 7), 9) >>> 0
    const shifted = s[1] << 9
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = rotate(s[3], 11)
    return scrambled
  }

  /** Uniform in [0, 1), 53 bits. */
  next(): number {
    const high = this.word() >>> 5
    const low = this.word() >>> 6
    return (high * 2 ** 26 + low) / 2 ** 53
  }
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}
