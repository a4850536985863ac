// Step 6. The learning rate of every step: linear warm-up, then half a cosine (Loshchilov and Hutter 2017).

export interface Schedule {
  peak: number
  /** What remains at the end, as a share of the peak. */
  floor: number
  warmUpSteps: number
  steps: number
}

/** Of step 0, 1, ...; the floor from `steps` on. */
export function learningRate({ peak, floor, warmUpSteps, steps }: Schedule, step: number): number {
  if (step < warmUpSteps) return (peak * (step + 1)) / warmUpSteps
  const done = Math.min((step - warmUpSteps) / Math.max(steps - warmUpSteps, 1), 1)
  return peak * (floor + ((1 - floor) * (1 + Math.cos(Math.PI * done))) / 2)
}
