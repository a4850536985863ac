// Step 6. Training text without end: problems of the world, drawn by weight, as packed batches. A batch depends on the
// seed and its number only, so that a stage goes on at any of them.

import { UserError } from "../util/errors.ts"
import type { Example } from "./packing.ts"
import { Packer, nothingToLearn, teaches } from "./packing.ts"
import type { Mix } from "./recipe.ts"
import { seedOf, seedOfText } from "./seeds.ts"
import type { TrainBatch } from "./train/batch.ts"
import type { Mode, Problem, Split } from "./world/problem.ts"
import { Random } from "./world/random.ts"
import type { ProblemOptions } from "./world/world.ts"

/** The world, or a part of it: problems without end, the same for the same seed. */
export type Problems = (options: ProblemOptions) => Iterator<Problem>

/** A problem's trace as one text or several; what the assistant did not write has the weight given. */
export type EncodeTrace = (problem: Problem, mode: Mode, promptWeight: number) => readonly Example[]

/** So many problems in a row that are all too long mean that no shorter ones exist. */
const mostSkipped = 2000

export interface Drawn {
  readonly problem: Problem
  readonly mode: Mode
}

/** Problems of a mix with the mode that each is answered in. */
export function* drawProblems(problems: Problems, mix: Mix, split: Split, seed: number): Generator<Drawn> {
  const random = new Random(seed)
  const { languages } = mix
  const weights = Object.entries(mix.tasks)
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
  const sources = new Map<string, Iterator<Problem>>()
  const sourceOf = (task: string) => {
    const opened = sources.get(task)
    if (opened) return opened
    const tasks = task === "" ? undefined : [task]
    const source = problems({ tasks, split, languages, seed: seedOf(seed, seedOfText(task)) })
    sources.set(task, source)
    return source
  }
  for (;;) {
    let target = random.next() * total
    const chosen = weights.find(([, weight]) => (target -= weight) < 0)
    const { value: problem, done } = sourceOf((chosen ?? weights.at(-1))?.[0] ?? "").next()
    if (done) return
    yield { problem, mode: random.chance(mix.thinking) ? "thinking" : "plain" }
  }
}

export interface TracesOptions {
  readonly problems: Problems
  readonly encode: EncodeTrace
  readonly mix: Mix
  readonly promptWeight: number
  readonly seed: number
}

export class Traces {
  readonly #options: TracesOptions

  constructor(options: TracesOptions) {
    this.#options = options
  }

  /** Batch `index`: so many rows, of examples no longer than `maxTokens`. */
  batch(index: number, rows: number, maxTokens: number): TrainBatch {
    const { problems, encode, mix, promptWeight, seed } = this.#options
    const packer = new Packer(rows)
    let skipped = 0
    for (const { problem, mode } of drawProblems(problems, mix, "train", seedOf(seed, index))) {
      const examples = encode(problem, mode, promptWeight)
      skipped = examples.some(({ ids }) => ids.length > maxTokens) ? skipped + 1 : 0
      if (skipped > mostSkipped) throw allTooLong(maxTokens)
      if (skipped === 0) for (const example of examples) packer.add(example)
      if (packer.isFull) break
    }
    return packer.take()
  }
}

/** Batches of a fixed set of examples, drawn at random. */
export class ExamplePool {
  readonly #examples: readonly Example[]
  readonly #rows: number
  readonly #seed: number

  /** Batches of so many rows, of the examples that teach something within them. */
  constructor(examples: readonly Example[], rows: number, seed: number) {
    this.#examples = examples.filter((example) => teaches(example, rows))
    if (this.#examples.length === 0) throw nothingToLearn(rows)
    this.#rows = rows
    this.#seed = seed
  }

  batch(index: number): TrainBatch {
    const random = new Random(seedOf(this.#seed, index))
    const packer = new Packer(this.#rows)
    while (!packer.isFull) packer.add(random.pick(this.#examples))
    return packer.take()
  }
}

function allTooLong(maxTokens: number): UserError {
  return new UserError(
    "bad-argument",
    `${mostSkipped} problems in a row are longer than ${maxTokens} tokens: raise maxTokens of the curriculum`,
  )
}
