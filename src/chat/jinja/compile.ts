// Load time. A template's source in, an interpreter for it out, or one error with the line that is wrong.

import { UserError, messageOf } from "../../util/errors.ts"
import { JinjaInterpreter } from "./interpreter.ts"
import { parse, tokenize } from "./library.ts"
import type { Token } from "./library.ts"

// As Transformers configures Jinja2.
const whitespace = { lstrip_blocks: true, trim_blocks: true }

export function compile(source: string): JinjaInterpreter {
  const tokens = attempt(
    () => tokenize(source, whitespace),
    (error) => lineWhere(source, (lines) => failsWith(error, lines)),
  )
  let furthest = 0
  // The library's errors name no line, but the token that its parser read last lies in the wrong tag.
  const watched = new Proxy(tokens, {
    get(target, key) {
      if (typeof key === "string" && Number(key) < target.length) furthest = Math.max(furthest, Number(key))
      return Reflect.get(target, key) as unknown
    },
  })
  return attempt(
    () => new JinjaInterpreter(parse(watched)),
    () => lineWhere(source, (lines) => numTags(lines) >= tagsIn(tokens.slice(0, furthest + 1))),
  )
}

function attempt<T>(step: () => T, lineOf: (error: unknown) => number | undefined): T {
  try {
    return step()
  } catch (error) {
    const line = lineOf(error)
    // The parser runs off its tokens where a block has no end.
    const cause = error instanceof TypeError ? "it ends inside a block or a tag" : messageOf(error)
    throw new UserError(
      "bad-file",
      `the chat template is not valid Jinja${line === undefined ? "" : ` (line ${line})`}: ${cause}: ` +
        `fetch the checkpoint's template again or pass another one`,
      { cause: error },
    )
  }
}

/** The first line up to which the source shows the fault. */
function lineWhere(source: string, faulty: (lines: string) => boolean): number | undefined {
  const lines = source.split("\n")
  for (let count = 1; count <= lines.length; count++)
    if (faulty(lines.slice(0, count).join("\n"))) return count
  return undefined
}

function failsWith(error: unknown, source: string): boolean {
  try {
    tokenize(source, whitespace)
    return false
  } catch (other) {
    return messageOf(other) === messageOf(error)
  }
}

/** Number of tags; none where the lines end inside one. */
function numTags(source: string): number {
  try {
    return tagsIn(tokenize(source, whitespace))
  } catch {
    return 0
  }
}

function tagsIn(tokens: readonly Token[]): number {
  return tokens.filter(({ type }) => type === "OpenStatement" || type === "OpenExpression").length
}
