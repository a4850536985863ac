// Step 6. e to the power x from +, - and * alone, which IEEE 754 fixes to the bit; Math.exp may differ in the
// last bit between JavaScript engines, and a seed must give the same ids on all of them.

const log2e = 1.4426950408889634
// ln 2 in two parts, the first with trailing zero bits, so that x - k * ln2 stays exact (Cody and Waite 1980).
const ln2High = 0.6931471803691238
const ln2Low = 1.9082149292705877e-10

/** 2^k for -1022 <= k <= 0, by index -k. */
const powers = Float64Array.from({ length: 1023 }, (_, k) => 2 ** -k)

/** 1/n! for the Taylor polynomial; |r| <= ln(2)/2 leaves a remainder below 1e-17. */
const coefficients = Float64Array.from({ length: 14 }, (_, n) => {
  let factorial = 1
  for (let i = 2; i <= n; i++) factorial *= i
  return 1 / factorial
})

/** e^x for x <= 0, to about 1e-15 relative; 0 below -708. */
export function expNegative(x: number): number {
  if (!(x >= -708)) return 0
  const k = Math.round(x * log2e)
  const r = x - k * ln2High - k * ln2Low
  let sum = coefficients[13]
  for (let n = 12; n >= 0; n--) sum = sum * r + coefficients[n]
  return sum * powers[-k]
}
