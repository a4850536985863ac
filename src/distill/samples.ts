// Step 6. A teacher's replies, kept in a file line by line as they come, so that a run that is stopped goes on where it
// was; and the examples that are read from it. Knows what is worth keeping; never how it is learned.

import { UserError } from "../util/errors.ts"
import type { EncodeTrace, Problems } from "./dataset.ts"
import type { Example } from "./packing.ts"
import type { Policy } from "./policy.ts"
import type { OffPolicyStage, SamplingPlan } from "./recipe.ts"
import { rollouts } from "./rollout.ts"
import type { Rollout, Task } from "./rollout.ts"
import type { RunFolder } from "./run-folder.ts"

/** What courses take from the run that they are part of. */
export interface Surroundings {
  readonly problems: Problems
  readonly encode: EncodeTrace
  readonly signal?: AbortSignal
  /** How much of the sampling under way is done. */
  readonly onSamples?: (done: number, all: number) => void
}

interface Sample {
  /** Number of the task. */
  readonly task: number
  readonly solved: boolean
  readonly texts: readonly { ids: readonly number[]; weights: readonly number[] }[]
}

interface Place {
  readonly folder: RunFolder
  readonly file: string
}

/** Asks for what is missing; the teacher is opened only if something is. */
export async function sampleTeacher(
  teacher: () => Promise<Policy>,
  tasks: readonly Task[],
  sampling: SamplingPlan,
  { folder, file }: Place,
  surroundings: Pick<Surroundings, "encode" | "signal" | "onSamples">,
): Promise<void> {
  const there = new Set(folder.lines<Sample>(file).map(({ task }) => task))
  const missing = tasks.flatMap((task, number) => (there.has(number) ? [] : [{ ...task, number }]))
  if (missing.length === 0) return
  const { signal, onSamples, encode } = surroundings
  const policy = await teacher()
  try {
    let done = there.size
    await rollouts(policy, missing, { ...sampling, signal }, (rollout, i) => {
      const { number, ...task } = missing[i]
      const texts = examplesOf(rollout, task, encode).map(({ ids, weights }) => ({
        ids: [...ids],
        weights: [...weights],
      }))
      folder.append(file, JSON.stringify({ task: number, solved: rollout.solved, texts } satisfies Sample))
      onSamples?.(++done, tasks.length)
    })
  } finally {
    await policy.free()
  }
}

/** The ids themselves where the teacher told them; else its messages, as this model would have written them. */
function examplesOf(rollout: Rollout, { problem, mode }: Task, encode: Surroundings["encode"]): Example[] {
  if (rollout.texts.length > 0)
    return rollout.texts.map(({ ids, written }) => ({ ids, weights: Float32Array.from(written) }))
  return [...encode({ ...problem, trace: () => rollout.messages }, mode, 0)]
}

/** In the tasks' order, whatever order they came in. */
export function loadSamples(folder: RunFolder, file: string, keep: OffPolicyStage["keep"]): Example[] {
  const samples = folder.lines<Sample>(file).sort((a, b) => a.task - b.task)
  const kept = samples.filter(({ solved }) => keep === "all" || solved)
  const examples = kept.flatMap(({ texts }) =>
    texts.map(({ ids, weights }) => ({ ids: Int32Array.from(ids), weights: Float32Array.from(weights) })),
  )
  if (examples.length > 0) return examples
  throw new UserError(
    "bad-argument",
    `none of the teacher's ${samples.length} samples is right, so there is nothing to learn: train the teacher longer, or keep "all"`,
  )
}
