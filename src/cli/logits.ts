// Prints what the model makes of given token ids: the logits after each of them. For comparing with other programs.

import type { Command } from "commander"
import { pageTokens } from "../backend/backend.ts"
import type { PrefillMode } from "../backend/backend.ts"
import { Engine } from "../engine/engine.ts"
import { openBackend } from "../llm.ts"
import { parseConfig } from "../model/config.ts"
import { Qwen3Moe } from "../model/qwen3moe.ts"
import { interruptible } from "./interrupt.ts"
import { checkMemory, openPrepared } from "./loading.ts"
import {
  addJsonOption,
  addModelOptions,
  addPrefillOption,
  modelArgument,
  required,
  wholeNumbers,
} from "./options.ts"
import type { ModelOptions, PrefillOptions } from "./options.ts"
import { compare } from "../eval/kv-fidelity.ts"
import { note, print, printJson, table } from "./output.ts"

interface LogitsOptions extends ModelOptions, PrefillOptions {
  ids?: number[]
  json?: boolean
}

/** How many of the largest logits people are shown. */
const shown = 5

export function define(command: Command): void {
  addJsonOption(addPrefillOption(addModelOptions(command)))
    .addArgument(modelArgument())
    .option("--ids <list>", "token ids, like 151644,872,198", wholeNumbers(0, 2 ** 24))
    .action(logits)
}

function logits(path: string, options: LogitsOptions, command: Command): Promise<void> {
  const ids = required(options.ids, "--ids <list>", command)
  return interruptible(async (signal) => {
    const compute = (prefillMode: PrefillMode) =>
      computeLogits(path, Int32Array.from(ids), { ...options, prefillMode }, signal)
    const rows = await compute(options.prefillMode)
    const fromExact = options.prefillMode === "fast" ? differenceOf(rows, await compute("exact")) : undefined
    if (options.json) printJson({ ids, logits: rows.map((row) => Array.from(row)), fromExact })
    else print(largest(ids, rows))
    if (fromExact === undefined || options.json) return
    const { distance, medianKl, largestKl, sameTop } = fromExact
    print(`\nfrom exact prefill: ${(100 * distance).toPrecision(2)} % of the logits (relative L2)`)
    print(`KL: median ${medianKl.toExponential(1)}, largest ${largestKl.toExponential(1)} nats`)
    print(`the likeliest token is the same at ${sameTop} of ${rows.length} positions`)
  })
}

interface Difference {
  /** Relative L2 over all positions. */
  distance: number
  medianKl: number
  largestKl: number
  /** Positions. */
  sameTop: number
}

function differenceOf(rows: readonly Float32Array[], exact: readonly Float32Array[]): Difference {
  const each = exact.map((row, position) => compare(row, rows[position]))
  const kl = each.map((one) => one.kl).sort((a, b) => a - b)
  return {
    distance: distanceOf(rows, exact),
    medianKl: kl[kl.length >> 1],
    largestKl: kl[kl.length - 1],
    sameTop: each.filter(({ top }) => top === "same").length,
  }
}

/** The length of all differences, as a part of that of the exact values. */
function distanceOf(rows: readonly Float32Array[], exact: readonly Float32Array[]): number {
  let [off, all] = [0, 0]
  for (const [position, row] of exact.entries())
    for (const [id, value] of row.entries()) {
      off += (rows[position][id] - value) ** 2
      all += value ** 2
    }
  return Math.sqrt(off / all)
}

async function computeLogits(
  path: string,
  ids: Int32Array,
  options: LogitsOptions,
  signal: AbortSignal,
): Promise<Float32Array[]> {
  const packed = await openPrepared(path, options, signal)
  checkMemory(packed, Math.min(ids.length, parseConfig(packed.config).maxPositions), options)
  const backend = await openBackend({ ...options, onNotice: note })
  try {
    return await logitsOf(Qwen3Moe.load(backend, packed), ids, signal)
  } finally {
    backend.free()
  }
}

async function logitsOf(model: Qwen3Moe, ids: Int32Array, signal: AbortSignal): Promise<Float32Array[]> {
  const { maxPositions: maxContext, vocab } = model.config
  const kvPages = Math.ceil(maxContext / pageTokens)
  const engine = new Engine(model, { maxContext, kvPages, chunkTokens: 512, tokenizerSize: vocab })
  try {
    return await engine.logits(ids, signal)
  } finally {
    await engine.free()
  }
}

/** One line per position: the ids with the largest logits. */
function largest(ids: readonly number[], rows: readonly Float32Array[]): string {
  const best = (row: Float32Array) =>
    [...row.keys()]
      .sort((a, b) => row[b] - row[a])
      .slice(0, shown)
      .map((id) => `${id}: ${row[id].toFixed(4)}`)
  const cells = rows.map((row, position) => [String(position), String(ids[position]), ...best(row)])
  const rest = Array.from({ length: Math.min(shown, rows[0].length) - 1 }, () => "")
  return table(cells, { head: ["position", "id", "largest logits after it", ...rest], right: [0, 1] })
}
