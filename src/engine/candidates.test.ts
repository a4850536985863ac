import fc from "fast-check"
import { expect, test } from "vitest"
import { Candidates } from "./candidates.ts"

/** Sometimes over and over, with a difference each time. */
const many = (values: number[]) =>
  fc
    .boolean()
    .map((repeat) =>
      repeat ? Array.from({ length: 5000 }, (_, i) => values[i % values.length] * (1 + (i % 7))) : values,
    )

test("are the k largest, best first, lower ids first among equals", () => {
  // Few different values, so that there are many ties; 5,000 are enough for both ways of selecting.
  const row = fc.array(fc.integer({ min: -6, max: 6 }), { minLength: 1, maxLength: 300 }).chain(many)
  const property = fc.property(row, fc.nat(), (values, k) => {
    const logits = Float32Array.from(values)
    const count = 1 + (k % values.length)
    const candidates = new Candidates(values.length)
    candidates.select(logits, values.length, count)
    const sorted = values.map((_, id) => id).sort((a, b) => values[b] - values[a] || a - b)
    expect([...candidates.ids.subarray(0, count)]).toEqual(sorted.slice(0, count))
    expect([...candidates.logits.subarray(0, count)]).toEqual(sorted.slice(0, count).map((id) => values[id]))
  })
  fc.assert(property, { numRuns: 500 })
})
