import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { add, divide, multiply, shareOut, subtract } from "./steps.ts"

const number = (most: number, least = 0) => fc.integer({ min: least, max: most })

/** Every equation of a step as the numbers on its two sides. */
function equations(step: string): [number, number][] {
  return step
    .replace(/^[^:]*:/, "")
    .split(",")
    .filter((part) => part.includes("="))
    .map((part) => {
      const [left, right] = part.split("=")
      return [valueOf(left), Number(right)]
    })
}

function valueOf(expression: string): number {
  const [, a, sign, b, , carry = ""] = /^(\d+)([-+*/])(\d+)(([-+]\d)?)$/.exec(expression) ?? []
  const x = Number(a)
  const y = Number(b)
  const value = { "+": x + y, "-": x - y, "*": x * y, "/": x / y }[sign] ?? Number.NaN
  return value + Number(carry)
}

const resultOf = (step: string) => Number(step.match(/\d+$/)?.[0])

function holds(step: string, result: number) {
  expect(resultOf(step)).toBe(result)
  for (const [left, right] of equations(step)) expect(left, step).toBe(right)
}

describe("a step of arithmetic", () => {
  test("adds by columns above 99, each with its carry", () => {
    expect(add(47, 38)).toBe("47+38=85")
    expect(add(178, 245)).toBe("178+245:8+5=13,7+4+1=12,1+2+1=4,423")
    fc.assert(fc.property(number(999), number(999), (a, b) => holds(add(a, b), a + b)))
  })

  test("takes away by columns above 99, borrowing ten", () => {
    expect(subtract(94, 70)).toBe("94-70=24")
    expect(subtract(134, 90)).toBe("134-90:4-0=4,13-9=4,1-0-1=0,44")
    fc.assert(fc.property(number(999), number(999), (a, b) => holds(subtract(a + b, b), a)))
  })

  test("multiplies tens and units apart", () => {
    expect(multiply(35, 2)).toBe("35*2=70")
    expect(multiply(35, 3)).toBe("35*3:30*3=90,5*3=15,90+15=105")
    fc.assert(fc.property(number(300), number(10, 1), (a, b) => holds(multiply(a, b), a * b)))
  })

  test("divides the tens of the quotient first", () => {
    expect(divide(24, 2)).toBe("24/2=12")
    expect(divide(84, 3)).toBe("84/3:60/3=20,84-60=24,24/3=8,20+8=28")
    fc.assert(fc.property(number(99), number(10, 1), (a, b) => holds(divide(a * b, b), a)))
  })

  test("shares out and ends with what is left over", () => {
    expect(shareOut(47, 6)).toBe("47/6:6*7=42,47-42=5")
    expect(shareOut(98, 5)).toBe("98/5:5*10=50,98-50=48,5*9=45,48-45=3")
    fc.assert(fc.property(number(99, 1), number(9, 1), (a, b) => holds(shareOut(a, b), a % b)))
  })

  test("is refused where it would leave the numbers that a thought can hold", () => {
    expect(() => subtract(3, 5)).toThrow("below zero")
    expect(() => divide(7, 2)).toThrow("remainder")
    expect(() => multiply(12, 34)).toThrow("two digits")
  })
})
