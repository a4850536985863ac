import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { add, divide, multiply, shareOut, subtract } from "./steps.ts"

const number = (most: number, least = 0) => fc.integer({ min: least, max: most })

/** Every equation of a step as the numbers on its two sides. */
function equations(step: string): [number, number][] {
  return (
    step
      .replace(/^[^:]*:/, "")
      .split(",")
      .filter((part) => part.includes("="))
      // A division says what it divides next.
      .map((part) => part.replace(/^\d+:/, ""))
      .map((part) => {
        const [left, right] = part.split("=")
        return [valueOf(left), Number(right)]
      })
  )
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
  test("adds by columns, each with its carry", () => {
    expect(add(7, 8)).toBe("7+8=15")
    expect(add(47, 38)).toBe("47+38:7+8=15,4+3+1=8,85")
    expect(add(178, 5)).toBe("178+5:8+5=13,7+0+1=8,1+0=1,183")
    fc.assert(fc.property(number(999), number(999), (a, b) => holds(add(a, b), a + b)))
  })

  test("takes away by columns, borrowing ten", () => {
    expect(subtract(14, 9)).toBe("14-9=5")
    expect(subtract(62, 33)).toBe("62-33:12-3=9,6-3-1=2,29")
    expect(subtract(134, 90)).toBe("134-90:4-0=4,13-9=4,1-0-1=0,44")
    fc.assert(fc.property(number(999), number(999), (a, b) => holds(subtract(a + b, b), a)))
  })

  test("multiplies digit by digit, each with what is carried", () => {
    expect(multiply(35, 2)).toBe("35*2=70")
    expect(multiply(30, 7)).toBe("30*7=210")
    expect(multiply(37, 6)).toBe("37*6:7*6=42,3*6=18,18+4=22,222")
    expect(multiply(250, 6)).toBe("250*6:0*6=0,5*6=30,2*6=12,12+3=15,1500")
    fc.assert(fc.property(number(300), number(10, 1), (a, b) => holds(multiply(a, b), a * b)))
  })

  test("divides digit by digit", () => {
    expect(divide(24, 2)).toBe("24/2=12")
    expect(divide(640, 80)).toBe("640/80=64/8=8")
    expect(divide(882, 9)).toBe("882/9:88:9*9=81,88-81=7,72:9*8=72,72-72=0,98")
    expect(divide(816, 8)).toBe("816/8:8:8*1=8,8-8=0,1:8*0=0,1-0=1,16:8*2=16,16-16=0,102")
    fc.assert(fc.property(number(99), number(10, 1), (a, b) => holds(divide(a * b, b), a)))
  })

  test("shares out and ends with what is left over", () => {
    expect(shareOut(47, 6)).toBe("47/6:47:6*7=42,47-42=5,7 r5")
    expect(shareOut(98, 5)).toBe("98/5:9:5*1=5,9-5=4,48:5*9=45,48-45=3,19 r3")
    fc.assert(fc.property(number(99, 10), number(9, 1), (a, b) => holds(shareOut(a, b), a % b)))
  })

  test("is refused where it would leave the numbers that a thought can hold", () => {
    expect(() => subtract(3, 5)).toThrow("below zero")
    expect(() => divide(7, 2)).toThrow("remainder")
    expect(() => divide(104, 13)).toThrow("two digits")
    expect(() => multiply(12, 34)).toThrow("two digits")
  })
})
