// Step 2. Jinja's `is` tests that the library lacks or decides differently from Jinja2, and Python's equality.

import type { Environment, Test, Value } from "./library.ts"
import {
  ArrayValue,
  BooleanValue,
  FloatValue,
  IntegerValue,
  ObjectValue,
  StringValue,
  UndefinedValue,
} from "./values.ts"

const isSequence: Test = (value) =>
  [ArrayValue, ObjectValue, StringValue, UndefinedValue].some((kind) => value instanceof kind)

const tests = new Map<string, Test>([
  ["==", isEqual],
  ["eq", isEqual],
  ["equalto", isEqual],
  ["in", isMember],
  ["iterable", isSequence],
  ["number", (value) => numberOf(value) !== undefined],
  ["sequence", isSequence],
])

/** Ours if there is one, else the library's. */
export function testNamed(name: string, scope: Environment): Test {
  const test = tests.get(name) ?? scope.tests.get(name)
  if (!test) throw new Error(`there is no test named "${name}"`)
  return test
}

/** As Python compares: numbers by value, containers by their items, nothing across kinds. */
export function isEqual(a: Value, b: Value): boolean {
  const number = numberOf(a)
  if (number !== undefined) return number === numberOf(b)
  if (a instanceof ArrayValue && b instanceof ArrayValue)
    return a.value.length === b.value.length && a.value.every((item, i) => isEqual(item, b.value[i]))
  if (a instanceof ObjectValue && b instanceof ObjectValue)
    return a.value.size === b.value.size && [...a.value].every(([key, item]) => isEntry(b.value, key, item))
  return a.type === b.type && a.value === b.value
}

function isEntry(entries: ReadonlyMap<string, Value>, key: string, item: Value): boolean {
  const other = entries.get(key)
  return other !== undefined && isEqual(item, other)
}

/** Python's `in`; nothing is in an undefined value. */
export function isMember(value: Value, container: Value): boolean {
  if (container instanceof ArrayValue) return container.value.some((item) => isEqual(value, item))
  if (container instanceof ObjectValue)
    return value instanceof StringValue && container.value.has(value.value)
  if (container instanceof UndefinedValue) return false
  if (value instanceof StringValue && container instanceof StringValue)
    return container.value.includes(value.value)
  throw new Error(`a ${value.type} cannot be looked for in a ${container.type}`)
}

function numberOf(value: Value): number | undefined {
  if (value instanceof BooleanValue) return Number(value.value)
  return value instanceof IntegerValue || value instanceof FloatValue ? value.value : undefined
}
