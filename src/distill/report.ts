// Step 6. What a run did in, one HTML page out that needs nothing else, and the same tables as plain text. Knows numbers
// and words; never how they came about.

import { escapeText, heatMap, intervalChart, lineChart } from "./charts.ts"
import type { Line } from "./charts.ts"
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

export interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function tablesOf(data: ReportData): Table[] {
  const accuracy = data.models.filter(({ results }) => results.length > 0).map(accuracyTable)
  const tables = [
    ...accuracy,
    armsTable(data.models),
    comparisonTable(data.comparisons),
    stagesTable(data.steps),
  ]
  return tables.filter(({ rows }) => rows.length > 0)
}

export function reportText(data: ReportData): string {
  const texts = tablesOf(data).map(({ title, head, rows }) => {
    const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)))
    const line = (row: readonly string[]) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]))
        .join("  ")
        .trimEnd()
    return [title, line(head), ...rows.map(line)].join("\n")
  })
  return `${[`${data.recipe.name}: ${data.recipe.about}`, data.machine, ...texts].join("\n\n")}\n`
}

export function reportHtml(data: ReportData): string {
  const { recipe } = data
  const sections = [
    ...tablesOf(data).map(tableHtml),
    ...data.models.flatMap(modelCharts),
    titled("Loss", lineChart(lossLines(data.steps), { x: "tokens", y: "loss" })),
    titled("Throughput", lineChart(speedLines(data.steps), { x: "tokens", y: "tokens a second" })),
    titled("Recipe", `<p>${escapeText(recipe.cost)}</p><pre>${escapeText(data.recipeText)}</pre>`),
  ]
  const title = escapeText(`${recipe.name}: distillation report`)
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>`,
    `<meta name="viewport" content="width=device-width"><style>${style}</style></head><body>`,
    `<h1>${title}</h1><p>${escapeText(recipe.about)}</p><p>${escapeText(data.machine)}</p>`,
    ...sections,
    "</body></html>\n",
  ].join("\n")
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
      ? [titled(`Expert load of ${name}, at the end of its training`, heatMap(expertLoad))]
      : []
  return [...accuracy, ...load]
}

function tableHtml({ title, head, rows }: Table): string {
  const cells = (row: readonly string[], tag: string) =>
    row.map((cell) => `<${tag}>${escapeText(cell)}</${tag}>`).join("")
  const body = rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("\n")
  return titled(title, `<div class="wide"><table><tr>${cells(head, "th")}</tr>\n${body}</table></div>`)
}

function titled(title: string, content: string): string {
  return content === "" ? "" : `<section><h2>${escapeText(title)}</h2>${content}</section>`
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

const style = `
:root { --ink: #1c2430; --dim: #67707d; --paper: #fff; --rule: #d9dee5;
  --c0: #2563eb; --c1: #d97706; --c2: #059669; --c3: #b4234b; --c4: #7c3aed; --c5: #0e7490 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --dim: #98a2b0; --paper: #12161c; --rule: #2c343f;
  --c0: #7aa2ff; --c1: #f5b04d; --c2: #4ecb9b; --c3: #f2799b; --c4: #b79bff; --c5: #5cc6dd } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid var(--rule); white-space: nowrap }
svg { width: 100%; height: auto } svg text { font-size: 12px; fill: var(--dim) }
.grid { stroke: var(--rule) } polyline { fill: none; stroke-width: 1.5 } line { stroke-width: 2 } .grid { stroke-width: 1 }
pre { overflow-x: auto; border: 1px solid var(--rule); padding: 0.8rem }
.legend { color: var(--dim) } .legend span { margin-right: 1.2rem } .legend i { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em }
${[0, 1, 2, 3, 4, 5].map((i) => `.s${i} { stroke: var(--c${i}) } .f${i} { fill: var(--c${i}) } .k${i} { background: var(--c${i}) }`).join("\n")}
`
