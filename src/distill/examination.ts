// Step 6. A finished model in, its results on every set of the recipe out, kept as they come, so that none is measured
// twice. Knows sets and modes; never training.

import { evaluate, evaluationProblems } from "./evaluate.ts"
import type { SetResult } from "./evaluate.ts"
import type { Policy } from "./policy.ts"
import type { Recipe } from "./recipe.ts"
import type { RunFolder } from "./run-folder.ts"
import { seedOf } from "./seeds.ts"
import { problems } from "./world/world.ts"

export interface ExaminationOptions {
  folder: RunFolder
  recipe: Recipe
  signal?: AbortSignal
  onProgress?: (set: string, done: number, all: number) => void
}

/** `file` has what is measured already; the model is opened only if something is not. */
export async function examine(
  open: () => Promise<Policy>,
  file: string,
  { folder, recipe, signal, onProgress }: ExaminationOptions,
): Promise<SetResult[]> {
  const results = folder.lines<SetResult>(file)
  const missing = recipe.evaluation
    .flatMap((set) => set.modes.map((mode) => ({ set, mode })))
    .filter(({ set, mode }) => !results.some((result) => result.set === set.name && result.mode === mode))
  if (missing.length === 0) return results
  const seed = seedOf(recipe.seed, 4)
  const policy = await open()
  try {
    for (const { set, mode } of missing) {
      const told = (done: number, all: number) => onProgress?.(`${set.name}, ${mode}`, done, all)
      const chosen = evaluationProblems(problems, set, seed)
      const result = await evaluate(policy, chosen, { set, mode }, { seed, signal, onProgress: told })
      folder.append(file, JSON.stringify(result))
      results.push(result)
    }
  } finally {
    await policy.free()
  }
  return results
}
