// Words, which all packed blocks share: four columns of one row, four bytes. Word i of all sixteen rows is one vector
// of 64 bytes; nibble plane p holds word 2p low and word 2p + 1 high. Geometry: format.ts.

/** Words and bytes from one vector or nibble plane to the next; a row is one word of it. */
export const vectorWords = 16
export const vectorBytes = 64

/**
 * Two neighbouring words of source nibbles: their low nibbles are one pair of words of the row, at `low` of its
 * planes; their high nibbles another, at `high`.
 */
export function encodeNibblePair(
  even: number,
  odd: number,
  target: Uint32Array,
  low: number,
  high: number,
): void {
  target[low] = (even & 0x0f0f0f0f) | ((odd & 0x0f0f0f0f) << 4)
  target[high] = ((even >>> 4) & 0x0f0f0f0f) | (odd & 0xf0f0f0f0)
}

/** Eight nibbles of a row, in the order of their columns, from the row's word at `at` of a plane. */
export function decodeNibblePair(bytes: Uint8Array, at: number, nibbles: Uint8Array, to: number): void {
  for (let b = 0; b < 4; b++) {
    nibbles[to + b] = bytes[at + b] & 15
    nibbles[to + 4 + b] = bytes[at + b] >> 4
  }
}
