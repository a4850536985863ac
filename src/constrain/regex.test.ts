import fc from "fast-check"
import { expect, test } from "vitest"
import { accepts, smallEngine, walk } from "../../test/grammar-walk.ts"
import { seeded } from "../../test/random.ts"
import { Grammar } from "./grammar.ts"
import { regexExpression } from "./regex.ts"
import type { RegexForm } from "./regex.ts"

function grammarOf(pattern: string, form: RegexForm = { writing: "plain", matching: "whole" }): string {
  const grammar = new Grammar()
  return grammar.text(regexExpression(pattern, grammar, form, "pattern"))
}

const atom = fc.constantFrom(
  "a",
  "é",
  "日",
  "\\.",
  "\\d",
  "\\w",
  "\\s",
  ".",
  "[a-f]",
  "[^a]",
  "[^\\d日]",
  "[à-ÿ]",
  "[一-鿿x]",
  "\\p{L}",
  "\\u{1F600}",
)
const pattern = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 3, depthIdentifier: "pattern" },
    atom,
    fc.tuple(atom, tie("pattern")).map((parts) => parts.join("")),
    fc.tuple(tie("pattern"), tie("pattern")).map((parts) => `(?:${parts.join("|")})`),
    fc
      .tuple(tie("pattern"), fc.constantFrom("?", "*", "+", "{2}", "{1,3}", "{2,}"))
      .map(([one, times]) => `(${one})${times}`),
  ),
})).pattern

test("every text of a pattern's grammar matches the pattern, as it is and in a JSON string", async () => {
  let numEnded = 0
  const property = fc.asyncProperty(
    pattern,
    fc.integer(),
    fc.constantFrom("plain", "json"),
    async (one, seed, writing) => {
      const written = await walk(grammarOf(one, { writing, matching: "whole" }), seeded(seed), 300)
      if (written === undefined) return
      numEnded++
      const text = writing === "json" ? String(JSON.parse(`"${written}"`)) : written
      expect(text).toMatch(new RegExp(`^(?:${one})$`, "u"))
    },
  )
  await fc.assert(property, { numRuns: 100, seed: 1 })
  expect(numEnded).toBeGreaterThan(50)
})

test.each([
  ["[一-鿿]{2}", ["日本", "一鿿"], ["日", "日a", "Ａ日"]],
  ["^a|b$", ["a", "b"], ["ab", ""]],
  ["(?:19|20)\\d\\d", ["1999", "2026"], ["1899", "199"]],
  ["[^a]", ["é", "😀", "\n"], ["a", ""]],
])("%s takes what it should and nothing else", async (one, valid, invalid) => {
  for (const text of valid) expect([text, await accepts(grammarOf(one), text)]).toEqual([text, true])
  for (const text of invalid) expect([text, await accepts(grammarOf(one), text)]).toEqual([text, false])
})

test.each(["(?!a)b", "(a)\\1", "\\ba", "(?<=a)b", "a$b"])("%s is refused by name", (one) => {
  expect(() => grammarOf(one)).toThrow(/^pattern: .* cannot be kept to/)
})

test("a class of hundreds of ranges takes its characters and none beside them", async () => {
  const compiled = await (await smallEngine()).compile(grammarOf("\\p{L}"))
  const wrong: string[] = []
  for (let code = 0x80; code < 0x1000; code++) {
    const text = String.fromCodePoint(code)
    const constraint = await compiled.begin()
    const bytes = [...new TextEncoder().encode(text)]
    let takes = true
    for (const byte of bytes) {
      const mask = await constraint.mask()
      takes &&= ((mask[byte >> 5] >>> (byte & 31)) & 1) === 1
      if (!takes) break
      constraint.accept(byte)
    }
    constraint.free()
    if (takes !== /\p{L}/u.test(text)) wrong.push(code.toString(16))
  }
  compiled.free()
  expect(wrong).toEqual([])
})
