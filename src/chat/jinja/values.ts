// Step 2. Plain values in, the Jinja library's runtime values out. Knows the library's classes, which it does not
// export: each is taken from a value that the library itself made.

import type { Json } from "../../types.ts"
import { numberSource } from "../json.ts"
import { Environment } from "./library.ts"
import type { Value } from "./library.ts"

type Callable = (args: Value[]) => Value

type Constructor<T> = new (value: T) => Value & { readonly value: T }

const classOf = <T>(sample: unknown) => new Environment().set("sample", sample).constructor as Constructor<T>

export const StringValue = classOf<string>("")
export const IntegerValue = classOf<number>(0)
export const FloatValue = classOf<number>(0.5)
export const BooleanValue = classOf<boolean>(true)
export const NullValue = classOf<null>(null)
export const UndefinedValue = classOf<undefined>(undefined)
export const ArrayValue = classOf<Value[]>([])
export const ObjectValue = classOf<Map<string, Value>>({})
export const FunctionValue = classOf<Callable>(() => null)

/** The digits of integers that a JavaScript number cannot hold. */
const digits = new WeakMap<Value, string>()

export function digitsOf(value: Value): string | undefined {
  return digits.get(value)
}

/** A plain value as the template sees it. Integral numbers are integers unless their source text says float. */
export function toValue(plain: Json | undefined, source?: string): Value {
  switch (typeof plain) {
    case "string":
      return new StringValue(plain)
    case "boolean":
      return new BooleanValue(plain)
    case "number":
      return toNumber(plain, source)
    case "object":
      return plain === null ? new NullValue(null) : toContainer(plain)
    default:
      return new UndefinedValue(undefined)
  }
}

function toNumber(plain: number, source: string | undefined): Value {
  const isInteger =
    source === undefined ? Number.isInteger(plain) && Math.abs(plain) < 1e21 : /^-?\d+$/.test(source)
  if (!isInteger) return new FloatValue(plain)
  const value = new IntegerValue(plain)
  if (source !== undefined) digits.set(value, source === "-0" ? "0" : source)
  return value
}

function toContainer(plain: readonly Json[] | { readonly [key: string]: Json }): Value {
  if (Array.isArray(plain))
    return new ArrayValue(plain.map((item: Json, i) => toValue(item, numberSource(plain, String(i)))))
  const entries = new Map<string, Value>()
  for (const [key, value] of Object.entries(plain))
    if (value !== undefined) entries.set(key, toValue(value, numberSource(plain, key)))
  return new ObjectValue(entries)
}
