// Removes a packed model from this machine, after asking.

import { createInterface } from "node:readline/promises"
import type { Command } from "commander"
import { UserError } from "../util/errors.ts"
import { findModel, modelsFolder, removeModel } from "../weights/store.ts"
import { interruptible } from "./interrupt.ts"
import { note } from "./output.ts"
import { fileSize } from "./units.ts"

export function define(command: Command): void {
  command.argument("<name>", "as a3b list shows it").option("-y, --yes", "do not ask").action(rm)
}

async function rm(name: string, { yes }: { yes?: boolean }): Promise<void> {
  const model = findModel(name)
  if (!model)
    throw new UserError("not-found", `no model ${name} in ${modelsFolder()}: a3b list shows the names`)
  if (!yes && !(await confirm(`remove ${model.path} (${fileSize(model.bytes)})?`))) return note("kept")
  removeModel(name)
  note(`removed ${name}, ${fileSize(model.bytes)} are free again`)
}

async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new UserError("bad-argument", `${question.slice(0, -1)}: there is no terminal to ask on, add --yes`)
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await interruptible(async (signal) => {
      // The terminal is read key by key, so Ctrl-C is a key here and no signal.
      lines.on("SIGINT", () => process.emit("SIGINT"))
      return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal })).trim())
    })
  } finally {
    lines.close()
  }
}
