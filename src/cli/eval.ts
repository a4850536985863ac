// Measures what a model loses by a choice of ours: `eval kv` compares keys and values in fewer bits with those in 16.

import { Argument, InvalidArgumentError, Option } from "commander"
import type { Command } from "commander"
import { kvTiers, kvWindow, pageTokens, selection } from "../backend/backend.ts"
import type { CodedTier } from "../backend/backend.ts"
import { readFormat } from "../chat/format.ts"
import { kvFidelity } from "../eval/kv-fidelity.ts"
import type { Fidelity } from "../eval/kv-fidelity.ts"
import { kvInjection } from "../eval/kv-injection.ts"
import { plannedPrompts, promptsFrom } from "../eval/kv-prompts.ts"
import type { KvPrompt } from "../eval/kv-prompts.ts"
import { fidelityHtml, fidelityText, summaryOf } from "../eval/kv-report.ts"
import { generationDefaults } from "../generation-defaults.ts"
import { openBackend } from "../llm.ts"
import { parseConfig } from "../model/config.ts"
import { Qwen3Moe } from "../model/qwen3moe.ts"
import type { QkNorms } from "../model/weights.ts"
import { loadTokenizer } from "../tokenizer/tokenizer.ts"
import { UserError } from "../util/errors.ts"
import { writeText } from "../weights/disk.ts"
import { readSmallFile } from "../weights/file.ts"
import type { PackedModel } from "../weights/packed.ts"
import { interruptible } from "./interrupt.ts"
import { checkMemory, openPrepared } from "./loading.ts"
import {
  addAttentionOption,
  addJsonOption,
  addModelOptions,
  modelArgument,
  wholeNumber,
  wholeNumbers,
} from "./options.ts"
import type { AttentionOptions, ModelOptions } from "./options.ts"
import { note, print, printJson } from "./output.ts"

interface EvalOptions extends ModelOptions, AttentionOptions {
  lengths: number[]
  depths: number
  needles: number
  wordProblems: number
  tiers: CodedTier[]
  window: number
  positions: number
  replyTokens: number
  seed: number
  thinking: "on" | "off"
  prompts?: string
  inject?: number
  report?: string
  json?: boolean
}

const maxPromptBytes = 1 << 30

export function define(command: Command): void {
  addJsonOption(addAttentionOption(addModelOptions(command)))
    .addArgument(new Argument("<what>", "what is measured").choices(["kv"]))
    .addArgument(modelArgument())
    .option("--tiers <list>", "of T1, T2, T3", readTiers, [1, 2, 3] satisfies CodedTier[])
    .option("--window <tokens>", "tokens that are read in 16 bits", wholeNumber(128, 1 << 20), kvWindow)
    .option("--lengths <tokens>", "about how long the texts are", wholeNumbers(256, 1 << 20), [2048])
    .option("--depths <number>", "needle texts of each length", wholeNumber(0, 4096), 8)
    .option("--needles <number>", "values asked for in each", wholeNumber(1, 4), 1)
    .option("--word-problems <number>", "word problems behind texts of each length", wholeNumber(0, 4096), 4)
    .option("--positions <number>", "logits compared in each text", wholeNumber(1, 4096), 64)
    .option("--reply-tokens <number>", "longest greedy reply", wholeNumber(1, 4096), 48)
    .option("--seed <number>", "of the texts", wholeNumber(0, 2 ** 31), 1)
    .addOption(
      new Option("--thinking <mode>", "whether the model thinks before it answers, which takes reply tokens")
        .choices(["on", "off"])
        .default("off"),
    )
    .option("--prompts <file>", "ask these, one JSON object a line, in place of our own")
    .option(
      "--inject <tokens>",
      "compute the texts' keys and values in stretches of so many tokens and inject them, beside other codes",
      wholeNumber(pageTokens, 1 << 20),
    )
    .option("--report <file>", "write pictures and tables as one HTML page")
    .action(evaluate)
}

function evaluate(_: string, path: string, options: EvalOptions): Promise<void> {
  return interruptible(async (signal) => {
    const packed = await openPrepared(path, options, signal)
    const fidelity = await measure(packed, promptsOf(packed, options), options, signal)
    if (options.report) writeText(options.report, fidelityHtml(path, fidelity))
    if (options.json) printJson({ ...fidelity, summary: fidelity.tiers.map(summaryOf) })
    else print(fidelityText(fidelity))
  })
}

function promptsOf(packed: PackedModel, options: EvalOptions): KvPrompt[] {
  const tokenizer = loadTokenizer(packed.files)
  const { prompts: file } = options
  if (file !== undefined)
    return promptsFrom(file, new TextDecoder().decode(readSmallFile(file, maxPromptBytes)), tokenizer)
  const prompts = plannedPrompts(options, { format: readFormat(packed.files), tokenizer })
  if (prompts.length > 0) return prompts
  throw new UserError("bad-argument", "there is nothing to ask: wanted --depths or --word-problems above 0")
}

async function measure(
  packed: PackedModel,
  prompts: readonly KvPrompt[],
  options: EvalOptions,
  signal: AbortSignal,
): Promise<Fidelity> {
  const config = parseConfig(packed.config)
  const longest = Math.max(...prompts.map(({ ids }) => ids.length)) + options.replyTokens
  checkMemory(packed, Math.min(longest, config.maxPositions), options)
  const backend = await openBackend({ ...options, onNotice: note })
  const asked = {
    ...options,
    selectiveFrom: options.attention === "auto" ? selection.from : undefined,
    stopIds: generationDefaults(packed.config, packed.generationConfig).stopIds,
    signal,
    onPrompt: (done: number, all: number) => note(`${done} of ${all} texts`),
  }
  const model = (norms: QkNorms) => Qwen3Moe.load(backend, packed, norms)
  try {
    return options.inject === undefined
      ? await kvFidelity(model("balanced"), prompts, asked)
      : await kvInjection(model, prompts, { ...asked, stretchTokens: options.inject })
  } finally {
    backend.free()
  }
}

function readTiers(text: string): CodedTier[] {
  return text.split(",").map((name) => {
    const tier = kvTiers.findIndex((each) => each.name === name.trim())
    if (tier > 0) return tier as CodedTier // of the list, and not the first
    throw new InvalidArgumentError("Wanted some of T1, T2, T3.")
  })
}
