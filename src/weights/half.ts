// 16-bit floats (IEEE half and bfloat16) to float32 and back. Knows bits; never files or blocks.

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

/** The bits of the half nearest to a float32, ties to even; infinite from 65,520 on. */
export function toHalf(value: number): number {
  floatOf[0] = value
  const sign = (bitsOf[0] >>> 16) & 0x8000
  const magnitude = bitsOf[0] & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x47800000) return sign | 0x7c00
  // Below the normal range, adding 0.5 lines the fraction up with steps of 2^-24 and rounds it.
  if (magnitude < 0x38800000) {
    floatOf[0] = Math.abs(floatOf[0]) + 0.5
    return sign | (bitsOf[0] - 0x3f000000)
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
}

/** The bits of the bfloat16 nearest to a float32, ties to even. */
export function toBfloat(value: number): number {
  floatOf[0] = value
  if (Number.isNaN(value)) return 0x7fc0
  return (bitsOf[0] + 0x7fff + ((bitsOf[0] >>> 16) & 1)) >>> 16
}
