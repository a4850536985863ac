// The model as users of Transformers and transformers.js know it: `generate` takes and returns ids, prompt included.
// A thin layer over the spine; knows no text.

import type { Llm } from "../llm.ts"
import type { Json, Sampling } from "../types.ts"
import { UserError } from "../util/errors.ts"
import type { Streamer } from "./streamer.ts"

/** What is left out comes from the checkpoint's generation_config.json. */
export interface GenerateParameters {
  /** One prompt, or several that are generated for at once; they need no padding. */
  input_ids: readonly number[] | readonly (readonly number[])[]
  /** Ids whose mask is 0 are padding and are left out. */
  attention_mask?: readonly number[] | readonly (readonly number[])[]
  /** Up to the end of the context where left out. */
  max_new_tokens?: number
  /** `false` takes the likeliest id each time. */
  do_sample?: boolean
  temperature?: number
  top_k?: number
  top_p?: number
  min_p?: number
  repetition_penalty?: number
  presence_penalty?: number
  frequency_penalty?: number
  seed?: number
  eos_token_id?: number | readonly number[]
  streamer?: Streamer
  signal?: AbortSignal
}

const parameters = [
  "input_ids",
  "attention_mask",
  "max_new_tokens",
  "do_sample",
  "temperature",
  "top_k",
  "top_p",
  "min_p",
  "repetition_penalty",
  "presence_penalty",
  "frequency_penalty",
  "seed",
  "eos_token_id",
  "streamer",
  "signal",
] as const satisfies (keyof GenerateParameters)[]

export class PreTrainedModel {
  /** config.json */
  readonly config: Readonly<Record<string, Json>>
  /** generation_config.json */
  readonly generation_config: Readonly<Record<string, Json>>
  readonly #llm: Llm

  /** Use `AutoModelForCausalLM.from_pretrained`. */
  constructor(llm: Llm) {
    this.config = llm.packed.config
    this.generation_config = llm.packed.generationConfig ?? {}
    this.#llm = llm
  }

  /** The ids of prompt and reply, one row per prompt, each as long as it is. */
  async generate(options: GenerateParameters): Promise<number[][]> {
    checkParameters(options)
    const prompts = promptsOf(options)
    if (options.streamer && prompts.length > 1)
      throw new UserError("bad-argument", `a streamer takes one prompt at a time; got ${prompts.length}`)
    // If one fails, the others are of no use any more.
    const failed = new AbortController()
    const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal
    try {
      return await Promise.all(prompts.map((prompt) => this.#reply(prompt, { ...options, signal })))
    } finally {
      failed.abort()
    }
  }

  /** Cancels what runs and gives all memory back. */
  async dispose(): Promise<void> {
    await this.#llm.free()
  }

  async #reply(prompt: readonly number[], options: GenerateParameters): Promise<number[]> {
    const { streamer, signal, eos_token_id: end } = options
    const stopIds = end === undefined ? undefined : new Set([end].flat())
    const generation = this.#llm.generate(Int32Array.from(prompt), {
      sampling: samplingOf(options),
      stopIds,
      signal,
    })
    const ids = [...prompt]
    streamer?.put([[...prompt]])
    const add = (id: number) => {
      ids.push(id)
      streamer?.put([[id]])
    }
    for await (const id of generation) add(id)
    if (generation.stopId !== undefined) add(generation.stopId)
    streamer?.end()
    return ids
  }
}

function checkParameters(options: GenerateParameters): void {
  const known: readonly string[] = parameters
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new UserError("bad-argument", `generate does not take ${unknown}; it takes ${parameters.join(", ")}`)
}

function promptsOf({ input_ids: ids, attention_mask: mask }: GenerateParameters): number[][] {
  const masks = mask && rowsOf(mask)
  return rowsOf(ids).map((row, i) => row.filter((_, at) => masks?.[i]?.[at] !== 0))
}

function rowsOf(values: readonly number[] | readonly (readonly number[])[]): readonly (readonly number[])[] {
  const isRow = (row: number | readonly number[]): row is readonly number[] => typeof row !== "number"
  const rows = values.filter(isRow)
  return rows.length > 0 ? rows : [values.filter((value) => typeof value === "number")]
}

function samplingOf(options: GenerateParameters): Partial<Sampling> {
  return {
    temperature: options.do_sample === false ? 0 : options.temperature,
    topK: options.top_k,
    topP: options.top_p,
    minP: options.min_p,
    repetitionPenalty: options.repetition_penalty,
    presencePenalty: options.presence_penalty,
    frequencyPenalty: options.frequency_penalty,
    maxTokens: options.max_new_tokens,
    seed: options.seed,
  }
}
