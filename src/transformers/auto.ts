// Where code written for Transformers or transformers.js begins: from a model's name to its tokenizer and to itself.

import { statSync } from "node:fs"
import { load } from "../llm.ts"
import type { LoadOptions } from "../llm.ts"
import { prepare } from "../prepare.ts"
import { openCheckpoint } from "../weights/checkpoint.ts"
import { readTokenizerFiles } from "../weights/files.ts"
import { isPacked } from "../weights/packed.ts"
import { PreTrainedModel } from "./model.ts"
import { ProgressEvents } from "./progress.ts"
import type { ProgressCallback } from "./progress.ts"
import { tokenizerFrom } from "./tokenizer.ts"
import type { PreTrainedTokenizer } from "./tokenizer.ts"

export interface PretrainedOptions extends Pick<LoadOptions, "onNotice" | "signal"> {
  progress_callback?: ProgressCallback
}

export type PretrainedModelOptions = PretrainedOptions &
  Pick<
    LoadOptions,
    "backend" | "threads" | "context" | "kv" | "kvBudget" | "attention" | "prefillMode" | "promote"
  >

export const AutoTokenizer = {
  /** From a packed file, folder, GGUF file or hub id; a hub's model is pulled whole, as its weights are needed next. */
  async from_pretrained(model: string, options: PretrainedOptions = {}): Promise<PreTrainedTokenizer> {
    return tokenizerFrom(await filesOf(model, options))
  },
}

export const AutoModelForCausalLM = {
  /** From a packed file, folder, GGUF file or hub id; what is not packed yet is packed first. */
  async from_pretrained(model: string, options: PretrainedModelOptions = {}): Promise<PreTrainedModel> {
    const { progress_callback, ...rest } = options
    const events = new ProgressEvents(model, progress_callback)
    const llm = await load(model, { ...rest, onProgress: events.update })
    events.end()
    return new PreTrainedModel(llm)
  },
}

/** Text needs no weights: of a checkpoint that is here, only the small files are read. */
async function filesOf(model: string, options: PretrainedOptions): Promise<ReadonlyMap<string, Uint8Array>> {
  const stat = statSync(model, { throwIfNoEntry: false })
  if (stat?.isDirectory()) return readTokenizerFiles(model)
  if (stat && !isPacked(model)) return (await openCheckpoint(model)).files
  const { progress_callback, ...rest } = options
  const events = new ProgressEvents(model, progress_callback)
  const packed = await prepare(model, { ...rest, onProgress: events.update })
  events.end()
  return packed.files
}
