import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Pace } from "./pace.ts"

/** Rows after a number of steps of a machine that takes `fixedMs` and `rowMs` a row; the longest of the last ten. */
function settled(fixedMs: number, rowMs: number, most = 512) {
  const pace = new Pace(most)
  const times: number[] = []
  for (let step = 0; step < 60; step++) {
    const ms = fixedMs + rowMs * pace.rows
    pace.took(ms, pace.rows)
    times.push(ms)
  }
  return { rows: pace.rows, longest: Math.max(...times.slice(-10)) }
}

describe("the pace of prompts beside replies", () => {
  test("keeps steps within half a second where that can be, and uses what there is", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 250, noNaN: true }),
        fc.double({ min: 0.01, max: 20, noNaN: true }),
        (fixedMs, rowMs) => {
          const { rows, longest } = settled(fixedMs, rowMs)
          expect(longest).toBeLessThan(500)
          // As many as fit in the time, but for what rounding and steps of the search lose.
          expect(rows).toBeGreaterThanOrEqual(Math.min(512, (350 - fixedMs) / rowMs / 2 - 2))
        },
      ),
    )
  })

  test("gives a few rows where even those take too long", () => {
    expect(settled(2000, 10).rows).toBe(4)
  })

  test("is not lowered by prompts that end", () => {
    const pace = new Pace(512)
    for (let step = 0; step < 20; step++) pace.took(100, pace.rows)
    pace.took(20, 3)
    expect(pace.rows).toBe(512)
  })
})
