// Between steps 1 and 4. The keywords of a string in, an expression out.

import { repeated } from "./grammar.ts"
import { formats } from "./formats.ts"
import { pathTo, unsatisfiable, unsupported } from "./keywords.ts"
import type { Keywords } from "./keywords.ts"
import { lengthsOf, regexExpression } from "./regex.ts"
import type { ValueWriter } from "./value-writer.ts"
import { jsonCharacter } from "./strings.ts"

export function stringExpression(writer: ValueWriter, keywords: Keywords, path: string): string {
  const { pattern, format = "", minLength = 0, maxLength = Infinity } = keywords
  if (minLength > maxLength) throw unsatisfiable(path)
  const formatted = formats.get(format)
  if (pattern !== undefined && formatted !== undefined)
    throw unsupported(pathTo(path, "pattern"), `a pattern together with the format ${format}`)
  if (pattern !== undefined) return matching(writer, pattern, "part", keywords, pathTo(path, "pattern"))
  if (formatted !== undefined) return matching(writer, formatted, "whole", keywords, pathTo(path, "format"))
  if (minLength === 0 && maxLength === Infinity) return writer.text
  const where = pathTo(path, maxLength === Infinity ? "minLength" : "maxLength")
  writer.grammar.countWide(maxLength === Infinity ? minLength : maxLength, where)
  return writer.grammar.rule(`"\\"" ${repeated(jsonCharacter, [minLength, maxLength])} "\\""`)
}

/** A pattern with lengths is one that keeps to them by itself. */
function matching(
  writer: ValueWriter,
  pattern: string,
  by: "whole" | "part",
  { minLength = 0, maxLength = Infinity }: Keywords,
  path: string,
): string {
  const [least, most] = lengthsOf(pattern, by, path)
  if (least < minLength || most > maxLength)
    throw unsupported(path, "lengths beside a pattern that allows others (say them in the pattern)")
  const form = { writing: "json", matching: by } as const
  return writer.grammar.rule(`"\\"" ${regexExpression(pattern, writer.grammar, form, path)} "\\""`)
}
