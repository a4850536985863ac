// Lane order, which all packed blocks share: sixteen lanes of sixteen columns, in four vectors. How 16 source bytes
// become nibbles of two lanes, and how one lane's nibbles are read. Geometry: format.ts.

/** Words and bytes from one nibble plane or vector to the next; a lane is one word of it. */
export const vectorWords = 16
export const vectorBytes = 64

/**
 * 16 source bytes to both planes: their low nibbles are the lane at word `low`, their high nibbles the one at
 * `high`. Word j of the source belongs to vector j; plane p has vector p low and vector p + 2 high.
 */
export function encodeNibbleLanes(
  source: DataView,
  from: number,
  target: Uint32Array,
  low: number,
  high: number,
): void {
  const word0 = source.getUint32(from, true)
  const word1 = source.getUint32(from + 4, true)
  const word2 = source.getUint32(from + 8, true)
  const word3 = source.getUint32(from + 12, true)
  target[low] = (word0 & 0x0f0f0f0f) | ((word2 & 0x0f0f0f0f) << 4)
  target[low + vectorWords] = (word1 & 0x0f0f0f0f) | ((word3 & 0x0f0f0f0f) << 4)
  target[high] = ((word0 >>> 4) & 0x0f0f0f0f) | (word2 & 0xf0f0f0f0)
  target[high + vectorWords] = ((word1 >>> 4) & 0x0f0f0f0f) | (word3 & 0xf0f0f0f0)
}

/** The nibbles of the lane at byte `lane`, in the order of their columns. */
export function decodeNibbleLane(bytes: Uint8Array, lane: number, nibbles: Uint8Array): void {
  for (let b = 0; b < 4; b++) {
    const first = bytes[lane + b]
    const second = bytes[lane + vectorBytes + b]
    nibbles[b] = first & 15
    nibbles[4 + b] = second & 15
    nibbles[8 + b] = first >> 4
    nibbles[12 + b] = second >> 4
  }
}
