// Arguments as people write them in, checked values out; and the options that several commands share.

import { Argument, InvalidArgumentError, Option } from "commander"
import type { Command } from "commander"
import type { PrefillMode, Promote } from "../backend/backend.ts"
import { quants } from "../weights/pack-plan.ts"
import type { Quant } from "../weights/pack-plan.ts"

/** Of every command that runs a model. */
export interface ModelOptions {
  threads?: number
  backend: "auto" | "cpu" | "reference"
  tokenizer?: string
}

export function modelArgument(): Argument {
  return new Argument("<model>", "packed file, folder, GGUF file, hub id, or name of a stored model")
}

export function addModelOptions(command: Command): Command {
  return command
    .option("--threads <number>", "threads of the cpu backend; all cores where left out", wholeNumber(1, 512))
    .addOption(
      new Option("--backend <name>", "what computes: the native cpu backend, or the slow reference")
        .choices(["auto", "cpu", "reference"])
        .default("auto"),
    )
    .option("--tokenizer <folder>", "take the tokenizer's files from here in place of the model's own")
}

/** Of the commands that pack. */
export interface PackingOptions {
  out?: string
  quant: Quant
  tokenizer?: string
  threads?: number
}

export function addPackingOptions(command: Command): Command {
  return command
    .option("--out <file>", "where the packed file goes; among the stored models where left out")
    .addOption(
      new Option("--quant <type>", "how float weights are stored; quantised ones stay as they are")
        .choices(quants)
        .default("auto"),
    )
    .option("--tokenizer <folder>", "take the tokenizer's files from here in place of the source's own")
    .option("--threads <number>", "threads that pack", wholeNumber(1, 512))
}

export function addContextOption(command: Command): Command {
  return command.option(
    "--context <tokens>",
    "most tokens of prompt and reply together; what the model and the memory allow where left out",
    wholeNumber(1, 1 << 26),
  )
}

/** How keys and values are kept, and in how much memory. */
export interface KvOptions {
  kv: "auto" | "f16" | "T1" | "T2" | "T3"
  kvBudget?: number
}

export function addKvOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--kv <type>",
        "keys and values beyond the last 1,024 tokens in 16 bits, or 8/8, 5/4, 4/3 (T1 to T3)",
      )
        .choices(["auto", "f16", "T1", "T2", "T3"])
        .default("auto", "auto: 16 bits where they fit, else fewer for older tokens"),
    )
    .option(
      "--kv-budget <size>",
      "most memory for keys and values, such as 6G; what is left where left out",
      memorySize,
    )
}

export interface AttentionOptions {
  attention: "auto" | "exact"
}

export function addAttentionOption(command: Command): Command {
  return command.addOption(
    new Option("--attention <type>", "what tokens that are made beyond 32,768 read of compressed pages")
      .choices(["auto", "exact"])
      .default("auto", "auto: what most attention goes to, all of it where that is spread"),
  )
}

export interface PrefillOptions {
  prefillMode: PrefillMode
}

export function addPrefillOption(command: Command): Command {
  return command.addOption(
    new Option("--prefill-mode <mode>", "prompts: the same bits however they are cut, or faster")
      .choices(["exact", "fast"])
      .default("exact"),
  )
}

export interface PromoteOptions {
  promote: Promote
}

export function addPromoteOption(command: Command): Command {
  return command.addOption(
    new Option(
      "--promote <mode>",
      "whether weights whose mapping lies in small pages are moved to huge ones in the background (Linux)",
    )
      .choices(["auto", "off"])
      .default("auto", "auto: while 2 GiB of memory stay available, in one process for each file"),
  )
}

/** `512M`, `6G`: powers of 1,024. */
function memorySize(text: string): number {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)([KMGT]?)$/i.exec(text) ?? []
  if (digits === undefined) throw new InvalidArgumentError("Wanted a size such as 512M or 6G.")
  return Math.floor(Number(digits) * 1024 ** " KMGT".indexOf(unit.toUpperCase() || " "))
}

export function addJsonOption(command: Command): Command {
  return command.option("--json", "print one JSON object for a program to read")
}

/** Commander's own required options hide a misspelled one. */
export function required<T>(value: T | undefined, flags: string, command: Command): T {
  return value ?? command.error(`error: required option '${flags}' not specified`)
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => readWhole(text, least, most)
}

export function decimal(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() !== "" && value >= least && value <= most) return value
    throw new InvalidArgumentError(`Wanted a number from ${least} to ${most}.`)
  }
}

/** `1,2,3` */
export function wholeNumbers(least: number, most: number): (text: string) => number[] {
  return (text) => text.split(",").map((part) => readWhole(part.trim(), least, most))
}

function readWhole(text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (value >= least && value <= most) return value
  throw new InvalidArgumentError(`Wanted whole numbers from ${least} to ${most}.`)
}
