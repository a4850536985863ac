// Step 6. A trainee in, its stages trained one after the other: each with the course that its kind asks for. Knows
// which models a stage needs; never how a step is made.

import { OnPolicyCourse, offPolicyCourse, tracesCourse } from "./courses.ts"
import type { Course } from "./courses.ts"
import { RemotePolicy } from "./remote-policy.ts"
import type { RunFolder } from "./run-folder.ts"
import type { Surroundings } from "./samples.ts"
import { trainUnit } from "./train-unit.ts"
import type { UnitOptions } from "./train-unit.ts"
import type { Trainer } from "./train/trainer.ts"
import { unitsOf } from "./units.ts"
import type { Trainee, Unit } from "./units.ts"
import type { Workbench } from "./workbench.ts"

export interface TrainingOptions extends Omit<UnitOptions, "folder"> {
  folder: RunFolder
  workbench: Workbench
  surroundings: Omit<Surroundings, "onSamples">
  /** Told of the replies that a stage samples. */
  onSamples?: (unit: string, done: number, all: number) => void
  /** The unit after which to end. */
  stopAfter?: string
}

/** `stopped`: as was asked for. */
export async function train(trainee: Trainee, options: TrainingOptions): Promise<"finished" | "stopped"> {
  const { folder, workbench, stopAfter } = options
  const { index } = folder.placeOf(trainee.name)
  const units = unitsOf(trainee)
  if (units.slice(0, index).some(({ name }) => name === stopAfter)) return "stopped"
  if (index === units.length) return "finished"
  const trainer = workbench.trainerOf(trainee)
  for (const unit of units.slice(index)) {
    await trainUnit(unit, trainer, courseOf(unit, trainer, options), options)
    if (unit.name === stopAfter) return "stopped"
  }
  return "finished"
}

function courseOf(unit: Unit, trainer: Trainer, { folder, workbench, ...options }: TrainingOptions): Course {
  const { stage, seed, name, trainee } = unit
  const onSamples = (done: number, all: number) => options.onSamples?.(name, done, all)
  const surroundings = { ...options.surroundings, onSamples }
  if (stage.kind === "traces") return tracesCourse(stage, seed, surroundings)
  if (stage.kind === "off-policy") {
    const { teacher } = stage
    const open = async () =>
      teacher === "model" ? workbench.policyOf(workbench.finished("teacher")) : new RemotePolicy(teacher)
    return offPolicyCourse(stage, seed, open, { folder, file: `${name}-samples.jsonl` }, surroundings)
  }
  let teacher: Trainer | undefined
  const models = {
    student: () => workbench.policyOf(trainer),
    teacherLogits: (batch: Parameters<Trainer["logits"]>[0]) =>
      (teacher ??= workbench.finished("teacher")).logits(batch),
  }
  return new OnPolicyCourse(stage, seed, folder.placeOf(trainee.name).rounds, models, surroundings)
}
