// Step 6. Arithmetic in, the small steps that a thought writes out, in the same few forms everywhere. What a small
// model cannot do at once is done by columns or by tens; the last number of a step is its result.

import { assert } from "../../util/errors.ts"

/** Below 100 at once; else column by column from the right, each with its carry. */
export function add(a: number, b: number): string {
  const sum = a + b
  if ((a < 100 && b < 100) || a % 10 === 0 || b % 10 === 0) return `${a}+${b}=${sum}`
  const columns: string[] = []
  let carry = 0
  for (const [x, y] of digitColumns(a, b)) {
    const column = x + y + carry
    columns.push(`${x}+${y}${carry ? "+1" : ""}=${column}`)
    carry = column > 9 ? 1 : 0
  }
  return `${a}+${b}:${columns.join(",")},${sum}`
}

/** Below 100 at once; else column by column from the right, where a column that is too small borrows ten. */
export function subtract(a: number, b: number): string {
  assert(a >= b, `${a}-${b} is below zero`)
  if (a < 100) return `${a}-${b}=${a - b}`
  const columns: string[] = []
  let borrowed = 0
  for (const [x, y] of digitColumns(a, b)) {
    const ten = x - borrowed < y ? 10 : 0
    columns.push(`${x + ten}-${y}${borrowed ? "-1" : ""}=${x + ten - y - borrowed}`)
    borrowed = ten / 10
  }
  return `${a}-${b}:${columns.join(",")},${a - b}`
}

/** The table up to ten and doubles at once; else tens and units apart. The second factor is one digit or ten. */
export function multiply(a: number, b: number): string {
  assert(b <= 10, `${a}*${b}: the second factor has two digits`)
  if (a <= 10 || b === 1 || b === 10 || (b === 2 && a < 100) || a % 10 === 0) return `${a}*${b}=${a * b}`
  const tens = a - (a % 10)
  const units = a % 10
  return `${a}*${b}:${tens}*${b}=${tens * b},${units}*${b}=${units * b},${tens * b}+${units * b}=${a * b}`
}

/** The table and halves at once; else the tens of the quotient first. */
export function divide(a: number, b: number): string {
  const quotient = a / b
  assert(Number.isInteger(quotient), `${a}/${b} leaves a remainder`)
  const tens = quotient - (quotient % 10)
  if (quotient <= 10 || b === 1 || b === 10 || (b === 2 && a < 100) || quotient === tens)
    return `${a}/${b}=${quotient}`
  const rest = a - tens * b
  return `${a}/${b}:${tens * b}/${b}=${tens},${a}-${tens * b}=${rest},${rest}/${b}=${rest / b},${tens}+${rest / b}=${quotient}`
}

/** The whole quotient as a product, above ten in two parts; then what is left. */
export function shareOut(a: number, b: number): string {
  const quotient = Math.floor(a / b)
  if (quotient <= 10) return `${a}/${b}:${b}*${quotient}=${b * quotient},${a}-${b * quotient}=${a % b}`
  const rest = a - 10 * b
  const more = quotient - 10
  return `${a}/${b}:${b}*10=${10 * b},${a}-${10 * b}=${rest},${b}*${more}=${b * more},${rest}-${b * more}=${a % b}`
}

function digitColumns(a: number, b: number): [number, number][] {
  const length = Math.max(String(a).length, String(b).length)
  const digits = (n: number) => [...String(n).padStart(length, "0")].reverse().map(Number)
  const ofB = digits(b)
  return digits(a).map((digit, i) => [digit, ofB[i]])
}
