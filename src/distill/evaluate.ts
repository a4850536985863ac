// Step 6. A policy and a set of held-out problems in, how many it solves out, by task and mode, with intervals; and what
// two policies differ by on the same problems. Knows verdicts; never how a model was trained.

import type { Problems } from "./dataset.ts"
import { handWritten } from "./world/hand-written.ts"
import type { Policy } from "./policy.ts"
import type { EvaluationSet } from "./recipe.ts"
import { rollouts } from "./rollout.ts"
import type { Task } from "./rollout.ts"
import { seedOf, seedOfText } from "./seeds.ts"
import { meanOf, pairedDifference, passAtK, rateOf } from "./statistics.ts"
import type { PairedDifference } from "./statistics.ts"
import type { Mode, Problem } from "./world/problem.ts"

/** What became of one problem. */
export interface Outcome {
  readonly task: string
  readonly language: Problem["language"]
  readonly faults: Problem["faults"]
  readonly samples: number
  readonly solved: number
  /** Why the first unsolved sample was not. */
  readonly why?: string
}

export interface SetResult {
  readonly set: string
  readonly mode: Mode
  readonly seconds: number
  readonly replyTokens: number
  /** In the order of the problems, which is the same for every policy. */
  readonly outcomes: readonly Outcome[]
}

export interface EvaluationOptions {
  seed: number
  signal?: AbortSignal
  /** Told how many of the set's samples are done. */
  onProgress?: (done: number, all: number) => void
}

/** A set's distinct problems; fewer than asked for where there are no more. */
export function evaluationProblems(problems: Problems, set: EvaluationSet, seed: number): Problem[] {
  if (set.source === "hand-written") return handWritten.slice(0, set.problems)
  const { tasks, languages, faults, recall } = set
  const draws = seedOf(seed, seedOfText(set.name))
  const source = problems({ tasks, languages, faults, recall, split: "held-out", seed: draws })
  const chosen = new Map<string, Problem>()
  for (let drawn = 0; chosen.size < set.problems && drawn < 20 * set.problems; drawn++) {
    const { value: problem, done } = source.next()
    if (done) break
    chosen.set(JSON.stringify([problem.task, problem.messages, problem.tools]), problem)
  }
  return [...chosen.values()]
}

/** Answers every problem in one mode, `sampling.perPrompt` times. */
export async function evaluate(
  policy: Policy,
  problems: readonly Problem[],
  { set, mode }: { set: Pick<EvaluationSet, "name" | "sampling">; mode: Mode },
  { seed, signal, onProgress }: EvaluationOptions,
): Promise<SetResult> {
  const { temperature, maxTokens, perPrompt } = set.sampling
  const tasks: Task[] = problems.flatMap((problem, i) =>
    Array.from({ length: perPrompt }, (_, sample) => ({ problem, mode, seed: seedOf(seed, i, sample) })),
  )
  const start = performance.now()
  let done = 0
  const results = await rollouts(policy, tasks, { temperature, maxTokens, signal }, () =>
    onProgress?.(++done, tasks.length),
  )
  const outcomes = problems.map(({ task, language, faults }, i) => {
    const samples = results.slice(i * perPrompt, (i + 1) * perPrompt)
    const why = samples.find(({ solved }) => !solved)?.why
    const solved = samples.filter((sample) => sample.solved).length
    return { task, language, faults, samples: perPrompt, solved, ...(why !== undefined && { why }) }
  })
  const replyTokens = results.reduce((sum, result) => sum + result.replyTokens, 0)
  return { set: set.name, mode, seconds: (performance.now() - start) / 1000, replyTokens, outcomes }
}

export interface Accuracy {
  readonly rate: number
  readonly low: number
  readonly high: number
  readonly problems: number
  /** The chance that one of k samples is right, where there are k of each. */
  readonly passAtK?: { readonly k: number; readonly rate: number }
}

/** Wilson's interval for one sample each; of several, that of the problems' means. */
export function accuracyOf(outcomes: readonly Outcome[]): Accuracy {
  const problems = outcomes.length
  const solved = outcomes.reduce((sum, outcome) => sum + outcome.solved, 0)
  const k = outcomes[0]?.samples ?? 1
  if (k === 1) {
    const { rate, low, high } = rateOf(solved, problems)
    return { rate, low, high, problems }
  }
  const { mean: rate, low, high } = meanOf(outcomes.map((outcome) => outcome.solved / outcome.samples))
  const pass = outcomes.reduce((sum, outcome) => sum + passAtK(outcome.samples, outcome.solved, k), 0)
  const bounds = { low: Math.max(0, low), high: Math.min(1, high) }
  return { rate, ...bounds, problems, passAtK: { k, rate: pass / problems } }
}

/** The outcomes of each task, in the order in which they first appear. */
export function byTask(outcomes: readonly Outcome[]): Map<string, Outcome[]> {
  const groups = new Map<string, Outcome[]>()
  for (const outcome of outcomes) {
    const group = groups.get(outcome.task)
    if (group) group.push(outcome)
    else groups.set(outcome.task, [outcome])
  }
  return groups
}

/** Second minus first, on problems that both were given once each. */
export function compare(first: SetResult, second: SetResult): PairedDifference {
  const solved = ({ outcomes }: SetResult) => outcomes.map((outcome) => (outcome.solved > 0 ? 1 : 0))
  return pairedDifference(solved(first), solved(second))
}
