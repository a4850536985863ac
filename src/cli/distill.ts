// Trains a small model as a recipe says: teacher, student, measurement, report. A run that was stopped goes on where it
// was when the command is given again.

import { basename } from "node:path"
import type { Command } from "commander"
import { Option } from "commander"
import { accuracyOf } from "../distill/evaluate.ts"
import { distill as runRecipe } from "../distill/distill.ts"
import type { DistilResult } from "../distill/distill.ts"
import { TrainingLine } from "./training-line.ts"
import { interruptible } from "./interrupt.ts"
import { addJsonOption, wholeNumber } from "./options.ts"
import { note, print, printJson } from "./output.ts"
import { readTextFile } from "./request-options.ts"

interface DistilOptions {
  out?: string
  threads?: number
  backend: "auto" | "cpu" | "reference"
  stopAfter?: string
  json?: boolean
}

export function define(command: Command): void {
  command
    .argument("<recipe>", "JSON file that says what to train; recipes/ has some")
    .option("--out <folder>", "where the run is kept; a folder of the recipe's name where left out")
    .option("--threads <number>", "threads that compute; all cores where left out", wholeNumber(1, 512))
    .addOption(
      new Option("--backend <name>", "what computes: the native kernels, or the slow reference")
        .choices(["auto", "cpu", "reference"])
        .default("auto"),
    )
    .option("--stop-after <stage>", "end after this stage, like teacher-1-traces")
  addJsonOption(command).action(distill)
}

async function distill(file: string, options: DistilOptions): Promise<void> {
  const recipe = readTextFile(file)
  const out = options.out ?? basename(file).replace(/\.json$/, "")
  const line = new TrainingLine()
  try {
    const result = await interruptible((signal) =>
      runRecipe({ ...options, recipe, file, out, signal, onProgress: line.update }),
    )
    line.end()
    if (options.json) printJson(asJson(result))
    else show(result, out)
  } finally {
    line.end()
  }
}

function show({ state, text, report, exported }: DistilResult, out: string): void {
  if (state === "stopped")
    return note(`stopped as asked; the same command without --stop-after goes on in ${out}`)
  print(text)
  if (exported !== undefined) note(`the model is in ${exported}: try a3b chat ${exported}`)
  note(`the report is ${report}`)
}

function asJson({ state, models, comparisons, exported, report }: DistilResult) {
  return {
    state,
    models: models.map(({ name, arm, seconds, results }) => ({
      name,
      arm,
      seconds,
      results: results.map(({ set, mode, outcomes }) => ({ set, mode, ...accuracyOf(outcomes) })),
    })),
    comparisons,
    exported,
    report,
  }
}
