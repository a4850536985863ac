import fc from "fast-check"
import { expect, test } from "vitest"
import { nfc } from "./nfc.ts"

const marks = Array.from({ length: 0x1e900 }, (_, i) => i)
  .filter((code) => code < 0xd800 || code > 0xdfff)
  .map((code) => String.fromCodePoint(code))
  .filter((character) => /\p{M}/u.test(character))

test("long runs of marks get the form that the engine's normaliser gives them", () => {
  const mark = fc.oneof(fc.constantFrom(...marks), fc.constantFrom(...marks.slice(0, 112)))
  fc.assert(
    fc.property(
      fc.array(mark, { minLength: 16, maxLength: 80 }),
      fc.constantFrom("e", "", "가"),
      (run, base) => {
        const text = `${base}${run.join("")}a`
        expect(nfc(text)).toBe(text.normalize("NFC"))
      },
    ),
    { numRuns: 1000 },
  )
})

test("a million disordered marks take seconds", () => {
  const begin = performance.now()
  expect(nfc(`e${"\u0315\u0300".repeat(500_000)}`)).toHaveLength(1_000_000)
  expect(performance.now() - begin).toBeLessThan(10_000)
})
