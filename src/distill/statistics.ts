// What counts say about rates. Successes and trials in, estimates and 95 % intervals out.

export interface Rate {
  readonly solved: number
  readonly trials: number
  readonly rate: number
  readonly low: number
  readonly high: number
}

/** Two-sided 95 % of the normal distribution. */
const z = 1.959964

/** Wilson's score interval (1927): right also near 0 and 1, where the usual one is not. */
export function rateOf(solved: number, trials: number): Rate {
  if (trials === 0) return { solved, trials, rate: NaN, low: 0, high: 1 }
  const rate = solved / trials
  const scale = 1 + z ** 2 / trials
  const centre = (rate + z ** 2 / (2 * trials)) / scale
  const half = (z / scale) * Math.sqrt((rate * (1 - rate)) / trials + (z / (2 * trials)) ** 2)
  return { solved, trials, rate, low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}

/** The chance that k of the n samples, drawn without replacement, have a right one (Chen 2021, equation 1). */
export function passAtK(samples: number, right: number, k: number): number {
  if (samples - right < k) return 1
  let allWrong = 1
  for (let i = 0; i < k; i++) allWrong *= (samples - right - i) / (samples - i)
  return 1 - allWrong
}

export interface Mean {
  readonly mean: number
  readonly low: number
  readonly high: number
  readonly count: number
}

/** The mean of independent values with Student's interval. */
export function meanOf(values: readonly number[]): Mean {
  const count = values.length
  const mean = values.reduce((sum, value) => sum + value, 0) / count
  if (count < 2) return { mean, low: -Infinity, high: Infinity, count }
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1)
  const half = studentQuantile(count - 1) * Math.sqrt(variance / count)
  return { mean, low: mean - half, high: mean + half, count }
}

export interface PairedDifference extends Mean {
  /** Problems that only the first, or only the second, solved. */
  readonly onlyFirst: number
  readonly onlySecond: number
}

/**
 * Second minus first on the same problems, each solved (1) or not (0): what they share cancels out. The interval is
 * that of Agresti and Min (2005), which adds half a pair to each of the four cells.
 */
export function pairedDifference(first: readonly number[], second: readonly number[]): PairedDifference {
  const count = first.length
  const onlyFirst = first.filter((value, i) => value > second[i]).length
  const onlySecond = first.filter((value, i) => value < second[i]).length
  const centre = (onlySecond - onlyFirst) / (count + 2)
  const half = (z / (count + 2)) * Math.sqrt(onlyFirst + onlySecond + 1 - (count + 2) * centre ** 2)
  const mean = (onlySecond - onlyFirst) / count
  return { mean, low: centre - half, high: centre + half, count, onlyFirst, onlySecond }
}

/** The 97.5 % points of Student's distribution for 1 to 30 degrees of freedom. */
const student = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
]

/** Beyond the table, the first term of its expansion about the normal point. */
function studentQuantile(degrees: number): number {
  return student[degrees - 1] ?? z + (z ** 3 + z) / (4 * degrees)
}
