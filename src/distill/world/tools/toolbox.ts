// Step 6. The purposes that a task needs in, the tools that the assistant is shown out, with others among them.

import type { Tool } from "../../../types.ts"
import { assert } from "../../../util/errors.ts"
import type { Language, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { nameTool, pickNaming } from "./kit.ts"
import type { NamedTool } from "./kit.ts"
import { purposeNames, purposes } from "./purposes.ts"
import type { PurposeName } from "./purposes.ts"

export interface Toolbox {
  readonly tools: readonly Tool[]
  readonly content: readonly string[]
  has(purpose: PurposeName): boolean
  /** The tool of this purpose, which must be in the box. */
  of(purpose: PurposeName): NamedTool
  /** A line of a thought: the tool as the prompt has it. */
  choice(purpose: PurposeName): string
}

export function toolbox(
  inside: readonly PurposeName[],
  random: Random,
  split: Split,
  language: Language,
  naming = pickNaming(random),
): Toolbox {
  const named = new Map(
    inside.map((purpose) => [purpose, nameTool(purposes[purpose], random, split, language, naming)]),
  )
  const of = (purpose: PurposeName) => {
    const tool = named.get(purpose)
    assert(tool, `the toolbox has no ${purpose}`)
    return tool
  }
  return {
    tools: random.shuffle([...named.values()]).map(({ tool }) => tool),
    content: [...named.values()].map(({ content }) => content),
    has: (purpose) => named.has(purpose),
    of,
    choice: (purpose) => `\n${of(purpose).quote}`,
  }
}

/** Tools that do something else. */
export function otherPurposes(used: readonly PurposeName[], random: Random, most: number): PurposeName[] {
  const unused = purposeNames.filter((name) => !used.includes(name))
  return random.sample(unused, random.between(0, most))
}
