// How fast prompts are read and tokens are made at growing depths of a context, and what memory gives in the same run.
// Appends a row for each depth to results/frontiers-<machine>.csv and draws them as results/frontiers-<machine>.svg.
//
//   npm run build && npx tsx bench/frontiers.ts model.a3b --depths 0,4096,16384,32768 --rounds 3

import { writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { parseArgs } from "node:util"
import type { PrefillMode } from "../src/backend/backend.ts"
import type { BenchResult } from "../src/cli/bench-report.ts"
import { lineDrawing } from "../src/util/charts.ts"
import type { Line } from "../src/util/charts.ts"
import { bench } from "./a3b.ts"
import { appendRow, machineName, today } from "./results.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    depths: { type: "string", default: "0,4096,16384,32768" },
    prefill: { type: "string", default: "512" },
    decode: { type: "string", default: "32" },
    rounds: { type: "string", default: "3" },
    machine: { type: "string", default: machineName() },
  },
})
const [model] = positionals
if (!model) {
  console.error("usage: npx tsx bench/frontiers.ts <model> [--depths 0,4096,16384,32768] [--rounds 3]")
  process.exit(2)
}

function measured(mode: PrefillMode, decode: string): Promise<BenchResult> {
  const { depths, prefill, rounds } = values
  const lengths = ["--depth", depths, "--prefill", prefill, "--decode", decode, "--rounds", rounds]
  return bench(model, "--prefill-mode", mode, ...lengths)
}

const exact = await measured("exact", values.decode)
const fast = await measured("fast", "0")
const name = `frontiers-${values.machine}`
type Points = Line["points"][number][]
const curves = { exact: [] as Points, fast: [] as Points, decode: [] as Points }
for (const [i, { depth, tokensPerSecond, gbPerSecond }] of exact.decode.entries()) {
  const speeds = {
    exact: exact.prefill[i].tokensPerSecond,
    fast: fast.prefill[i].tokensPerSecond,
    decode: tokensPerSecond,
  }
  for (const each of ["exact", "fast", "decode"] as const) curves[each].push([depth, speeds[each]])
  const row = {
    date: today(),
    model: basename(model),
    isa: exact.isa,
    threads: exact.threads,
    rounds: values.rounds,
    depth,
    prefill_tokens: values.prefill,
    prefill_tps: speeds.exact.toFixed(1),
    prefill_fast_tps: speeds.fast.toFixed(1),
    decode_tps: speeds.decode.toFixed(2),
    weights_gbs: gbPerSecond.toFixed(1),
    memory_gbs: exact.readBandwidthGBs?.toFixed(1) ?? "",
  }
  console.log(
    Object.entries(row)
      .map(([key, value]) => `${key} ${value}`)
      .join("  "),
  )
  appendRow(name, row)
}

const x = "tokens that the context holds"
const charts = [
  lineDrawing(
    [
      { name: "exact", points: curves.exact },
      { name: "fast", points: curves.fast },
    ],
    { x, y: "prompt, tokens/s (exact, fast)" },
  ),
  lineDrawing([{ name: "decode", points: curves.decode }], { x, y: "reply, tokens/s" }),
]
const style =
  "text{font:12px sans-serif;fill:#6b6b6b}.grid{stroke:#bbb;stroke-opacity:.4}" +
  "polyline{fill:none;stroke-width:2}.s0{stroke:#0f8f78}.s1{stroke:#c2603a}"
const parts = charts.map((chart, i) => `<svg y="${i * 270}" width="720" height="260">${chart}</svg>`)
const file = join(import.meta.dirname, "results", `${name}.svg`)
writeFileSync(
  file,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 530"><style>${style}</style>${parts.join("")}</svg>\n`,
)
console.log(file)
