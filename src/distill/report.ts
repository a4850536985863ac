// Step 6. What a run did in, one HTML page out that needs nothing else, and the same tables as plain text. Knows numbers
// and words; never how they came about.

import { escapeText, heatMap, intervalChart, lineChart } from "../util/charts.ts"
import type { Line } from "../util/charts.ts"
import { htmlPage, tableHtml, tableText, titled } from "../util/page.ts"
import type { Table } from "../util/page.ts"
import { accuracyOf, byTask } from "./evaluate.ts"
import type { Accuracy, SetResult } from "./evaluate.ts"
import type { Recipe } from "./recipe.ts"
import type { StepRecord } from "./run-folder.ts"
import { meanOf } from "./statistics.ts"
import type { PairedDifference } from "./statistics.ts"
import type { Mode } from "./world/problem.ts"

/** What is known of one model. */
export interface ModelResult {
  readonly name: string
  readonly arm?: { readonly way: string; readonly seed: number }
  /** Of training and of the sampling that belongs to it. */
  readonly seconds: number
  readonly results: readonly SetResult[]
  /** [layers][experts] How much of an even share each expert got at the end. */
  readonly expertLoad: readonly (readonly number[])[]
}

export interface Comparison {
  readonly set: string
  readonly mode: Mode
  /** 4-bit minus bf16. */
  readonly difference: PairedDifference
}

export interface ReportData {
  readonly recipe: Recipe
  readonly recipeText: string
  readonly machine: string
  readonly steps: readonly StepRecord[]
  readonly models: readonly ModelResult[]
  readonly comparisons: readonly Comparison[]
}

export function tablesOf(data: ReportData): Table[] {
  const accuracy = data.models.filter(({ results }) => results.length > 0).map(accuracyTable)
  const tables = [
    armsTable(data.models),
    ...accuracy,
    comparisonTable(data.comparisons),
    stagesTable(data.steps),
  ]
  return tables.filter(({ rows }) => rows.length > 0)
}

export function reportText(data: ReportData): string {
  const texts = tablesOf(data).map(tableText)
  return `${[`${data.recipe.name}: ${data.recipe.about}`, data.machine, ...texts].join("\n\n")}\n`
}

export function reportHtml(data: ReportData): string {
  const { recipe } = data
  return htmlPage(`${recipe.name}: distillation report`, [
    `<p>${escapeText(recipe.about)}</p><p>${escapeText(data.machine)}</p>`,
    ...tablesOf(data).map(tableHtml),
    ...data.models.flatMap(modelCharts),
    titled("Loss", lineChart(lossLines(data.steps), { x: "tokens", y: "loss" })),
    titled("Throughput", lineChart(speedLines(data.steps), { x: "tokens", y: "tokens a second" })),
    titled("Recipe", `<p>${escapeText(recipe.cost)}</p><pre>${escapeText(data.recipeText)}</pre>`),
  ])
}

function accuracyTable({ name, results }: ModelResult): Table {
  const rows = results.flatMap(({ set, mode, outcomes }) => {
    const groups = [...byTask(outcomes)]
    const all: [string, typeof outcomes] = ["all", outcomes]
    return [all, ...(groups.length > 1 ? groups : [])].map(([task, part]) => {
      const accuracy = accuracyOf(part)
      return [set, task, mode, ...accuracyCells(accuracy)]
    })
  })
  return {
    title: `Held-out accuracy of ${name}`,
    head: ["set", "task", "mode", "n", "pass@1", "95 %", "pass@k"],
    rows,
  }
}

function accuracyCells({ rate, low, high, problems, passAtK }: Accuracy): string[] {
  return [
    String(problems),
    percent(rate),
    span(low, high),
    passAtK ? `${percent(passAtK.rate)} (k = ${passAtK.k})` : "-",
  ]
}

/** The shape of the technical report's Table 21: ways by modes, with what each cost. */
function armsTable(models: readonly ModelResult[]): Table {
  const ways = [...new Set(models.flatMap(({ arm }) => arm?.way ?? []))]
  const rows = ways.flatMap((way) => {
    const seeds = models.filter(({ arm }) => arm?.way === way)
    return (["thinking", "plain"] as const).flatMap((mode) => {
      const each = seeds.map(({ results }) =>
        results.filter((result) => result.mode === mode).flatMap((r) => r.outcomes),
      )
      if (each.some((outcomes) => outcomes.length === 0)) return []
      const accuracies = each.map(accuracyOf)
      const pass1 = meanOf(accuracies.map(({ rate }) => rate))
      const passK = accuracies.flatMap(({ passAtK }) => passAtK?.rate ?? [])
      const minutes = meanOf(seeds.map(({ seconds }) => seconds / 60)).mean
      return [
        [
          way,
          mode,
          meanText(pass1),
          passK.length > 0 ? meanText(meanOf(passK)) : "-",
          minutes.toFixed(1),
          String(each.length),
        ],
      ]
    })
  })
  return {
    title: "Ways of training a student, over seeds",
    head: ["way", "mode", "pass@1", "pass@k", "minutes", "seeds"],
    rows,
  }
}

