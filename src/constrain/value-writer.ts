// Between steps 1 and 4. What objects, arrays and strings ask of the writer of the whole schema.

import type { Json } from "../types.ts"
import type { Grammar } from "./grammar.ts"

export interface ValueWriter {
  readonly grammar: Grammar
  /** Whitespace between the parts of a value. */
  readonly space: string
  /** Any JSON string. */
  readonly text: string
  /** One schema; nothing where no value satisfies it. */
  value(schema: Json, path: string): string | undefined
  /** The schema that a reference leads to in the end. */
  resolve(schema: Json, path: string): Json
}
