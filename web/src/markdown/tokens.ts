// Markdown of a reply in, marked's tokens out, with mathematics as tokens of their own. Only the lexer is used: no
// HTML is ever made of what a model wrote.

import { Marked } from "marked"
import type { Token, TokenizerExtension } from "marked"

export type { Token, Tokens } from "marked"

export interface MathToken {
  type: "math"
  raw: string
  tex: string
  display: "inline" | "block"
}

/** `$$...$$`, `\[...\]` and `\(...\)` anywhere; `$...$` only where it cannot be an amount of money. */
const forms: [RegExp, MathToken["display"]][] = [
  [/^\$\$([\s\S]+?)\$\$/, "block"],
  [/^\\\[([\s\S]+?)\\\]/, "block"],
  [/^\\\(([\s\S]+?)\\\)/, "inline"],
  [/^\$(?![\s$\d.,]*\$?\s)((?:\\.|[^\\$\n])+?)(?<!\s)\$(?!\d)/, "inline"],
]

function mathAt(source: string, displays: readonly MathToken["display"][]): MathToken | undefined {
  for (const [form, display] of forms) {
    const found = displays.includes(display) ? form.exec(source) : null
    if (found) return { type: "math", raw: found[0], tex: found[1].trim(), display }
  }
  return undefined
}

function startOf(source: string, mark: RegExp): number | undefined {
  const at = source.search(mark)
  return at < 0 ? undefined : at
}

/** A paragraph that begins with a display formula is that formula and a paragraph after it. */
const blockMath: TokenizerExtension = {
  name: "blockMath",
  level: "block",
  start: (source) => startOf(source, /(?:^|\n)(?:\$\$|\\\[)/),
  tokenizer: (source) => mathAt(source, ["block"]),
}

const inlineMath: TokenizerExtension = {
  name: "inlineMath",
  level: "inline",
  start: (source) => startOf(source, /\$|\\\(|\\\[/),
  tokenizer: (source) => mathAt(source, ["inline", "block"]),
}

const marked = new Marked({ extensions: [blockMath, inlineMath], gfm: true, breaks: false })

export function tokensOf(text: string): Token[] {
  return marked.lexer(text)
}

export function isMath(token: { type: string }): token is MathToken {
  return token.type === "math"
}

/** Whether a link may be followed: to other pages, by mail, or within this one; never a script. */
export function isSafeLink(href: string): boolean {
  return /^(https?:\/\/|mailto:|#)/i.test(href.trim())
}
