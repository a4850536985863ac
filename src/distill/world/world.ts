// Step 6. A split, a seed and a choice of tasks in, an endless stream of verified problems out, the same on every
// machine. Each task has a weight in the mix.

import { assert } from "../../util/errors.ts"
import { wordKinds } from "./math/kinds.ts"
import { wordProblem } from "./math/word-problem.ts"
import type { Language, Problem, Split } from "./problem.ts"
import { Random } from "./random.ts"
import { queueProblem } from "./talk/circular-queue.ts"
import { copyProblem } from "./talk/copying.ts"
import { instructionProblem } from "./talk/instructions.ts"
import { jsonProblem } from "./talk/json-form.ts"
import { recallProblem } from "./talk/recall.ts"
import type { RecallOptions } from "./talk/recall.ts"
import { recordsProblem } from "./talk/records.ts"
import { outsideQuestion, smallTalk } from "./talk/small-talk.ts"
import { calculatorProblem } from "./tools/calculator.ts"
import { lookupProblem } from "./tools/lookup.ts"
import { noToolProblem } from "./tools/no-tool.ts"
import { shopProblem } from "./tools/shop.ts"
import { toolChoiceProblem } from "./tools/tool-choice.ts"

export interface ProblemOptions {
  /** Some of `taskNames`; all of them without. */
  readonly tasks?: readonly string[]
  readonly split: Split
  readonly seed: number
  readonly languages?: readonly Language[]
  /** For the tool tasks; both kinds without. */
  readonly faults?: Problem["faults"]
  readonly recall?: RecallOptions
}

type Draw = (random: Random, language: Language, options: ProblemOptions) => Problem

interface Task {
  readonly name: string
  readonly weight: number
  readonly draw: Draw
}

const faultsIn = (random: Random, { faults }: ProblemOptions) =>
  faults ?? (random.chance(0.5) ? "injected" : "none")

/** The parts of "dialogue", with their weights in it. */
const dialogues: readonly { weight: number; draw: typeof smallTalk }[] = [
  { weight: 3, draw: smallTalk },
  { weight: 3, draw: outsideQuestion },
  { weight: 4, draw: instructionProblem },
  { weight: 3, draw: jsonProblem },
  { weight: 1, draw: queueProblem },
]

const tasks: readonly Task[] = [
  ...wordKinds.map(({ kind, weight }) => ({
    name: kind.task,
    weight,
    draw: (random: Random, language: Language, { split }: ProblemOptions) =>
      wordProblem(kind, random, split, language),
  })),
  {
    name: "tool-flow",
    weight: 12,
    draw: (random, language, options) =>
      shopProblem(random, options.split, language, faultsIn(random, options)),
  },
  {
    name: "tool-lookup",
    weight: 6,
    draw: (random, language, options) =>
      lookupProblem(random, options.split, language, faultsIn(random, options)),
  },
  {
    name: "tool-calculator",
    weight: 3,
    draw: (random, language, options) =>
      calculatorProblem(random, options.split, language, faultsIn(random, options)),
  },
  {
    name: "tool-none",
    weight: 3,
    draw: (random, language, { split }) => noToolProblem(random, split, language),
  },
  {
    name: "tool-choice",
    weight: 3,
    draw: (random, language, { split }) => toolChoiceProblem(random, split, language),
  },
  {
    name: "recall",
    weight: 12,
    draw: (random, language, { split, recall }) => recallProblem(random, split, language, recall),
  },
  {
    name: "copying",
    weight: 6,
    draw: (random, language, { split }) => copyProblem(random, split, language),
  },
  {
    name: "records",
    weight: 6,
    draw: (random, language, { split }) => recordsProblem(random, split, language),
  },
  {
    name: "dialogue",
    weight: 10,
    draw: (random, language, { split }) => weighted(random, dialogues).draw(random, split, language),
  },
]

export const taskNames: readonly string[] = tasks.map(({ name }) => name)
export const wordTasks: readonly string[] = wordKinds.map(({ kind }) => kind.task)
export const toolTasks: readonly string[] = taskNames.filter((name) => name.startsWith("tool-"))

export function* problems(options: ProblemOptions): Generator<Problem, never> {
  for (const name of options.tasks ?? [])
    assert(taskNames.includes(name), `no task is called ${name}; there are ${taskNames.join(", ")}`)
  const chosen = tasks.filter(({ name }) => options.tasks?.includes(name) ?? true)
  const random = new Random(options.seed)
  const languages = options.languages ?? (["en", "en", "zh"] as const)
  for (;;) yield weighted(random, chosen).draw(random, random.pick(languages), options)
}

function weighted<T extends { readonly weight: number }>(random: Random, items: readonly T[]): T {
  let rest = random.next() * items.reduce((sum, { weight }) => sum + weight, 0)
  return items.find(({ weight }) => (rest -= weight) < 0) ?? items[items.length - 1]
}
