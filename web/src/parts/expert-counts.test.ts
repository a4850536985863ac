import { expect, test } from "vitest"
import { fadedCounts, shareText } from "./expert-counts.ts"

test("what an expert was given since the report before counts whole, what was before fades", () => {
  const first = fadedCounts(undefined, [[4, 0]])
  expect(first).toEqual([[4, 0]])
  const second = fadedCounts({ counts: [[4, 0]], recent: first }, [[4, 10]])
  expect(second).toEqual([[3, 10]])
})

test("a model that was opened anew begins anew", () => {
  expect(fadedCounts({ counts: [[9, 9]], recent: [[9, 9]] }, [[1, 2]])).toEqual([[1, 2]])
})

test("a share is of all that the layer was given", () => {
  expect(shareText([1, 3], 1)).toBe("75.0 %")
  expect(shareText([0, 0], 1)).toBe("0.0 %")
})
