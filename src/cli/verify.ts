// Checks a packed model against the hashes of its bytes and, where it is here, against the checkpoint that it was made
// from: hashes, and the error of every tensor.

import { existsSync } from "node:fs"
import type { Command } from "commander"
import { UserError } from "../util/errors.ts"
import { openCheckpoint } from "../weights/checkpoint.ts"
import { verify as verifyTensors } from "../weights/verify.ts"
import type { TensorReport } from "../weights/verify.ts"
import { interruptible } from "./interrupt.ts"
import { openStored } from "./loading.ts"
import { addJsonOption } from "./options.ts"
import { note, paint, print, printJson } from "./output.ts"
import { count } from "./units.ts"

export function define(command: Command): void {
  addJsonOption(command)
    .argument("<packed>", "packed file, or name of a stored model")
    .option("--source <path>", "the checkpoint; where the packed file says it was made from, if left out")
    .action(verify)
}

interface VerifyOptions {
  source?: string
  json?: boolean
}

function verify(path: string, options: VerifyOptions): Promise<void> {
  return interruptible((signal) => check(path, options, signal))
}

async function check(path: string, options: VerifyOptions, signal: AbortSignal): Promise<void> {
  const packed = openStored(path)
  const source = options.source ?? (existsSync(packed.source) ? packed.source : undefined)
  if (source === undefined)
    note(`the source, ${packed.source}, is not here: only the packed bytes are checked`)
  const checkpoint = source === undefined ? undefined : await openCheckpoint(source)
  const width = Math.max(...[...packed.tensors.keys()].map((name) => name.length))
  const tensors: TensorReport[] = []
  for await (const report of verifyTensors(packed, checkpoint, { signal })) {
    tensors.push(report)
    if (!options.json) print(line(report, width))
  }
  const bad = tensors.filter(({ verdict }) => verdict === "bad")
  if (options.json)
    printJson({
      path: packed.path,
      source: source ?? null,
      good: tensors.length - bad.length,
      bad: bad.length,
      tensors,
    })
  if (bad.length > 0)
    throw new UserError(
      "bad-file",
      `${count(bad.length)} of ${count(tensors.length)} tensors of ${packed.path} are not as they should be: pack it again`,
    )
  if (!options.json) print(`all ${count(tensors.length)} tensors are as they were packed`)
}

function line(report: TensorReport, width: number): string {
  const { name, source, format, verdict } = report
  const text = `${name.padEnd(width)}  ${source.padEnd(7)} -> ${format.padEnd(4)}  ${finding(report)}`
  return verdict === "good" ? text : paint("red", text)
}

function finding({ packed, hash, exact, maxError = 0, relativeRms = 0 }: TensorReport): string {
  const error = `largest error ${maxError.toExponential(2)}, ${(100 * relativeRms).toFixed(3)}% rms`
  const shown = exact && maxError === 0 ? "exact" : error
  const findings = hash === "no source" ? [] : [shown]
  if (packed === "differs") findings.push("damaged: its bytes are not those that packing wrote")
  if (hash === "differs") findings.push("the source's bytes are not those that were packed")
  return findings.join("; ") || "as it was packed"
}
