import { expect, test } from "vitest"
import { learningRate } from "./schedule.ts"

const schedule = { peak: 2, floor: 0.1, warmUpSteps: 4, steps: 104 }

test("the learning rate rises in equal steps and falls along a cosine to the floor", () => {
  const rates = [0, 3, 4, 54, 104, 1000].map((step) => learningRate(schedule, step))
  for (const [i, wanted] of [0.5, 2, 2, 1.1, 0.2, 0.2].entries()) expect(rates[i]).toBeCloseTo(wanted, 12)
})

test("without warm-up the first step has the peak", () => {
  expect(learningRate({ ...schedule, warmUpSteps: 0 }, 0)).toBe(2)
})
