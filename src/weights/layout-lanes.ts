// Lane order, which all packed blocks share: where a block of 256 columns keeps column k, and how 16 source bytes
// become 16 + 16 nibbles of it. Geometry: format.ts.

/** Halfwords from one plane or vector of 64 bytes to the next, and from one lane to the next. */
export const vectorHalfwords = 32
export const laneHalfwords = 2

/** Column k's byte within its vector. */
export function laneByte(k: number): number {
  return ((k >> 4) << 2) | (k & 3)
}

/** Column k of a block's row whose two nibble planes begin at `row`: vectors 0 and 1 low, 2 and 3 high. */
export function laneNibble(bytes: Uint8Array, row: number, k: number): number {
  return (bytes[row + ((k & 4) << 4) + laneByte(k)] >> ((k & 8) >> 1)) & 15
}

/**
 * 16 source bytes to both planes: their low nibbles are the lane at `low`, their high nibbles the one at `high`.
 * Source blocks of an odd number of halfwords rule out reading whole words.
 */
export function encodeNibbleLanes(
  source: Uint16Array,
  from: number,
  target: Uint16Array,
  low: number,
  high: number,
): void {
  for (let i = 0; i < 4; i++) {
    const plane = (i >> 1) * vectorHalfwords + (i & 1)
    const near = source[from + i]
    const far = source[from + 4 + i]
    target[low + plane] = (near & 0x0f0f) | ((far & 0x0f0f) << 4)
    target[high + plane] = ((near >>> 4) & 0x0f0f) | (far & 0xf0f0)
  }
}
