// Tells whether a model fits in memory before anything of it is loaded, and what would fit where it does not.

import { Option } from "commander"
import type { Command } from "commander"
import { availableMemory } from "../context.ts"
import { kvTokenBytes, planMemory } from "../model/memory.ts"
import type { KvType, MemoryPlan } from "../model/memory.ts"
import { UserError } from "../util/errors.ts"
import { interruptible } from "./interrupt.ts"
import { addContextOption, addJsonOption } from "./options.ts"
import { paint, print, printJson, table } from "./output.ts"
import { readOverview } from "./overview.ts"
import { count, memorySize } from "./units.ts"

interface PlanOptions {
  context?: number
  kv: KvType
  json?: boolean
}

export function define(command: Command): void {
  addJsonOption(addContextOption(command))
    .argument(
      "<model>",
      "packed file, folder (a config.json is enough), GGUF file, hub id, or name of a stored model",
    )
    .addOption(
      new Option("--kv <type>", "how keys and values are kept").choices(["f16", "f32"]).default("f16"),
    )
    .action(plan)
}

async function plan(model: string, options: PlanOptions): Promise<void> {
  const { config, weightBytes } = await interruptible((signal) => readOverview(model, signal))
  const { context: contextTokens = config.maxPositions, kv, json } = options
  if (contextTokens > config.maxPositions)
    throw new UserError(
      "context-exceeded",
      `the model has ${count(config.maxPositions)} positions; --context asks for ${count(contextTokens)}: lower it`,
    )
  const result = planMemory({ config, weightBytes, contextTokens, kv, availableBytes: availableMemory() })
  if (json) return printJson({ contextTokens, ...result })
  const tokenBytes = kvTokenBytes(config, kv)
  const kvNote = `${count(contextTokens)} tokens in ${kv}, ${memorySize(tokenBytes)} each`
  const rows = [
    ["weights", memorySize(result.weightBytes)],
    ["keys and values", memorySize(result.kvBytes), kvNote],
    ["scratch", memorySize(result.scratchBytes)],
    ["total", memorySize(result.totalBytes)],
    ["available", memorySize(result.availableBytes)],
  ]
  print(
    table(
      rows.map(([name, size, about = ""]) => [name, size, about]),
      { right: [1] },
    ),
  )
  print(verdict(result, contextTokens))
}

/** `fits`, or what is missing and what would fit. */
export function verdict(result: MemoryPlan, contextTokens: number): string {
  const { fits, totalBytes, availableBytes, largestContextTokens } = result
  if (fits) {
    const more = largestContextTokens > contextTokens ? `; up to --context ${largestContextTokens} would` : ""
    return `${paint("green", "fits")}${more}`
  }
  const missing = memorySize(totalBytes - availableBytes)
  const next =
    largestContextTokens > 0
      ? `--context ${largestContextTokens} would fit`
      : "the weights alone are too large: close other programs, or use a machine with more memory"
  return `${paint("red", "does not fit")}: ${missing} are missing; ${next}`
}