function meanText({ mean, low, high, count }: ReturnType<typeof meanOf>): string {
  return count < 2 ? percent(mean) : `${percent(mean)} (${span(Math.max(0, low), Math.min(1, high))})`
}

function comparisonTable(comparisons: readonly Comparison[]): Table {
  const rows = comparisons.map(({ set, mode, difference }) => {
    const { mean, low, high, count, onlyFirst, onlySecond } = difference
    return [
      set,
      mode,
      String(count),
      points(mean),
      `${points(low)} to ${points(high)}`,
      String(onlyFirst),
      String(onlySecond),
    ]
  })
  const head = ["set", "mode", "n", "difference", "95 %", "only bf16 right", "only 4-bit right"]
  return { title: "4-bit weights against bf16 on the same problems, in points", head, rows }
}

function stagesTable(steps: readonly StepRecord[]): Table {
  const rows = [...byUnit(steps)].map(([unit, records]) => {
    const last = records[records.length - 1]
    const tail = records.slice(-Math.max(1, Math.ceil(records.length / 20)))
    const loss = tail.reduce((sum, record) => sum + record.loss, 0) / tail.length
    const speed = last.tokens / last.seconds
    return [
      unit,
      String(last.step),
      String(last.tokens),
      (last.seconds / 60).toFixed(1),
      speed.toFixed(0),
      loss.toFixed(4),
    ]
  })
  return {
    title: "Stages",
    head: ["stage", "steps", "tokens", "minutes", "tokens a second", "loss at the end"],
    rows,
  }
}

function byUnit(steps: readonly StepRecord[]): Map<string, StepRecord[]> {
  const units = new Map<string, StepRecord[]>()
  for (const step of steps) {
    const records = units.get(step.unit)
    if (records) records.push(step)
    else units.set(step.unit, [step])
  }
  return units
}

function lossLines(steps: readonly StepRecord[]): Line[] {
  return [...byUnit(steps)].map(([name, records]) => ({
    name,
    points: records.map(({ tokens, loss }) => [tokens, loss] as const),
  }))
}

/** From one step to the next. */
function speedLines(steps: readonly StepRecord[]): Line[] {
  return [...byUnit(steps)].map(([name, records]) => ({
    name,
    points: records.map(({ tokens, seconds }, i) => {
      const before = records[i - 1] ?? { tokens: 0, seconds: 0 }
      return [tokens, (tokens - before.tokens) / Math.max(seconds - before.seconds, 1e-9)] as const
    }),
  }))
}

function modelCharts({ name, results, expertLoad }: ModelResult): string[] {
  const modes: readonly Mode[] = ["thinking", "plain"]
  const intervals = results.flatMap(({ set, mode, outcomes }) =>
    [...byTask(outcomes)].map(([task, part]) => {
      const { rate, low, high, problems } = accuracyOf(part)
      const label = `${percent(rate)}, n = ${problems}`
      return {
        name: task === set ? set : `${set}: ${task}`,
        value: rate,
        low,
        high,
        label,
        series: modes.indexOf(mode),
      }
    }),
  )
  const accuracy =
    intervals.length > 0 ? [titled(`Accuracy of ${name}`, intervalChart(intervals, modes))] : []
  const load =
    expertLoad.length > 0
      ? [titled(`Expert load of ${name}, at the end of its training`, expertMap(expertLoad))]
      : []
  return [...accuracy, ...load]
}

/** 1 is an even share. */
function expertMap(load: ModelResult["expertLoad"]): string {
  return heatMap({
    rows: load.map((cells, layer) => ({ name: `layer ${layer}`, cells })),
    title: (layer, expert) =>
      `layer ${layer}, expert ${expert}: ${load[layer][expert].toFixed(2)} of an even share`,
    most: 2,
  })
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

function span(low: number, high: number): string {
  return `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`
}

function points(difference: number): string {
  return `${difference >= 0 ? "+" : ""}${(100 * difference).toFixed(2)}`
}
