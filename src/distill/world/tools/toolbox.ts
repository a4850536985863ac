// Step 6. The purposes that a task needs in, the tools that the assistant is shown out, with others among them.

import type { Tool } from "../../../types.ts"
import { assert } from "../../../util/errors.ts"
import type { Language, Slip, Split } from "../problem.ts"
import type { Random } from "../random.ts"
import { nameTool, pickNaming } from "./kit.ts"
import type { NamedTool } from "./kit.ts"
import { purposeNames, purposes } from "./purposes.ts"
import type { PurposeName } from "./purposes.ts"

export interface Toolbox {
  readonly tools: readonly Tool[]
  readonly content: readonly string[]
  /** What `choice` says of a tool that it is not. */
  readonly slips: readonly Slip[]
  has(purpose: PurposeName): boolean
  /** The tool of this purpose, which must be in the box. */
  of(purpose: PurposeName): NamedTool
  /** Lines of a thought: the tool as the prompt has it, often others first, which it is not. */
  choice(purpose: PurposeName, random: Random): string
}

/**
 * To find a tool by what it is for, one has to look back from its description to its name, which goes wrong at times. So a
 * thought quotes both, which is mere copying, reads there what the name is for, and goes on from a wrong one. Half of the
 * times wrong ones come first, which is not learned, only how to go on from them.
 */
const wrongFirst = 0.5
const mostWrong = 2
const notIt = { en: ", no", zh: ", 不是" }

export function toolbox(
  inside: readonly PurposeName[],
  random: Random,
  split: Split,
  language: Language,
): Toolbox {
  const naming = pickNaming(random)
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
    slips: [...named.values()].map(({ quote }) => ({ text: quote, mend: notIt[language] })),
    has: (purpose) => named.has(purpose),
    of,
    choice(purpose, drawn) {
      const others = [...named.keys()].filter((other) => other !== purpose)
      const isWrongFirst = others.length > 0 && drawn.chance(wrongFirst)
      const wrong = isWrongFirst
        ? drawn.sample(others, drawn.between(1, Math.min(mostWrong, others.length)))
        : []
      const lines = [...wrong.map((other) => of(other).quote + notIt[language]), of(purpose).quote]
      return lines.map((line) => `\n${line}`).join("")
    },
  }
}

/** Tools that do something else. */
export function otherPurposes(used: readonly PurposeName[], random: Random, most: number): PurposeName[] {
  const unused = purposeNames.filter((name) => !used.includes(name))
  return random.sample(unused, random.between(0, most))
}
