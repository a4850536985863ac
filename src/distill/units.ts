// Step 6. A recipe in, the order of work out: one unit per stage and model, each with its own seed. Pure.

import type { Recipe, Role, Stage } from "./recipe.ts"
import { seedOf } from "./seeds.ts"

/** A model in the making. */
export interface Trainee {
  /** Its folder's name too. */
  readonly name: string
  readonly role: Role
  readonly seed: number
  readonly stages: readonly Stage[]
  /** The way and the seed that it stands for, where the recipe compares several. */
  readonly arm?: { readonly way: string; readonly seed: number }
}

export interface Unit {
  /** Like `student-2-on-policy`. */
  readonly name: string
  readonly trainee: Trainee
  /** Place among the trainee's stages. */
  readonly index: number
  readonly stage: Stage
  readonly seed: number
}

const seeds = { teacher: 0, student: 1, arms: 2, base: 3 }

/** Base, teacher, student, and the students of the arms; those without stages are not trained. */
export function traineesOf(recipe: Recipe): Trainee[] {
  const main = (["base", "teacher", "student"] as const).map((role) => {
    const stages = recipe.stages.filter(({ model }) => model === role)
    return { name: role, role, seed: seedOf(recipe.seed, seeds[role]), stages }
  })
  const { seeds: armSeeds, ways } = recipe.arms ?? { seeds: [], ways: {} }
  const arms = armSeeds.flatMap((seed) =>
    Object.entries(ways).map(([way, stages]) => {
      const name = `${way.replace(/\W+/g, "-")}-seed-${seed}`
      return {
        name,
        role: "student" as const,
        seed: seedOf(recipe.seed, seeds.arms, seed),
        stages,
        arm: { way, seed },
      }
    }),
  )
  return [...main, ...arms].filter(({ stages }) => stages.length > 0)
}

export function unitsOf(trainee: Trainee): Unit[] {
  return trainee.stages.map((stage, index) => {
    const name = `${trainee.name}-${index + 1}-${stage.kind}`
    return { name, trainee, index, stage, seed: seedOf(trainee.seed, index + 1) }
  })
}
