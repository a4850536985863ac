// Step 6. A recipe in, a trained model and its report out: tokenizer, stages, evaluation, export. Every part that is
// done is found again, so a run that was stopped goes on. Knows the order; each part knows its own work.

import { cpus } from "node:os"
import { UserError } from "../util/errors.ts"
import { compare } from "./evaluate.ts"
import type { SetResult } from "./evaluate.ts"
import { examine } from "./examination.ts"
import { parseRecipe } from "./recipe.ts"
import type { Recipe } from "./recipe.ts"
import { reportHtml, reportText } from "./report.ts"
import type { Comparison, ModelResult } from "./report.ts"
import { RunFolder } from "./run-folder.ts"
import { openTokenizer } from "./tokenizer-stage.ts"
import type { Ops } from "./train/ops.ts"
import { loadFile } from "./train-unit.ts"
import type { TrainingProgress } from "./train-unit.ts"
import { train } from "./training.ts"
import { traineesOf, unitsOf } from "./units.ts"
import type { Trainee } from "./units.ts"
import { openOps, Workbench } from "./workbench.ts"
import { problems } from "./world/world.ts"

/** What a run says while it goes on. */
export type DistilProgress =
  | { phase: "tokenizer" | "export" }
  | ({ phase: "training" } & TrainingProgress)
  | { phase: "sampling" | "evaluation"; unit: string; done: number; all: number }

export interface DistilOptions {
  /** The recipe's text, and what errors call it. */
  recipe: string
  file: string
  out: string
  threads?: number
  backend?: "auto" | "cpu" | "reference"
  /** Name of the stage after which to end, like `student-1-off-policy`. */
  stopAfter?: string
  signal?: AbortSignal
  onProgress?: (progress: DistilProgress) => void
}

export interface DistilResult {
  readonly state: "finished" | "stopped"
  readonly models: readonly ModelResult[]
  readonly comparisons: readonly Comparison[]
  /** Where they are, once the run is finished. */
  readonly exported?: string
  readonly report?: string
  readonly text?: string
}

export async function distill(options: DistilOptions): Promise<DistilResult> {
  const recipe = parseRecipe(options.recipe, options.file)
  const trainees = traineesOf(recipe)
  checkStop(options.stopAfter, trainees)
  const folder = RunFolder.open(options.out, options.recipe)
  const ops = await openOps({ ...options, products: recipe.products })
  options.onProgress?.({ phase: "tokenizer" })
  const { size, encode } = await openTokenizer(folder, recipe)
  const workbench = new Workbench({ ...options, recipe, folder, ops, tokenizerSize: size })
  const run: Run = { options, recipe, folder, ops, workbench }
  const training = { folder, workbench, checkpointMinutes: recipe.checkpointMinutes, ...listeners(options) }
  const surroundings = { problems, encode, signal: options.signal }
  for (const trainee of trainees)
    if ((await train(trainee, { ...training, surroundings })) === "stopped")
      return { state: "stopped", models: [], comparisons: [] }
  const models: ModelResult[] = []
  for (const trainee of trainees) models.push(await resultOf(run, trainee))
  return finish(run, models)
}

/** All parts of a run that is under way. */
interface Run {
  readonly options: DistilOptions
  readonly recipe: Recipe
  readonly folder: RunFolder
  readonly ops: Ops
  readonly workbench: Workbench
}

function listeners({ signal, stopAfter, onProgress }: DistilOptions) {
  return {
    signal,
    stopAfter,
    onProgress: (progress: TrainingProgress) => onProgress?.({ phase: "training", ...progress }),
    onSamples: (unit: string, done: number, all: number) =>
      onProgress?.({ phase: "sampling", unit, done, all }),
  }
}

function checkStop(stopAfter: string | undefined, trainees: readonly Trainee[]): void {
  const names = trainees.flatMap(unitsOf).map(({ name }) => name)
  if (stopAfter === undefined || names.includes(stopAfter)) return
  throw new UserError("bad-argument", `the recipe has no stage ${stopAfter}: it has ${names.join(", ")}`)
}

async function resultOf(run: Run, trainee: Trainee): Promise<ModelResult> {
  const { name, arm } = trainee
  const results = await measure(run, name, "keep")
  const expertLoad = JSON.parse(run.folder.read(`${name}/${loadFile}`) ?? "[]") as number[][]
  const own = new Set(unitsOf(trainee).map((unit) => unit.name))
  const steps = run.folder.steps().filter(({ unit }) => own.has(unit))
  // Of each stage, the time until its last step.
  const ends = new Map(steps.map(({ unit, seconds }) => [unit, seconds]))
  const seconds = [...ends.values()].reduce((sum, value) => sum + value, 0)
  return { name, ...(arm && { arm }), seconds, results, expertLoad }
}

function measure(
  { options, recipe, folder, workbench }: Run,
  name: string,
  quant: "keep" | "auto",
): Promise<SetResult[]> {
  const { signal, onProgress } = options
  const open = () => workbench.policyOf(workbench.finished(name), recipe.precision, quant)
  return examine(open, `${name}/evaluation-${quant}.jsonl`, {
    folder,
    recipe,
    signal,
    onProgress: (set, done, all) => onProgress?.({ phase: "evaluation", unit: `${name}: ${set}`, done, all }),
  })
}

async function finish(run: Run, models: ModelResult[]): Promise<DistilResult> {
  const { options, recipe, folder, ops, workbench } = run
  const student = models.find(({ name }) => name === "student")
  const comparisons = student && recipe.quantised === "measured" ? await quantised(run, student) : []
  options.onProgress?.({ phase: "export" })
  if (student)
    await folder.writeFolder("export", (path) =>
      workbench.export(workbench.finished("student"), path, recipe.precision),
    )
  const machine = `${cpus()[0]?.model ?? "unknown processor"}, ${ops.threads} threads, ${ops.name} kernels, ${ops.device}`
  const data = { recipe, recipeText: options.recipe, machine, steps: folder.steps(), models, comparisons }
  const text = reportText(data)
  folder.write("report.txt", text)
  folder.write("report.html", reportHtml(data))
  const exported = student ? { exported: folder.at("export") } : {}
  return { state: "finished", models, comparisons, ...exported, report: folder.at("report.html"), text }
}

/** Of the sets whose problems were answered once. */
async function quantised(run: Run, { name, results }: ModelResult): Promise<Comparison[]> {
  const inFour = await measure(run, name, "auto")
  return results.flatMap((result) => {
    const other = inFour.find(({ set, mode }) => set === result.set && mode === result.mode)
    return other && result.outcomes[0].samples === 1
      ? [{ set: result.set, mode: result.mode, difference: compare(result, other) }]
      : []
  })
}
