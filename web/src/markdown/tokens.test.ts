import { describe, expect, test } from "vitest"
import { isMath, isSafeLink, tokensOf } from "./tokens.ts"
import type { Token } from "./tokens.ts"

/** Formulas in the order they stand in, as `inline: x`. */
function formulas(tokens: readonly Token[]): string[] {
  return tokens.flatMap((token) => {
    if (isMath(token)) return [`${token.display}: ${token.tex}`]
    if ("items" in token) return formulas(token.items as Token[])
    return formulas("tokens" in token ? (token.tokens ?? []) : [])
  })
}

const formulasIn = (text: string) => formulas(tokensOf(text))

describe("formulas", () => {
  test.each([
    ["so $x^2$ and $y$", ["inline: x^2", "inline: y"]],
    ["so \\(x\\) and \\[y\\]", ["inline: x", "block: y"]],
    ["$$\na\n$$\n\nthen\n\n\\[\nb\n\\]", ["block: a", "block: b"]],
    ["- one\n- $x_1$ and *two $y$*", ["inline: x_1", "inline: y"]],
    ["a text\n$$x$$\nand on", ["block: x"]],
    ["$a_1 + b_1$", ["inline: a_1 + b_1"]],
  ])("in %j are found", (text, expected) => {
    expect(formulasIn(text)).toEqual(expected)
  })

  test.each(["it costs $5 and $6", "`$x$`", "```\n$x$\n```", "$ x $", "\\$x\\$", "$x"])(
    "in %j are none",
    (text) => {
      expect(formulasIn(text)).toEqual([])
    },
  )
})

test("links lead to pages, never to scripts", () => {
  expect(["https://a.de", "http://a.de", "mailto:a@b.c", "#top"].every(isSafeLink)).toBe(true)
  expect(
    ["javascript:alert(1)", " JAVASCRIPT:x", "data:text/html,x", "vbscript:x", "file:///etc"].some(
      isSafeLink,
    ),
  ).toBe(false)
})
