// Step 2. What is used of the Jinja library, typed here: its own declarations import without file endings, which
// Node's module rules do not resolve.

import * as library from "@huggingface/jinja"

/** A value while a template runs. */
export interface Value {
  readonly type: string
  readonly value: unknown
  readonly builtins: ReadonlyMap<string, Value>
  __bool__(): { readonly value: boolean }
  toString(): string
}

export type Test = (value: Value, ...args: Value[]) => boolean

export interface Environment {
  readonly variables: Map<string, Value>
  readonly tests: ReadonlyMap<string, Test>
  /** Declares a variable from a plain value. */
  set(name: string, value: unknown): Value
  setVariable(name: string, value: Value): Value
}

/** A node of the syntax tree; `type` says which of these fields it has. */
export interface Node {
  readonly type: string
  readonly body?: Node[]
  readonly alternate?: Node[]
  readonly defaultBlock?: Node[]
  readonly loopvar: Node
  readonly iterable: Node
  readonly lhs: Node
  readonly left: Node
  readonly right: Node
  readonly operator: { readonly value: string }
  readonly object: Node
  readonly property: Node
  readonly computed: boolean
  readonly operand: Node
  readonly filter: Node
  readonly callee: Node
  readonly args: Node[]
  readonly key: Node
  readonly value: unknown
  readonly test: { readonly value: string }
  readonly negate: boolean
  /** Of our own node "Held". */
  readonly held: Value
  /** Of our own node "FreshScope". */
  readonly keep: ReadonlySet<string>
}

export interface Token {
  readonly type: string
  readonly value: string
}

interface Interpreter {
  evaluate(node: Node | undefined, scope: Environment): Value
}

export const { Environment, Interpreter, parse, tokenize } = library as unknown as {
  Environment: new () => Environment
  Interpreter: new () => Interpreter
  parse(tokens: readonly Token[]): Node
  tokenize(source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): Token[]
}
