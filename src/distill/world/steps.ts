// Step 6. Arithmetic in, the small steps that a thought writes out, in the same few forms everywhere. What a small
// model cannot know by heart is done digit by digit, as on paper; the last number of a step is its result.

import { assert } from "../../util/errors.ts"
import type { Language } from "./problem.ts"

/** Two digits at once; else column by column from the right, each with its carry. */
export function add(a: number, b: number): string {
  if (a < 10 && b < 10) return `${a}+${b}=${a + b}`
  const columns: string[] = []
  let carry = 0
  for (const [x, y] of digitColumns(a, b)) {
    const column = x + y + carry
    columns.push(`${x}+${y}${carry ? "+1" : ""}=${column}`)
    carry = column > 9 ? 1 : 0
  }
  return `${a}+${b}:${columns.join(",")},${a + b}`
}

/** One digit from less than 20 at once; else column by column from the right: one that is too small borrows ten. */
export function subtract(a: number, b: number): string {
  assert(a >= b, `${a}-${b} is below zero`)
  if (a < 20 && b < 10) return `${a}-${b}=${a - b}`
  const columns: string[] = []
  let borrowed = 0
  for (const [x, y] of digitColumns(a, b)) {
    const ten = x - borrowed < y ? 10 : 0
    columns.push(`${x + ten}-${y}${borrowed ? "-1" : ""}=${x + ten - y - borrowed}`)
    borrowed = ten / 10
  }
  return `${a}-${b}:${columns.join(",")},${a - b}`
}

/** The table up to ten, tens and doubles at once; else digit by digit. The second factor is one digit or ten. */
export function multiply(a: number, b: number): string {
  assert(b <= 10, `${a}*${b}: the second factor has two digits`)
  const isTens = a <= 100 && a % 10 === 0
  if (a <= 10 || isTens || b === 1 || b === 10 || (b === 2 && a < 100)) return `${a}*${b}=${a * b}`
  const parts: string[] = []
  let carry = 0
  for (const digit of [...digitsOf(a)].reverse()) {
    const product = digit * b
    parts.push(`${digit}*${b}=${product}`)
    if (carry > 0) parts.push(`${product}+${carry}=${product + carry}`)
    carry = Math.floor((product + carry) / 10)
  }
  return `${a}*${b}:${parts.join(",")},${a * b}`
}

/** The table, tens and halves at once; else digit by digit of the dividend. The divisor is one digit or tens. */
export function divide(a: number, b: number): string {
  const quotient = a / b
  assert(Number.isInteger(quotient), `${a}/${b} leaves a remainder`)
  assert(b <= 10 || (quotient <= 10 && b % 10 === 0), `${a}/${b}: the divisor has two digits`)
  if (b > 10) return `${a}/${b}=${a / 10}/${b / 10}=${quotient}`
  if (quotient <= 10 || b === 1 || b === 10 || (b === 2 && a < 100)) return `${a}/${b}=${quotient}`
  return `${a}/${b}:${longDivision(a, b).join(",")},${quotient}`
}

/** What is asked for, said first where several things could be meant. */
export function askedFor(language: Language, what: string): string {
  return `${language === "en" ? "asked" : "求"}: ${what}`
}

/** The whole quotient, and what is left. */
export function shareOut(a: number, b: number): string {
  return `${a}/${b}:${longDivision(a, b).join(",")},${Math.floor(a / b)} r${a % b}`
}

function longDivision(a: number, b: number): string[] {
  assert(b < 10, `${a}/${b}: the divisor has two digits`)
  const steps: string[] = []
  let rest = 0
  for (const digit of digitsOf(a)) {
    const part = 10 * rest + digit
    rest = part % b
    // Leading zeros of the quotient are not written.
    if (part < b && steps.length === 0) continue
    const product = part - rest
    steps.push(`${part}:${b}*${product / b}=${product}`, `${part}-${product}=${rest}`)
  }
  return steps
}

const digitsOf = (n: number) => [...String(n)].map(Number)

function digitColumns(a: number, b: number): [number, number][] {
  const length = Math.max(String(a).length, String(b).length)
  const digits = (n: number) => digitsOf(n).reverse()
  const [ofA, ofB] = [digits(a), digits(b)]
  return Array.from({ length }, (_, i) => [ofA[i] ?? 0, ofB[i] ?? 0])
}
