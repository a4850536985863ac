// Downloads a model from a hub and packs it while it comes in.

import type { Command } from "commander"
import { pullModel } from "../prepare.ts"
import { interruptible } from "./interrupt.ts"
import { showingProgress } from "./loading.ts"
import { addPackingOptions } from "./options.ts"
import type { PackingOptions } from "./options.ts"
import { note, print } from "./output.ts"
import { fileSize } from "./units.ts"

export function define(command: Command): void {
  const id = "like Qwen/Qwen3-30B-A3B-Thinking-2507, or modelscope:Qwen/Qwen3-30B-A3B"
  addPackingOptions(command.argument("<id>", id)).action(pull)
}

async function pull(id: string, options: PackingOptions): Promise<void> {
  const packed = await interruptible((signal) =>
    showingProgress((onProgress) => pullModel(id, { ...options, onNotice: note, onProgress, signal })),
  )
  note(`packed ${fileSize(packed.bytes)}`)
  print(packed.path)
}
