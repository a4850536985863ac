// FP8 e4m3fn to float32: 4 exponent bits of bias 7, 3 mantissa bits, no infinities. Knows bits; never files.

function float8Table(): Float32Array {
  const table = new Float32Array(256)
  for (let bits = 0; bits < 0x80; bits++) {
    const exponent = bits >> 3
    const fraction = (bits & 7) / 8
    const finite = exponent === 0 ? fraction * 2 ** -6 : (1 + fraction) * 2 ** (exponent - 7)
    // Only all ones is not a number.
    table[bits] = bits < 0x7f ? finite : NaN
    table[bits | 0x80] = -table[bits]
  }
  return table
}

/** The value of every FP8 e4m3fn, by its 8 bits. */
export const float8Values: Float32Array = float8Table()
