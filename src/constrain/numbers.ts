// Between steps 1 and 4. A range of numbers in, an expression for exactly the decimal numbers in it out. Digits are
// limited so that what is written is what a program reads: no rounding carries a number across its bound.

import { oneOf, optional, repeated, sequence } from "./grammar.ts"

/** One end of a range. */
export interface Bound {
  value: number
  kind: "inclusive" | "exclusive"
}

/** Digits that a float64 holds exactly. */
const exactDigits = 15
const digit = "[0-9]"

/** Whole numbers from `lowest` to `highest`, each as good as absent where it is infinite. */
export function integers(lowest: number, highest: number): string | undefined {
  const alternatives = [
    ...(lowest < 0 ? naturals(Math.max(1, -highest), -lowest).map((one) => `"-" ${one}`) : []),
    ...(lowest <= 0 && highest >= 0 ? ['"0"'] : []),
    ...(highest > 0 ? naturals(Math.max(1, lowest), highest) : []),
  ]
  return alternatives.length === 0 ? undefined : oneOf(alternatives)
}

/** Any number, exponents included. */
export const anyNumber = '"-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,15})? ([eE] [+-]? [0-9]{1,2})?'

/** Numbers between two bounds, without exponents; nothing where there are none. */
export function decimals(lower: Bound | undefined, upper: Bound | undefined): string | undefined {
  const alternatives = [
    ...(lower === undefined || lower.value < 0
      ? magnitudes(negated(upper), negated(lower), "above-zero").map((one) => `"-" ${one}`)
      : []),
    ...(upper === undefined || upper.value >= 0 ? magnitudes(lower, upper, "from-zero") : []),
  ]
  return alternatives.length === 0 ? undefined : oneOf(alternatives)
}

/** From `from`, at least 1, to `to`: by number of digits. */
function naturals(from: number, to: number): string[] {
  if (from > to) return []
  const first = BigInt(from).toString()
  const last = to === Infinity ? undefined : BigInt(to).toString()
  const longest = last === undefined ? Math.max(first.length, exactDigits) : last.length
  const alternatives: string[] = []
  // Lengths of which all numbers are meant become one alternative.
  let whole: { from: number; to: number } | undefined
  for (let length = first.length; length <= longest; length++) {
    const least = `1${"0".repeat(length - 1)}`
    const most = "9".repeat(length)
    const low = length === first.length ? first : least
    const high = length === last?.length ? last : most
    if (low === least && high === most) whole = { from: whole?.from ?? length, to: length }
    else alternatives.push(between(low, high))
  }
  if (whole) alternatives.push(sequence("[1-9]", repeated(digit, [whole.from - 1, whole.to - 1])))
  return alternatives
}

/** Texts of digits, as long as each of the two, from one to the other. */
function between(low: string, high: string): string {
  const length = low.length
  if (/^0*$/.test(low) && /^9*$/.test(high)) return length === 0 ? '""' : repeated(digit, [length, length])
  if (low[0] === high[0]) return sequence(`"${low[0]}"`, between(low.slice(1), high.slice(1)))
  const rest = length - 1
  const alternatives: string[] = []
  let first = Number(low[0])
  let last = Number(high[0])
  if (!/^0*$/.test(low.slice(1)))
    alternatives.push(sequence(`"${first++}"`, between(low.slice(1), "9".repeat(rest))))
  if (!/^9*$/.test(high.slice(1)))
    alternatives.push(sequence(`"${last--}"`, between("0".repeat(rest), high.slice(1))))
  if (first <= last)
    alternatives.push(sequence(`[${first}-${last}]`, between("0".repeat(rest), "9".repeat(rest))))
  return oneOf(alternatives)
}

