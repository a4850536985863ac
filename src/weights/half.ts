// 16-bit floats (IEEE half and bfloat16) to float32. Knows bits; never files or blocks.

function halfTable(): Float32Array {
  const table = new Float32Array(65536)
  for (let bits = 0; bits < 0x8000; bits++) {
    const exponent = bits >> 10
    const fraction = (bits & 0x3ff) / 1024
    const finite = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15)
    const special = fraction === 0 ? Infinity : NaN
    table[bits] = exponent < 31 ? finite : special
    table[bits | 0x8000] = -table[bits]
  }
  return table
}

/** The value of every IEEE half, by its 16 bits. */
export const halves: Float32Array = halfTable()

/** The little-endian half at byte `at`. */
export function halfAt(bytes: Uint8Array, at: number): number {
  return halves[bytes[at] | (bytes[at + 1] << 8)]
}

const floatOf = new Float32Array(1)
const bitsOf = new Uint32Array(floatOf.buffer)

/** The value of a bfloat16, the upper half of a float32. */
export function fromBfloat(bits: number): number {
  bitsOf[0] = bits << 16
  return floatOf[0]
}
