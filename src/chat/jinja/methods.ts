// Step 2. The methods of strings and mappings where the library differs from Python: `strip` with the characters
// to strip, and mappings whose methods hide keys of the same name, as Jinja2's dot does.

import type { Value } from "./library.ts"
import { FunctionValue, ObjectValue, StringValue } from "./values.ts"

export type Side = "both" | "left" | "right"

const sides: Readonly<Record<string, Side>> = { strip: "both", lstrip: "left", rstrip: "right" }
const mappingMethods = new Set(["get", "items", "keys", "values"])
// Python's str.isspace: JavaScript's \s has the byte order mark too much and lacks five control characters.
const isSpace = /[^\S\ufeff]|[\x1c-\x1f\x85]/

/** The method that `object.name` means, if it is one that the library has not or has otherwise. */
export function attributeOf(object: Value, name: string): Value | undefined {
  if (object instanceof ObjectValue) return mappingMethods.has(name) ? object.builtins.get(name) : undefined
  if (!(object instanceof StringValue) || !Object.hasOwn(sides, name)) return undefined
  return new FunctionValue(([characters]) => new StringValue(strip(object.value, sides[name], characters)))
}

/** Without `characters` whitespace is stripped, else any of them. */
export function strip(text: string, side: Side, characters?: Value): string {
  const set = characters instanceof StringValue ? new Set(characters.value) : undefined
  const strips = (character: string) => (set ? set.has(character) : isSpace.test(character))
  const kept = [...text]
  let begin = 0
  let end = kept.length
  if (side !== "right") while (begin < end && strips(kept[begin])) begin++
  if (side !== "left") while (begin < end && strips(kept[end - 1])) end--
  return begin === 0 && end === kept.length ? text : kept.slice(begin, end).join("")
}
