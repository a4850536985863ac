// Step 6. One stage of one model: lessons in, optimiser steps, a journal entry for each and a checkpoint now and then
// out. Goes on from the latest checkpoint. Knows budgets and rates; never where lessons come from.

import { join } from "node:path"
import { setImmediate as turn } from "node:timers/promises"
import { UserError } from "../util/errors.ts"
import type { Course } from "./courses.ts"
import type { Stage } from "./recipe.ts"
import type { Place, RunFolder } from "./run-folder.ts"
import type { StepReport, Trainer } from "./train/trainer.ts"
import type { Unit } from "./units.ts"

/** What a stage asks of the model that it trains. */
export type Learner = Pick<Trainer, "step" | "distil" | "save">

/** Beside a model's checkpoints: [layers][experts] of its latest stage's last step. */
export const loadFile = "expert-load.json"

export interface TrainingProgress {
  readonly unit: string
  /** Of the stage, from 0 to 1. */
  readonly share: number
  readonly loss: number
  readonly tokensPerSecond: number
  readonly secondsLeft: number
}

export interface UnitOptions {
  folder: RunFolder
  checkpointMinutes: number
  signal?: AbortSignal
  onProgress?: (progress: TrainingProgress) => void
}

/** Ends with a checkpoint that is the beginning of the next stage. */
export async function trainUnit(
  unit: Unit,
  learner: Learner,
  course: Course,
  options: UnitOptions,
): Promise<void> {
  const { folder, checkpointMinutes, signal, onProgress } = options
  const { trainee, stage } = unit
  const save = (place: Place) => folder.saveCheckpoint(trainee.name, place, (path) => learner.save(path))
  let place = folder.placeOf(trainee.name)
  let savedAt = performance.now()
  let load: StepReport["load"] | undefined
  for (let share = shareDone(stage, place); share < 1; share = shareDone(stage, place)) {
    if (signal?.aborted) {
      if (course.state === "resumable") await save(place)
      throw new UserError("cancelled", "the training was cancelled", { cause: signal.reason })
    }
    const start = performance.now()
    const learningRate = learningRateAt(stage, share)
    const { report, tokens } = await learn(learner, course, stage, place, learningRate)
    const seconds = place.seconds + (performance.now() - start) / 1000
    place = {
      ...place,
      steps: place.steps + 1,
      tokens: place.tokens + tokens,
      seconds,
      rounds: course.rounds,
    }
    const { loss, auxiliary, gradientNorm } = report
    const counts = { step: place.steps, tokens: place.tokens, seconds }
    folder.record({ unit: unit.name, ...counts, loss, auxiliary, gradientNorm, learningRate })
    onProgress?.(progressOf(unit, place, loss))
    load = report.load
    if (course.state === "resumable" && performance.now() - savedAt >= 60_000 * checkpointMinutes) {
      await save(place)
      savedAt = performance.now()
    }
    // Lets signals and timers in between steps.
    await turn()
  }
  if (load) folder.write(join(trainee.name, loadFile), JSON.stringify(load.map(sharesOf)))
  await save({ index: unit.index + 1, steps: 0, tokens: 0, seconds: 0, rounds: 0 })
}

/** How much of an even share each expert got. */
function sharesOf(rows: Int32Array): number[] {
  const even = rows.reduce((sum, count) => sum + count, 0) / rows.length
  return Array.from(rows, (count) => count / even)
}

async function learn(learner: Learner, course: Course, stage: Stage, place: Place, learningRate: number) {
  const { batch, teacherLogits } = await course.next(place.steps, shareDone(stage, place))
  const report =
    teacherLogits && stage.kind === "on-policy"
      ? learner.distil(batch, teacherLogits, stage.klMix, { learningRate })
      : learner.step(batch, { learningRate })
  return { report, tokens: batch.ids.length }
}

function shareDone({ budget }: Stage, { tokens, seconds }: Place): number {
  return "tokens" in budget ? tokens / budget.tokens : seconds / (60 * budget.minutes)
}

/** A straight rise, then half a cosine down to the final share (Loshchilov and Hutter 2017, without restarts). */
export function learningRateAt({ learningRate, warmUp, finalRate }: Stage, share: number): number {
  // The first step has a rate too.
  if (share < warmUp) return learningRate * Math.max(share / warmUp, 0.01)
  const fallen = (1 - Math.cos((Math.PI * (share - warmUp)) / (1 - warmUp))) / 2
  return learningRate * (1 - (1 - finalRate) * fallen)
}

function progressOf({ name, stage }: Unit, place: Place, loss: number): TrainingProgress {
  const share = Math.min(1, shareDone(stage, place))
  const secondsLeft = (place.seconds / share) * (1 - share)
  return { unit: name, share, loss, tokensPerSecond: place.tokens / place.seconds, secondsLeft }
}
