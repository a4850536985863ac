// Step 6. What a stage learns from, batch by batch: verified traces, a teacher's samples, or the student's own with the
// teacher's logits. Knows where text comes from; never how it is learned.

import type { Problems } from "./dataset.ts"
import { ExamplePool, Traces, drawProblems } from "./dataset.ts"
import { nothingToLearn, packed } from "./packing.ts"
import type { Example } from "./packing.ts"
import type { Policy } from "./policy.ts"
import type { Mix, OffPolicyStage, OnPolicyStage, SamplingPlan, TracesStage } from "./recipe.ts"
import { rollouts } from "./rollout.ts"
import type { Task, Written } from "./rollout.ts"
import type { RunFolder } from "./run-folder.ts"
import { loadSamples, sampleTeacher } from "./samples.ts"
import type { Surroundings } from "./samples.ts"
import { seedOf } from "./seeds.ts"
import type { TrainBatch } from "./train/batch.ts"

export interface Lesson {
  readonly batch: TrainBatch
  /** [rows, vocab]; where they are, they are learned in place of the targets. */
  readonly teacherLogits?: Float32Array
}

export interface Course {
  /** The lesson of step `step`, when this share of the stage is done. */
  next(step: number, share: number): Promise<Lesson>
  /** Exports that were sampled from so far. */
  readonly rounds: number
  /** A checkpoint can be gone on from only where nothing sampled is left over. */
  readonly state: "resumable" | "within a round"
}

export function tracesCourse(stage: TracesStage, seed: number, { problems, encode }: Surroundings): Course {
  const { mix, promptWeight } = stage
  const traces = new Traces({ problems, encode, mix, promptWeight, seed })
  return {
    rounds: 0,
    state: "resumable",
    async next(step, share) {
      const { maxTokens } = stage.curriculum.find(({ until }) => share < until) ?? stage.curriculum.at(-1)!
      return { batch: traces.batch(step, stage.batchTokens, maxTokens) }
    },
  }
}

/** Asks the teacher for what is not in the file yet, at the first lesson. */
export function offPolicyCourse(
  stage: OffPolicyStage,
  seed: number,
  teacher: () => Promise<Policy>,
  { folder, file }: { folder: RunFolder; file: string },
  surroundings: Surroundings,
): Course {
  let pool: ExamplePool | undefined
  const open = async () => {
    const tasks = drawTasks(surroundings.problems, stage.mix, stage, seed)
    await sampleTeacher(teacher, tasks, stage.sampling, { folder, file }, surroundings)
    return new ExamplePool(loadSamples(folder, file, stage.keep), stage.batchTokens, seed)
  }
  return {
    rounds: 0,
    state: "resumable",
    async next(step) {
      pool ??= await open()
      return { batch: pool.batch(step) }
    },
  }
}

export interface OnPolicyModels {
  /** The student as it is now, ready to sample from. */
  student(): Promise<Policy>
  teacherLogits(batch: TrainBatch): Promise<Float32Array> | Float32Array
}

export class OnPolicyCourse implements Course {
  readonly #stage: OnPolicyStage
  readonly #seed: number
  readonly #models: OnPolicyModels
  readonly #surroundings: Surroundings
  #batches: TrainBatch[] = []
  #rounds: number

  /** `rounds` that were over before. */
  constructor(
    stage: OnPolicyStage,
    seed: number,
    rounds: number,
    models: OnPolicyModels,
    surroundings: Surroundings,
  ) {
    this.#stage = stage
    this.#seed = seed
    this.#rounds = rounds
    this.#models = models
    this.#surroundings = surroundings
  }

  get rounds(): number {
    return this.#rounds
  }

  get state(): Course["state"] {
    return this.#batches.length === 0 ? "resumable" : "within a round"
  }

  async next(): Promise<Lesson> {
    while (this.#batches.length === 0) this.#batches = await this.#sample()
    const [batch] = this.#batches.splice(0, 1)
    return { batch, teacherLogits: await this.#models.teacherLogits(batch) }
  }

  async #sample(): Promise<TrainBatch[]> {
    const { sampling, batchTokens, mix } = this.#stage
    const { problems, signal, onSamples } = this.#surroundings
    const tasks = drawTasks(problems, mix, this.#stage, seedOf(this.#seed, this.#rounds++))
    const student = await this.#models.student()
    try {
      let done = 0
      const options = { ...sampling, signal }
      const results = await rollouts(student, tasks, options, () => onSamples?.(++done, tasks.length))
      const examples = results.flatMap(({ texts }) => texts.map(exampleOf))
      const batches = [...packed(examples, batchTokens)]
      if (batches.length === 0) throw nothingToLearn(batchTokens)
      return batches
    } finally {
      await student.free()
    }
  }
}

/** A problem as often as it is to be sampled, each time with a seed of its own. */
function drawTasks(
  problems: Problems,
  mix: Mix,
  { prompts, sampling }: { prompts: number; sampling: SamplingPlan },
  seed: number,
): Task[] {
  const tasks: Task[] = []
  let prompt = 0
  for (const drawn of drawProblems(problems, mix, "train", seed)) {
    for (let sample = 0; sample < sampling.perPrompt; sample++)
      tasks.push({ ...drawn, seed: seedOf(seed, prompt, sample) })
    if (++prompt === prompts) break
  }
  return tasks
}

/** Only what the model wrote itself is learned from. */
export function exampleOf({ ids, written }: Written): Example {
  return { ids, weights: Float32Array.from(written) }
}
