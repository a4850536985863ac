// Steps 3 and 7. The byte-level alphabet: vocabularies write each byte as one printable character, the byte
// itself where it prints and a letter from U+0100 on where it does not (as GPT-2's encoder defines it).

const prints = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae

/** The character of each byte. */
export const byteCharacters: readonly string[] = alphabet()

const bytesByCharacter = new Map(byteCharacters.map((character, byte) => [character, byte]))
const utf8 = new TextEncoder()

/** The bytes a vocabulary entry stands for; one that leaves the alphabet stands for its own text. */
export function bytesOfToken(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length)
  for (let i = 0; i < token.length; i++) {
    const byte = bytesByCharacter.get(token[i])
    if (byte === undefined) return utf8.encode(token)
    bytes[i] = byte
  }
  return bytes
}

function alphabet(): string[] {
  let unprinted = 0
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(prints(byte) ? byte : 0x100 + unprinted++),
  )
}
