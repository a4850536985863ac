// Step 2. The filters that the library lacks or that differ from Jinja2's, by name.

import type { Environment, Value } from "./library.ts"
import { strip } from "./methods.ts"
import { testNamed } from "./predicates.ts"
import { pythonJson, pythonStr } from "./python.ts"
import { ArrayValue, IntegerValue, ObjectValue, StringValue, UndefinedValue } from "./values.ts"

export type Filter = (
  operand: Value,
  args: readonly Value[],
  named: ReadonlyMap<string, Value>,
  scope: Environment,
) => Value

export const filters: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ["count", (operand) => new IntegerValue(lengthOf(operand))],
  ["items", (operand) => new ArrayValue(itemsOf(operand))],
  ["join", join],
  ["length", (operand) => new IntegerValue(lengthOf(operand))],
  ["list", (operand) => new ArrayValue(listOf(operand))],
  ["reject", (operand, args, _, scope) => choose("reject", operand, args, scope)],
  ["select", (operand, args, _, scope) => choose("select", operand, args, scope)],
  ["string", (operand) => new StringValue(pythonStr(operand))],
  ["tojson", toJson],
  ["trim", (operand, [characters]) => new StringValue(strip(pythonStr(operand), "both", characters))],
])

function lengthOf(value: Value): number {
  if (value instanceof ObjectValue) return value.value.size
  return listOf(value).length
}

function listOf(value: Value): Value[] {
  if (value instanceof ArrayValue) return value.value
  if (value instanceof UndefinedValue) return []
  const parts =
    value instanceof ObjectValue
      ? [...value.value.keys()]
      : value instanceof StringValue
        ? [...value.value]
        : undefined
  if (!parts) throw new Error(`a ${value.type} has no items`)
  return parts.map((part) => new StringValue(part))
}

function itemsOf(value: Value): Value[] {
  if (value instanceof UndefinedValue) return []
  if (!(value instanceof ObjectValue)) throw new Error("Can only get item pairs from a mapping.")
  return Array.from(value.value, ([key, item]) => new ArrayValue([new StringValue(key), item]))
}

function join(operand: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): Value {
  if (args.length > 1 || named.has("attribute"))
    throw new Error("join by attribute is not supported: use map first")
  const separator = args[0] ?? named.get("d")
  return new StringValue(
    listOf(operand)
      .map(pythonStr)
      .join(separator ? pythonStr(separator) : ""),
  )
}

function choose(
  kept: "select" | "reject",
  operand: Value,
  args: readonly Value[],
  scope: Environment,
): Value {
  const [name, ...rest] = args
  const test = name ? testNamed(pythonStr(name), scope) : (item: Value) => item.__bool__().value
  return new ArrayValue(listOf(operand).filter((item) => test(item, ...rest) === (kept === "select")))
}

/** With the arguments of Transformers' `tojson`, which stands for Jinja2's own in chat templates. */
function toJson(operand: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): Value {
  const [ascii, indent, separators, sorted] = ["ensure_ascii", "indent", "separators", "sort_keys"].map(
    (name, i) => args[i] ?? named.get(name),
  )
  const pair = separators instanceof ArrayValue ? separators.value.map(pythonStr) : undefined
  return new StringValue(
    pythonJson(operand, {
      escape: ascii?.__bool__().value ? "non-ascii" : "controls",
      indent: indent instanceof IntegerValue ? indent.value : undefined,
      order: sorted?.__bool__().value ? "sorted" : "given",
      separators: pair && [pair[0], pair[1]],
    }),
  )
}
