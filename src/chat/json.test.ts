import fc from "fast-check"
import { expect, test } from "vitest"
import type { Json } from "../types.ts"
import { numberSource, parseJson, writeJson } from "./json.ts"

test("the values are those of JSON.parse", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(parseJson(text)).toEqual(JSON.parse(text))
    }),
  )
})

test("numbers that a value cannot tell keep their source", () => {
  const value = parseJson(
    '{"a": 1.0, "b": [1e-7, 12345678901234567890, 2, 1.5], "c": "1.0", "\\"1.0": -0}',
  ) as {
    a: number
    b: Json[]
  }
  expect(value).toEqual({ a: 1, b: [1e-7, 12345678901234567890, 2, 1.5], c: "1.0", '"1.0': -0 })
  expect(["a", "c", '"1.0'].map((key) => numberSource(value, key))).toEqual(["1.0", undefined, "-0"])
  expect(["0", "1", "2", "3"].map((key) => numberSource(value.b, key))).toEqual([
    undefined,
    "12345678901234567890",
    undefined,
    undefined,
  ])
})

test("what is written reads as the same, number by number", () => {
  const text = '{"a":1.0,"b":[1e-7,{"c":12345678901234567890}],"__proto__":{"d":-0},"\\ud800":null}'
  expect(writeJson(parseJson(text) as object)).toBe(text)
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      expect(JSON.parse(writeJson({ ...value, missing: undefined }))).toEqual(
        JSON.parse(JSON.stringify(value)),
      )
    }),
  )
})

test("text that looks like the parser's own marks is left alone", () => {
  expect(parseJson(`{"number": {"number": "1.0"}, "number'": 1.0}`)).toEqual({
    number: { number: "1.0" },
    "number'": 1,
  })
})

test("what is no JSON throws", () => {
  for (const text of ["", "{", "1.", "01", "{a: 1.0}", "[1.0,]"])
    expect(() => parseJson(text)).toThrow(SyntaxError)
})

test("a string of megabytes is read", () => {
  const text = JSON.stringify({ text: '\\"x'.repeat(4_000_000), n: 1 }).replace('"n":1', '"n":1.0')
  expect(numberSource(parseJson(text) as object, "n")).toBe("1.0")
})
