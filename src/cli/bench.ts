// Measures a model on this machine: tokens per second of prefill and decode, beside the rate at which memory can be
// read, taken in the same run.

import { setTimeout } from "node:timers/promises"
import type { Command } from "commander"
import type { Backend } from "../backend/backend.ts"
import { chunkTokens } from "../backend/backend.ts"
import { CpuBackend } from "../backend/cpu/cpu.ts"
import type { Promotion } from "../backend/cpu/weights.ts"
import { openBackend } from "../llm.ts"
import { parseConfig } from "../model/config.ts"
import type { ModelConfig } from "../model/config.ts"
import { Qwen3Moe } from "../model/qwen3moe.ts"
import { UserError } from "../util/errors.ts"
import { openPacked } from "../weights/packed.ts"
import { showBench } from "./bench-report.ts"
import type { BenchResult } from "./bench-report.ts"
import type { Lengths } from "./benchmark.ts"
import { checkLengths, longestContext, measure, weightBytesPerToken } from "./benchmark.ts"
import { interruptible } from "./interrupt.ts"
import { checkMemory, openPrepared } from "./loading.ts"
import {
  addJsonOption,
  addModelOptions,
  addPrefillOption,
  addPromoteOption,
  modelArgument,
  wholeNumber,
  wholeNumbers,
} from "./options.ts"
import type { ModelOptions, PrefillOptions, PromoteOptions } from "./options.ts"
import { note, printJson } from "./output.ts"

interface BenchOptions extends ModelOptions, PrefillOptions, PromoteOptions {
  prefill?: number[]
  decode: number
  depth?: number[]
  chunk?: number
  rounds: number
  profile?: boolean
  json?: boolean
}

const mostTokens = 1 << 24
const usualPrefill = [512, 2048]
const usualDepths = [0, 4096]
const notes = [
  "keys and values before a depth are random numbers, written page by page without a forward pass",
]

export function define(command: Command): void {
  addJsonOption(addPromoteOption(addPrefillOption(addModelOptions(command))))
    .addArgument(modelArgument())
    .option(
      "--prefill <tokens>",
      "lengths of prompts to read, 0 for none (default: 512,2048)",
      wholeNumbers(0, mostTokens),
    )
    .option("--decode <tokens>", "tokens to make one by one, 0 for none", wholeNumber(0, mostTokens), 64)
    .option(
      "--depth <tokens>",
      "tokens that the context holds already (default: 0,4096)",
      wholeNumbers(0, mostTokens),
    )
    .option(
      "--chunk <tokens>",
      `most tokens of one batch (default: ${chunkTokens.exact}; ${chunkTokens.fast} in fast mode)`,
      wholeNumber(1, 8192),
    )
    .option("--rounds <number>", "measure each so often and take the median", wholeNumber(1, 100), 1)
    .option("--profile", "show the seconds spent in each op")
    .action(bench)
}

function bench(path: string, options: BenchOptions): Promise<void> {
  return interruptible(async (signal) => {
    const result = await runBench(path, options, signal)
    if (options.json) printJson(result)
    else showBench(result)
  })
}

async function runBench(path: string, options: BenchOptions, signal: AbortSignal): Promise<BenchResult> {
  const packed = await openPrepared(path, options, signal)
  const config = parseConfig(packed.config)
  const { chunk = chunkTokens[options.prefillMode], rounds } = options
  const lengths = lengthsOf(options, config)
  checkLengths(config, lengths)
  checkMemory(packed, Math.min(longestContext(lengths), config.maxPositions), options)
  const backend = await openBackend({ ...options, onNotice: note })
  try {
    const timings = options.profile ? timingsOf(backend) : undefined
    // Before the weights are mapped: it takes 2 GiB of its own for a moment.
    const bandwidth = backend instanceof CpuBackend ? (await backend.roof("memory")) / 1e9 : null
    const start = performance.now()
    const model = Qwen3Moe.load(backend, openPacked(packed.path))
    const loadMs = performance.now() - start
    const bytesPerToken = weightBytesPerToken(config, packed.tensors)
    let promotion: BenchResult["promotion"]
    const changed = async () => {
      promotion = backend instanceof CpuBackend ? await promotionOf(backend, signal) : undefined
      return promotion?.state === "done"
    }
    const asked = { ...lengths, chunkTokens: chunk, rounds, signal, timings, onStep: note, changed }
    const { decodeAgain, ...speeds } = await measure(model, bytesPerToken, asked)
    return {
      isa: backend.device,
      threads: backend.threads,
      prefillMode: backend instanceof CpuBackend ? options.prefillMode : "exact",
      readBandwidthGBs: bandwidth,
      weightBytesPerToken: bytesPerToken,
      ...speeds,
      ...(promotion && { promotion: { ...promotion, ...(decodeAgain && { decode: decodeAgain }) } }),
      loadMs,
      rssBytes: process.memoryUsage.rss(),
      notes,
    }
  } finally {
    backend.free()
  }
}

/** Once it has come to an end: what is measured before is mapped, in part or wholly. */
async function promotionOf(backend: CpuBackend, signal: AbortSignal): Promise<Promotion & { ms: number }> {
  const start = performance.now()
  for (let told = false; ; told = true) {
    const promotion = backend.promotion()
    if (promotion.state !== "waiting" && promotion.state !== "moving")
      return { ...promotion, ms: performance.now() - start }
    if (!told) note("waiting until the weights are on huge pages")
    await setTimeout(200, undefined, { signal })
  }
}

/** Those usual lengths that the model has positions for, where none are asked for. */
function lengthsOf({ prefill, decode, depth }: BenchOptions, { maxPositions }: ModelConfig): Lengths {
  const depths = depth ?? usualDepths.filter((tokens) => tokens < maxPositions / 2)
  const room = maxPositions - Math.max(...depths)
  return {
    prefill: (prefill ?? usualPrefill.filter((tokens) => tokens <= room)).filter((tokens) => tokens > 0),
    decode,
    depths,
  }
}

function timingsOf(backend: Backend): () => Record<string, number> {
  if (backend instanceof CpuBackend) return () => backend.timings()
  throw new UserError("unsupported", `the ${backend.name} backend keeps no times per op: leave --profile out`)
}
