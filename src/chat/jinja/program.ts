// Step 2. A parsed template in, the same one prepared out: which nodes are printed and which are looped over, and
// a fresh scope at the begin of every loop's body. Knows the library's syntax tree.

import type { Node } from "./library.ts"

export type Roles = WeakMap<Node, "output" | "iterable">

const statements = new Set([
  "Set",
  "If",
  "For",
  "Macro",
  "CallStatement",
  "FilterStatement",
  "Break",
  "Continue",
  "Comment",
  "FreshScope",
])

export function prepare(program: Node): Roles {
  const roles: Roles = new WeakMap()
  prepareBlock(program.body, roles)
  return roles
}

function prepareBlock(block: Node[] | undefined, roles: Roles): void {
  for (const node of block ?? []) {
    if (!statements.has(node.type)) roles.set(node, "output")
    prepareBlock(node.body, roles)
    prepareBlock(node.alternate, roles)
    prepareBlock(node.defaultBlock, roles)
    if (node.type !== "For") continue
    roles.set(node.iterable.type === "SelectExpression" ? node.iterable.lhs : node.iterable, "iterable")
    node.body?.unshift(freshScope(node.loopvar))
  }
}

/** What a loop's body sets is gone in its next turn; the library would keep it. */
function freshScope(loopvar: Node): Node {
  const names = loopvar.type === "TupleLiteral" ? (loopvar.value as Node[]) : [loopvar]
  const keep = new Set(["namespace", "loop", ...names.map((name) => String(name.value))])
  return { type: "FreshScope", keep } as unknown as Node
}
