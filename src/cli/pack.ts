// Packs a checkpoint: a Hugging Face folder or GGUF file in, one file that later starts map as it is out.

import { Option } from "commander"
import type { Command } from "commander"
import { packCheckpoint } from "../prepare.ts"
import { quants } from "../weights/pack-plan.ts"
import type { Quant } from "../weights/pack-plan.ts"
import { interruptible } from "./interrupt.ts"
import { showingProgress } from "./loading.ts"
import { wholeNumber } from "./options.ts"
import { note, print } from "./output.ts"
import { fileSize } from "./units.ts"

interface PackOptions {
  out?: string
  quant: Quant
  tokenizer?: string
  threads?: number
}

export function define(command: Command): void {
  command
    .argument("<source>", "Hugging Face folder or GGUF file")
    .option("--out <file>", "where the packed file goes; among the stored models where left out")
    .addOption(
      new Option("--quant <type>", "how float weights are stored; quantised ones stay as they are")
        .choices(quants)
        .default("auto"),
    )
    .option("--tokenizer <folder>", "take the tokenizer's files from here in place of the source's own")
    .option("--threads <number>", "threads that pack", wholeNumber(1, 512))
    .action(pack)
}

async function pack(source: string, options: PackOptions): Promise<void> {
  const packed = await interruptible((signal) =>
    showingProgress((onProgress) =>
      packCheckpoint(source, { ...options, onNotice: note, onProgress, signal }),
    ),
  )
  note(`packed ${fileSize(packed.bytes)}`)
  print(packed.path)
}
