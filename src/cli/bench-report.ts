// What a benchmark measured in, the lines that people read out.

import type { PrefillMode } from "../backend/backend.ts"
import type { Promotion } from "../backend/cpu/weights.ts"
import type { DecodeSpeed, PrefillSpeed } from "./benchmark.ts"
import { print, table } from "./output.ts"
import { count, fileSize, memorySize } from "./units.ts"

/** What `a3b bench --json` prints. */
export interface BenchResult {
  isa: string
  threads: number
  prefillMode: PrefillMode
  /** What all threads together read from memory; null for a backend that cannot tell. */
  readBandwidthGBs: number | null
  weightBytesPerToken: number
  prefill: PrefillSpeed[]
  decode: DecodeSpeed[]
  /** How moving weights to huge pages ended, how long that was waited for, and decoding at depth 0 after it. */
  promotion?: Promotion & { ms: number; decode?: DecodeSpeed }
  /** From the packed file's path to a model that can run. */
  loadMs: number
  /** At the end, with the resident pages of the mapped weights. */
  rssBytes: number
  notes: string[]
}

export function showBench(result: BenchResult): void {
  const { isa, threads, prefillMode, readBandwidthGBs, loadMs, rssBytes } = result
  const bandwidth = readBandwidthGBs === null ? "" : `; memory is read at ${readBandwidthGBs.toFixed(1)} GB/s`
  print(`${isa}, ${threads} thread${threads === 1 ? "" : "s"}, ${prefillMode} prefill${bandwidth}`)
  print(`loaded in ${loadMs.toFixed(0)} ms; ${memorySize(rssBytes)} resident, mapped weights included`)
  print(`one token reads ${fileSize(result.weightBytesPerToken)} of weights\n`)
  print(speedTable(result))
  print(promotionLine(result))
  const delays = result.decode.map(({ eventLoopDelayP99Ms }) => eventLoopDelayP99Ms)
  if (delays.length > 0)
    print(
      `\nthe event loop is late by ${Math.max(...delays).toFixed(1)} ms at most, 99 times of 100, while decoding`,
    )
  for (const { tokens, depth, opSeconds } of result.prefill)
    if (opSeconds) print(`\n${profileTable(`prefill ${count(tokens)} at depth ${count(depth)}`, opSeconds)}`)
  for (const { depth, opSeconds } of result.decode)
    if (opSeconds) print(`\n${profileTable(`decode at depth ${count(depth)}`, opSeconds)}`)
  for (const line of result.notes) print(`\n${line}`)
}

function speedTable({ prefill, decode, readBandwidthGBs }: BenchResult): string {
  const share = (gbPerSecond: number) =>
    readBandwidthGBs === null ? "" : `${Math.round((100 * gbPerSecond) / readBandwidthGBs)}% of memory`
  const rows = [
    ...prefill.map(({ tokens, depth, tokensPerSecond }) => [
      `prefill ${count(tokens)}`,
      count(depth),
      tokensPerSecond.toFixed(1),
      "",
      "",
    ]),
    ...decode.map(({ depth, tokensPerSecond, gbPerSecond }) => [
      "decode",
      count(depth),
      tokensPerSecond.toFixed(2),
      gbPerSecond.toFixed(2),
      share(gbPerSecond),
    ]),
  ]
  return table(rows, { head: ["", "depth", "tokens/s", "GB/s", ""], right: [1, 2, 3] })
}

function promotionLine({ promotion, readBandwidthGBs }: BenchResult): string {
  if (!promotion) return ""
  const { state, bytes, decode } = promotion
  if (!decode) return `\nweights on huge pages: ${stateWords[state]}`
  const share = readBandwidthGBs
    ? `, ${Math.round((100 * decode.gbPerSecond) / readBandwidthGBs)}% of memory`
    : ""
  return (
    `\nwith ${memorySize(bytes)} of the weights moved to huge pages: decode ` +
    `${decode.tokensPerSecond.toFixed(2)} tokens/s, ${decode.gbPerSecond.toFixed(2)} GB/s${share}`
  )
}

const stateWords: Record<Promotion["state"], string> = {
  off: "not asked for, or the file is small",
  waiting: "not yet",
  moving: "not yet",
  done: "all are",
  huge: "the mapping is on such as it is",
  elsewhere: "another process moves the same file",
  "no-memory": "too little memory would stay available",
  unsupported: "this system cannot",
}

function profileTable(title: string, opSeconds: Record<string, number>): string {
  const total = Object.values(opSeconds).reduce((sum, seconds) => sum + seconds, 0)
  const rows = Object.entries(opSeconds)
    .filter(([, seconds]) => seconds > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([op, seconds]) => [op, seconds.toFixed(3), `${Math.round((100 * seconds) / total)}%`])
  return table(rows, { head: [title, "seconds", ""], right: [1, 2] })
}
