import { expect, test } from "vitest"
import { expNegative } from "./exp.ts"

test("agrees with Math.exp to 1e-15 where it is not denormal", () => {
  let worst = 0
  for (let x = 0; x > -708; x -= 0.0137) {
    worst = Math.max(worst, Math.abs(expNegative(x) / Math.exp(x) - 1))
  }
  expect(worst).toBeLessThan(1e-15)
})

test("is exactly 1 at 0 and 0 far below", () => {
  expect(expNegative(0)).toBe(1)
  expect(expNegative(-0)).toBe(1)
  expect(expNegative(-709)).toBe(0)
  expect(expNegative(-Infinity)).toBe(0)
})
