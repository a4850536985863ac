// Between steps 1 and 4. A range of code points in, the sequences of byte ranges that are its UTF-8 out (RFC 3629,
// section 3): xgrammar's classes are of bytes.

/** The first and the last of neighbouring numbers. */
export type Range = readonly [number, number]

/** The last code points of one, two and three bytes. */
const ends = [0x7f, 0x7ff, 0xffff]

/** Each sequence has one range of bytes for each place; `range` holds no halves of characters. */
export function utf8Sequences([first, last]: Range): Range[][] {
  for (const end of ends)
    if (first <= end && last > end) return [...utf8Sequences([first, end]), ...utf8Sequences([end + 1, last])]
  if (last <= 0x7f) return [[[first, last]]]
  // Cut where the bytes behind the first that differs do not run from the least to the greatest.
  for (let bits = 6; bits <= 18; bits += 6) {
    const mask = (1 << bits) - 1
    if (first >> bits === last >> bits) continue
    if ((first & mask) !== 0)
      return [...utf8Sequences([first, first | mask]), ...utf8Sequences([(first | mask) + 1, last])]
    if ((last & mask) !== mask)
      return [...utf8Sequences([first, (last & ~mask) - 1]), ...utf8Sequences([last & ~mask, last])]
  }
  const [low, high] = [bytesOf(first), bytesOf(last)]
  return [low.map((byte, i) => [byte, high[i]] as const)]
}

function bytesOf(code: number): number[] {
  return [...new TextEncoder().encode(String.fromCodePoint(code))]
}
