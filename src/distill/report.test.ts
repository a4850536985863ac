import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import type { Outcome, SetResult } from "./evaluate.ts"
import { parseRecipe } from "./recipe.ts"
import { reportHtml, reportText, tablesOf } from "./report.ts"
import type { ModelResult, ReportData } from "./report.ts"
import { pairedDifference } from "./statistics.ts"
import { learningRateAt } from "./train-unit.ts"

const recipeText = readFileSync("recipes/smoke.json", "utf8")
const recipe = parseRecipe(recipeText, "smoke.json")

function result(mode: "thinking" | "plain", solved: number[], samples = 1): SetResult {
  const outcomes = solved.map((count, i): Outcome => {
    return {
      task: i % 2 === 0 ? "sharing" : "a <b> & c",
      language: "en",
      faults: "none",
      samples,
      solved: count,
    }
  })
  return { set: "sums", mode, seconds: 1, replyTokens: 10, outcomes }
}

function data(models: ModelResult[]): ReportData {
  const steps = Array.from({ length: 1000 }, (_, i) => ({
    unit: "student-1-traces",
    step: i + 1,
    tokens: 100 * (i + 1),
    seconds: (i + 1) / 10,
    loss: 5 / (i + 1),
    auxiliary: 1,
    gradientNorm: 1,
    learningRate: 1,
  }))
  const difference = pairedDifference([1, 1, 0, 1], [1, 0, 0, 1])
  const comparisons = [{ set: "sums", mode: "plain" as const, difference }]
  return { recipe, recipeText, machine: "a machine", steps, models, comparisons }
}

const student: ModelResult = {
  name: "student",
  seconds: 120,
  results: [result("thinking", [1, 1, 1, 0]), result("plain", [0, 0, 1, 0])],
  expertLoad: [
    [0.5, 1.5],
    [1.25, 0.75],
  ],
}

describe("the report", () => {
  test("says accuracy by task and mode, differences and stages as text", () => {
    const text = reportText(data([student]))
    expect(text).toMatch(/sums +all +thinking +4 +75\.0 % +30\.1 to 95\.4/)
    expect(text).toMatch(/sums +sharing +plain +2 +50\.0 %/)
    expect(text).toMatch(/sums +plain +4 +-25\.00 +\S+ to \S+ +1 +0/)
    expect(text).toMatch(/student-1-traces +1000 +100000 +1\.7 +1000 +0\.0051/)
  })

  test("compares ways of training over seeds, as means with intervals", () => {
    const arm = (way: string, seed: number, solved: number[]): ModelResult => {
      const results = [result("thinking", solved, 8)]
      return { ...student, name: `${way}-${seed}`, arm: { way, seed }, results }
    }
    const models = [
      arm("traces", 1, [8, 0]),
      arm("traces", 2, [4, 4]),
      arm("both", 1, [8, 8]),
      arm("both", 2, [8, 7]),
    ]
    const table = tablesOf(data(models)).find(({ head }) => head[0] === "way")
    expect(
      table?.rows.map(([way, mode, pass1, passK]) => [way, mode, pass1.slice(0, 6), passK.slice(0, 7)]),
    ).toEqual([
      ["traces", "thinking", "50.0 %", "75.0 % "],
      ["both", "thinking", "96.9 %", "100.0 %"],
    ])
    expect(table?.rows[0].slice(4)).toEqual(["2.0", "2"])
  })

  test("is one page that asks for nothing else, with every chart", () => {
    const html = reportHtml(data([student]))
    expect(html).not.toMatch(/\b(src|href)=|https?:|@import|url\(|<script/)
    expect(html.match(/<svg /g)).toHaveLength(4)
    expect(html.match(/<rect /g)).toHaveLength(4)
    expect(html).toContain("a &lt;b&gt; &amp; c")
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
    expect(html).toContain("prefers-color-scheme: dark")
    // A thousand steps are drawn as no more points than can be seen.
    const [, points] = /<polyline[^>]*points="([^"]*)"/.exec(html) ?? []
    expect(points.split(" ").length).toBeLessThanOrEqual(400)
  })
})

test("the learning rate rises to its peak, then falls to the share that is left", () => {
  const stage = { ...recipe.stages[0], learningRate: 0.01, warmUp: 0.1, finalRate: 0.2 }
  const rates = [0, 0.05, 0.1, 0.55, 1].map((share) => learningRateAt(stage, share))
  expect(rates[0]).toBeGreaterThan(0)
  expect(rates[1]).toBeCloseTo(0.005, 12)
  expect(rates[2]).toBeCloseTo(0.01, 12)
  expect(rates[3]).toBeCloseTo(0.006, 12)
  expect(rates[4]).toBeCloseTo(0.002, 12)
})
