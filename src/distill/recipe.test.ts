import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import type { Json } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { parseRecipe } from "./recipe.ts"
import { traineesOf, unitsOf } from "./units.ts"

const smoke = readFileSync("recipes/smoke.json", "utf8")

/** The smoke recipe with one value changed, by its path. */
function changed(path: string, value: Json | undefined): string {
  const recipe = JSON.parse(smoke)
  const keys = path.split(".")
  const last = keys.pop() ?? ""
  let place = recipe
  for (const key of keys) place = place[key]
  place[last] = value
  return JSON.stringify(recipe)
}

test.each(readdirSync("recipes"))("recipes/%s is one", (file) => {
  const recipe = parseRecipe(readFileSync(join("recipes", file), "utf8"), file)
  const names = traineesOf(recipe).flatMap((trainee) => unitsOf(trainee).map(({ name }) => name))
  expect(names.length).toBeGreaterThan(1)
  expect(new Set(names).size).toBe(names.length)
})

describe("a wrong recipe is refused by the field's path", () => {
  test.each<[string, Json | undefined, string]>([
    ["seed", "one", `r.json: seed is "one": wanted a number from 0 to 2147483648`],
    ["seed", undefined, "r.json: seed is missing: wanted a number from 0 to 2147483648"],
    ["seeds", [1], "r.json: seeds is not known here: there are name, about, "],
    ["stages", [], "r.json: stages is []: wanted a list that is not empty"],
    [
      "stages.0.kind",
      "lessons",
      `r.json: stages[0].kind is "lessons": wanted "traces" or "off-policy" or "on-policy"`,
    ],
    ["stages.0.minutes", 3, "r.json: stages[0].tokens is 40960: wanted either tokens or minutes"],
    ["stages.0.batchTokens", 99.5, "r.json: stages[0].batchTokens is 99.5: wanted a whole number"],
    [
      "stages.0.tasks",
      { sums: 1 },
      "r.json: stages[0].tasks.sums is 1: wanted one of these instead: heads-and-legs, ",
    ],
    ["stages.0.curriculum", [{ until: 0.5, maxTokens: 100 }], "r.json: stages[0].curriculum is "],
    ["stages.1.model", "teacher", `r.json: stages[1].model is "teacher": wanted "student"`],
    [
      "stages.1.endpoint",
      { url: "here", model: "m" },
      `r.json: stages[1].endpoint.url is "here": wanted a URL`,
    ],
    ["stages.2.klMix", 2, "r.json: stages[2].klMix is 2: wanted a number from 0 to 1"],
    ["stages.2.keep", "all", "r.json: stages[2].keep is not known here: there are kind, model, "],
    ["evaluation.0.modes", ["loud"], `r.json: evaluation[0].modes[0] is "loud": wanted thinking or plain`],
    ["products", "f16", `r.json: products is "f16": wanted "f32" or "bf16" or "fastest"`],
    ["models.teacher", 3, "r.json: models.teacher is 3: wanted an object"],
  ])("%s: %j", (path, value, message) => {
    let error: unknown
    try {
      parseRecipe(changed(path, value), "r.json")
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(UserError)
    expect((error as UserError).message.startsWith(message), (error as UserError).message).toBe(true)
  })

  test("and what is no JSON at all", () => {
    expect(() => parseRecipe("{", "r.json")).toThrow(/^r\.json is no JSON \(.*\): check the recipe$/)
  })
})

test("arms are trained after teacher and student, each way with each seed", () => {
  const { kind, tokens, batchTokens, learningRate } = JSON.parse(smoke).stages[0]
  const stage = { kind, model: "student", tokens, batchTokens, learningRate }
  const arms = { seeds: [1, 2], ways: { "traces only": [stage], both: [stage, stage] } }
  const trainees = traineesOf(parseRecipe(changed("arms", arms), "r.json"))
  expect(trainees.map(({ name }) => name)).toEqual([
    "teacher",
    "student",
    "traces-only-seed-1",
    "both-seed-1",
    "traces-only-seed-2",
    "both-seed-2",
  ])
  // The same seed begins every way with the same weights.
  expect(trainees[2].seed).toBe(trainees[3].seed)
  expect(trainees[2].seed).not.toBe(trainees[4].seed)
})
