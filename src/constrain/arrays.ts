// Between steps 1 and 4. The keywords of an array in, an expression out: the items that are listed, then as many
// more of one schema as may follow.

import { optional, repeated, sequence } from "./grammar.ts"
import { pathTo, unsatisfiable } from "./keywords.ts"
import type { Keywords } from "./keywords.ts"
import type { ValueWriter } from "./value-writer.ts"

export function arrayExpression(writer: ValueWriter, keywords: Keywords, path: string): string | undefined {
  const { prefixItems = [], items = true, minItems = 0, maxItems = Infinity } = keywords
  if (minItems > maxItems) throw unsatisfiable(path)
  const listed: string[] = []
  for (const [i, schema] of prefixItems.slice(0, Math.min(prefixItems.length, maxItems)).entries()) {
    const item = writer.value(schema, pathTo(pathTo(path, "prefixItems"), i))
    if (item === undefined && minItems > i) return undefined
    if (item === undefined) return bracketed(writer, listed, "", [0, 0])
    listed.push(item)
  }
  const least = Math.max(0, minItems - listed.length)
  const most = maxItems - listed.length
  const item = most === 0 ? undefined : writer.value(items, pathTo(path, "items"))
  if (item === undefined && least > 0) return undefined
  return bracketed(writer, listed, item ?? "", item === undefined ? [0, 0] : [least, most])
}

/** An array of any such items. */
export function openArray(writer: ValueWriter, item: string): string {
  return bracketed(writer, [], item, [0, Infinity])
}

function bracketed(
  writer: ValueWriter,
  listed: readonly string[],
  item: string,
  [min, max]: readonly [number, number],
): string {
  const { space } = writer
  const comma = sequence('","', space)
  const [first = item, ...others] = listed
  if (first === "" || (listed.length === 0 && max === 0)) return '"[]"'
  const isListed = listed.length > 0
  const following: readonly [number, number] = isListed ? [min, max] : [Math.max(0, min - 1), max - 1]
  const more = following[1] === 0 ? "" : repeated(sequence(comma, item), following)
  const body = sequence(space, first, ...others.flatMap((one) => [comma, one]), more, space)
  return sequence('"["', isListed || min > 0 ? body : optional(body), '"]"')
}
