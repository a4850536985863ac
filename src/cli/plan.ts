// Tells whether a model fits in memory before anything of it is loaded, and what would fit where it does not.

import type { Command } from "commander"
import { availableMemory } from "../context.ts"
import { planMemory } from "../model/memory.ts"
import type { MemoryPlan } from "../model/memory.ts"
import { UserError } from "../util/errors.ts"
import { interruptible } from "./interrupt.ts"
import { addContextOption, addJsonOption, addKvOptions } from "./options.ts"
import type { KvOptions } from "./options.ts"
import { paint, print, printJson, table } from "./output.ts"
import { readOverview } from "./overview.ts"
import { count, memorySize } from "./units.ts"

interface PlanOptions extends KvOptions {
  context?: number
  json?: boolean
}

export function define(command: Command): void {
  addJsonOption(addKvOptions(addContextOption(command)))
    .argument(
      "<model>",
      "packed file, folder (a config.json is enough), GGUF file, hub id, or name of a stored model",
    )
    .action(plan)
}

async function plan(model: string, options: PlanOptions): Promise<void> {
  const { config, weightBytes } = await interruptible((signal) => readOverview(model, signal))
  const { context: contextTokens = config.maxPositions, kv, kvBudget: kvBudgetBytes, json } = options
  if (contextTokens > config.maxPositions)
    throw new UserError(
      "context-exceeded",
      `the model has ${count(config.maxPositions)} positions; --context asks for ${count(contextTokens)}: lower it`,
    )
  const availableBytes = availableMemory()
  const result = planMemory({ config, weightBytes, contextTokens, kv, kvBudgetBytes, availableBytes })
  if (json) return printJson({ contextTokens, ...result })
  const kvNote = `${count(contextTokens)} tokens, ${pagesNote(result.tiers)}`
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

/** `14 pages in T0 (16 bit), 2034 in T3` */
function pagesNote(tiers: MemoryPlan["tiers"]): string {
  const held = Object.entries(tiers).filter(([, pages]) => pages > 0)
  const each = held.map(([tier, pages], i) => {
    return `${count(pages)}${i === 0 ? " pages" : ""} in ${tier}${tier === "T0" ? " (16 bit)" : ""}`
  })
  return each.join(", ")
}

/** `fits`, or what is missing and what would fit. */
export function verdict(result: MemoryPlan, contextTokens: number): string {
  const { fits, totalBytes, availableBytes, kvBytes, kvBudgetBytes, largestContextTokens } = result
  if (fits) {
    const more = largestContextTokens > contextTokens ? `; up to --context ${largestContextTokens} would` : ""
    return `${paint("green", "fits")}${more}`
  }
  const missing = memorySize(Math.max(totalBytes - availableBytes, kvBytes - kvBudgetBytes))
  const next =
    largestContextTokens > 0
      ? `--context ${largestContextTokens} would fit`
      : "the weights alone are too large: close other programs, or use a machine with more memory"
  return `${paint("red", "does not fit")}: ${missing} are missing; ${next}`
}
