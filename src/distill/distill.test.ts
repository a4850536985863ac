// Whole runs at a tiny size, with the plain ops where there is no addon.

import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { ownHome } from "../../test/own-home.ts"
import { load } from "../llm.ts"
import { UserError } from "../util/errors.ts"
import { readTokenizerFiles, templateFile } from "../weights/files.ts"
import { distill } from "./distill.ts"
import type { DistilOptions, DistilProgress, DistilResult } from "./distill.ts"
import type { Products } from "./train/ops.ts"
import { RunFolder } from "./run-folder.ts"
import { Trainer } from "./train/trainer.ts"
import { openOps } from "./workbench.ts"
import { nanoTemplate } from "./world/template.ts"

const file = "recipes/smoke.json"

/** The smoke recipe, shorter still, and stopping for a checkpoint after every step. */
function tinyRecipe(products: Products = "f32"): string {
  const recipe = JSON.parse(readFileSync(file, "utf8"))
  for (const stage of recipe.stages) {
    stage.tokens = stage.kind === "on-policy" ? 512 : 1536
    stage.batchTokens = 512
    if (stage.prompts) stage.prompts = 4
  }
  recipe.stages[0].curriculum = [{ until: 1, maxTokens: 512 }]
  recipe.tokenizer = { vocabulary: 320, problems: 20 }
  recipe.evaluation[0].problems = 3
  return JSON.stringify({ ...recipe, products, checkpointMinutes: 0 })
}

const bfloat = await openOps({ threads: 1, products: "bf16" }).then(
  () => true,
  () => false,
)

const folder = ownHome("distill")

function run(name: string, options: Partial<DistilOptions> = {}): Promise<DistilResult> {
  return distill({ recipe: tinyRecipe(), file, out: join(folder, name), threads: 1, ...options })
}

const weights = (name: string) => readFileSync(join(folder, name, "export/model.safetensors"))

describe("a run", () => {
  test("goes from a recipe to a model that answers, and a report", async () => {
    const phases = new Set<string>()
    const { state, models, comparisons, exported, report, text } = await run("whole", {
      onProgress: (progress) => phases.add(progress.phase),
    })
    expect(state).toBe("finished")
    expect([...phases]).toEqual(["tokenizer", "training", "sampling", "evaluation", "export"])
    expect(models.map(({ name, results }) => [name, results.length])).toEqual([
      ["teacher", 2],
      ["student", 2],
    ])
    expect(comparisons).toHaveLength(2)
    expect(text).toContain("student-2-on-policy")
    const html = readFileSync(report ?? "", "utf8")
    expect(html).toContain("Expert load of student")
    expect(html).not.toMatch(/\b(src|href)=|https?:|@import|url\(/)
    const llm = await load(exported ?? "", { threads: 1 })
    try {
      const ids: number[] = []
      for await (const id of llm.generate(llm.tokenizer.encode("2 + 3"), { sampling: { maxTokens: 4 } }))
        ids.push(id)
      expect(ids.length).toBeLessThanOrEqual(4)
    } finally {
      await llm.free()
    }
  })

  test("with a base begins teacher and student as it ended", async () => {
    const traces = { kind: "traces", tokens: 2048, batchTokens: 1024, tasks: { "sum-and-difference": 1 } }
    const recipe = JSON.stringify({
      ...(JSON.parse(tinyRecipe()) as object),
      stages: [
        { ...traces, model: "base", learningRate: 0.003 },
        { ...traces, model: "student", learningRate: 0 },
      ],
    })
    expect((await run("based", { recipe })).models.map(({ name }) => name)).toEqual(["base", "student"])
    const trained = RunFolder.open(join(folder, "based"), recipe)
    const ops = await openOps({ threads: 1, products: "f32" })
    const values = (name: string) => Trainer.load(trained.checkpointOf(name) ?? "", { ops }).parameters.values
    expect(values("student")).toEqual(values("base"))
  })

  test("goes on from a folder: its vocabulary, its weights, and more layers for the teacher", async () => {
    const recipe = JSON.parse(tinyRecipe())
    const { teacher, student } = recipe.models
    recipe.from = join(folder, "older")
    cpSync(join(folder, "whole/export"), recipe.from, { recursive: true })
    writeFileSync(join(recipe.from, templateFile), "{{ messages[0].content }}")
    recipe.models.teacher = { ...student, num_hidden_layers: 3 }
    recipe.stages = recipe.stages
      .filter(({ kind }: { kind: string }) => kind === "traces")
      .flatMap((stage: object) =>
        ["teacher", "student"].map((model) => ({ ...stage, model, learningRate: 0 })),
      )
    expect((await run("further", { recipe: JSON.stringify(recipe) })).state).toBe("finished")
    expect(weights("further").equals(weights("whole"))).toBe(true)
    expect(readFileSync(join(folder, "further/export/tokenizer.json"))).toEqual(
      readFileSync(join(folder, "whole/export/tokenizer.json")),
    )
    const template = readTokenizerFiles(join(folder, "further/export")).get(templateFile)
    expect(new TextDecoder().decode(template)).toBe(nanoTemplate)
    recipe.models.teacher = teacher
    await expect(run("unlike", { recipe: JSON.stringify(recipe) })).rejects.toThrow(
      /older has hidden 32, the recipe's teacher 64: name a model of the same shape/,
    )
  })

  test("that is stopped after every few steps ends with the same bits", async () => {
    let numStops = 0
    for (let limit = 2; ; limit++) {
      const controller = new AbortController()
      let numSeen = 0
      const onProgress = (progress: DistilProgress) => {
        if (progress.phase === "training" && ++numSeen === limit) controller.abort()
      }
      try {
        await run("stopped", { signal: controller.signal, onProgress })
        break
      } catch (error) {
        expect(error).toMatchObject({ code: "cancelled" })
        numStops++
      }
    }
    expect(numStops).toBeGreaterThan(1)
    expect(weights("stopped").equals(weights("whole"))).toBe(true)
  })

  test("ends after the stage that is named, and goes on from there", async () => {
    const stopAfter = "student-1-off-policy"
    expect((await run("parts", { stopAfter })).state).toBe("stopped")
    expect(existsSync(join(folder, "parts/export"))).toBe(false)
    expect((await run("parts", { stopAfter })).state).toBe("stopped")
    expect((await run("parts")).state).toBe("finished")
    expect(weights("parts").equals(weights("whole"))).toBe(true)
    await expect(run("parts", { stopAfter: "student-9" })).rejects.toThrow(
      /has no stage student-9: it has teacher-1/,
    )
  })

  test.runIf(bfloat)("goes with products in bf16, to other weights", async () => {
    expect((await run("rounded", { recipe: tinyRecipe("bf16") })).state).toBe("finished")
    expect(weights("rounded").equals(weights("whole"))).toBe(false)
  })

  test("with products in bf16 is refused without the native kernels", async () => {
    const refused = run("refused", { recipe: tinyRecipe("bf16"), backend: "reference" })
    await expect(refused).rejects.toThrow(/only the native kernels have: build the addon, or write "fastest"/)
  })

  test("of another recipe is not gone on with", async () => {
    const other = distill({ recipe: readFileSync(file, "utf8"), file, out: join(folder, "whole") })
    await expect(other).rejects.toThrow(UserError)
    await expect(other).rejects.toThrow(/has a run of another recipe/)
  })
})