/** Numbers without a sign between two bounds of which the lower may be below zero. */
function magnitudes(
  lower: Bound | undefined,
  upper: Bound | undefined,
  from: "from-zero" | "above-zero",
): string[] {
  const least: Bound = { value: 0, kind: from === "from-zero" ? "inclusive" : "exclusive" }
  const low =
    lower === undefined || lower.value < 0
      ? least
      : lower.value === 0 && from === "above-zero"
        ? least
        : lower
  if (upper !== undefined && upper.value < low.value) return []
  const [lowInt, lowFraction] = digitsOf(low.value)
  const [highInt, highFraction] = upper === undefined ? [undefined, undefined] : digitsOf(upper.value)
  const lowEnd = { digits: lowFraction, kind: low.kind }
  const highEnd = upper && { digits: highFraction ?? "", kind: upper.kind }
  if (lowInt === highInt) return withFraction(`"${lowInt}"`, lowEnd, highEnd)
  const inside = { from: Number(lowInt) + 1, to: highInt === undefined ? Infinity : Number(highInt) - 1 }
  return [
    ...withFraction(`"${lowInt}"`, lowEnd, undefined),
    ...naturals(inside.from, inside.to).flatMap((one) => withFraction(one, undefined, undefined)),
    ...(highInt === undefined ? [] : withFraction(`"${highInt}"`, undefined, highEnd)),
  ]
}

/** What the fraction's digits are compared with. */
interface End {
  digits: string
  kind: Bound["kind"]
}

function withFraction(whole: string, low: End | undefined, high: End | undefined): string[] {
  const numDeciding = Math.max(low?.digits.length ?? 0, high?.digits.length ?? 0)
  const numFurther = Math.max(2, Math.min(6, exactDigits - 1 - numDeciding))
  const { end, next } = fraction(settled(low), high, numDeciding + numFurther)
  const point = next.length === 0 ? undefined : `"." ${oneOf(next)}`
  if (end === "may") return [sequence(whole, point === undefined ? "" : optional(point))]
  return point === undefined ? [] : [sequence(whole, point)]
}

/** Whether the digits may end here, and how at most `room` further ones may go on. */
function fraction(low: End | undefined, high: End | undefined, room: number): Fraction {
  const end = low === undefined && !(high?.digits === "" && high.kind === "exclusive") ? "may" : "must-not"
  if (room === 0 || high?.digits === "") return { end, next: [] } // behind the upper end only zeros could follow
  if (low === undefined && high === undefined) return { end, next: [repeated(digit, [1, room])] }
  const first = Number(low?.digits[0] ?? 0)
  const last = Number(high?.digits[0] ?? 9)
  const next: string[] = []
  for (let one = first; one <= last; one++) {
    const after = fraction(
      low && one === first ? settled(behind(low)) : undefined,
      high && one === last ? behind(high) : undefined,
      room - 1,
    )
    if (after.next.length > 0) {
      const rest = oneOf(after.next)
      next.push(sequence(`"${one}"`, after.end === "may" ? optional(rest) : rest))
    } else if (after.end === "may") next.push(`"${one}"`)
  }
  return { end, next }
}

interface Fraction {
  end: "may" | "must-not"
  next: string[]
}

function behind(end: End): End {
  return { ...end, digits: end.digits.slice(1) }
}

/** A lower end of no digits that may be met binds nothing more. */
function settled(end: End | undefined): End | undefined {
  return end?.digits === "" && end.kind === "inclusive" ? undefined : end
}

/** The digits before the point and behind it, without zeros that say nothing; the sign is left out. */
function digitsOf(value: number): [string, string] {
  const [mantissa, exponent = "0"] = Math.abs(value).toString().split("e")
  const [whole, part = ""] = mantissa.split(".")
  const shift = Number(exponent)
  const digits =
    shift < 0
      ? "0".repeat(-shift) + whole + part
      : whole + part + "0".repeat(Math.max(0, shift - part.length))
  const point = shift < 0 ? whole.length : whole.length + shift
  return [digits.slice(0, point).replace(/^0+(?=.)/, "") || "0", digits.slice(point).replace(/0+$/, "")]
}

function negated(bound: Bound | undefined): Bound | undefined {
  return bound && { ...bound, value: -bound.value }
}
