// Packs a checkpoint: a Hugging Face folder or GGUF file in, one file that later starts map as it is out.

import type { Command } from "commander"
import { packCheckpoint } from "../prepare.ts"
import { interruptible } from "./interrupt.ts"
import { showingProgress } from "./loading.ts"
import { addPackingOptions } from "./options.ts"
import type { PackingOptions } from "./options.ts"
import { note, print } from "./output.ts"
import { fileSize } from "./units.ts"

export function define(command: Command): void {
  addPackingOptions(command.argument("<source>", "Hugging Face folder or GGUF file")).action(pack)
}

async function pack(source: string, options: PackingOptions): Promise<void> {
  const packed = await interruptible((signal) =>
    showingProgress((onProgress) =>
      packCheckpoint(source, { ...options, onNotice: note, onProgress, signal }),
    ),
  )
  note(`packed ${fileSize(packed.bytes)}`)
  print(packed.path)
}
