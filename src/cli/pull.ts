// Downloads a model from a hub and packs it while it comes in.

import { Option } from "commander"
import type { Command } from "commander"
import { pullModel } from "../prepare.ts"
import { quants } from "../weights/pack-plan.ts"
import type { Quant } from "../weights/pack-plan.ts"
import { interruptible } from "./interrupt.ts"
import { showingProgress } from "./loading.ts"
import { note, print } from "./output.ts"
import { fileSize } from "./units.ts"

interface PullOptions {
  out?: string
  quant: Quant
  tokenizer?: string
}

export function define(command: Command): void {
  command
    .argument("<id>", "like Qwen/Qwen3-30B-A3B-Thinking-2507 or modelscope:Qwen/Qwen3-30B-A3B")
    .option("--out <file>", "where the packed file goes; among the stored models where left out")
    .addOption(
      new Option("--quant <type>", "how float weights are stored; quantised ones stay as they are")
        .choices(quants)
        .default("auto"),
    )
    .option("--tokenizer <folder>", "take the tokenizer's files from here in place of the model's own")
    .action(pull)
}

async function pull(id: string, options: PullOptions): Promise<void> {
  const packed = await interruptible((signal) =>
    showingProgress((onProgress) => pullModel(id, { ...options, onNotice: note, onProgress, signal })),
  )
  note(`packed ${fileSize(packed.bytes)}`)
  print(packed.path)
}
