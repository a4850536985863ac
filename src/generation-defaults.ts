// Between steps 1 and 4. What a checkpoint says about generating: how to draw where a request does not say, and which
// ids end a reply. generation_config.json counts; config.json names one of the ending ids only.

import { plainSampling } from "./engine/sampling.ts"
import type { Json, Sampling } from "./types.ts"
import { UserError } from "./util/errors.ts"

export interface GenerationDefaults {
  sampling: Sampling
  stopIds: ReadonlySet<number>
}

type Config = Readonly<Record<string, Json>>

export function generationDefaults(config: Config, generationConfig: Config = {}): GenerationDefaults {
  const stopIds = new Set([...idsOf(generationConfig), ...idsOf(config)])
  if (stopIds.size > 0) return { sampling: samplingOf(generationConfig), stopIds }
  throw new UserError(
    "bad-file",
    "neither generation_config.json nor config.json has an eos_token_id, so no reply would end: add one",
  )
}

/** What a request leaves out, or leaves undefined, is as the checkpoint says. */
export function withDefaults(asked: Partial<Sampling> = {}, defaults: Sampling): Sampling {
  const given = Object.entries(asked).filter(([, value]) => value !== undefined)
  return { ...defaults, ...Object.fromEntries(given) }
}

function samplingOf(config: Config): Sampling {
  const temperature =
    config.do_sample === false ? 0 : number(config, "temperature", plainSampling.temperature)
  return {
    temperature,
    topK: number(config, "top_k", plainSampling.topK),
    topP: number(config, "top_p", plainSampling.topP),
    minP: number(config, "min_p", plainSampling.minP),
    presencePenalty: number(config, "presence_penalty", plainSampling.presencePenalty),
    frequencyPenalty: number(config, "frequency_penalty", plainSampling.frequencyPenalty),
    repetitionPenalty: number(config, "repetition_penalty", plainSampling.repetitionPenalty),
  }
}

function number(config: Config, key: string, otherwise: number): number {
  const value = config[key] ?? otherwise
  if (typeof value === "number") return value
  throw new UserError(
    "bad-file",
    `generation_config.json has ${key} ${JSON.stringify(value)}; wanted a number`,
  )
}

function idsOf(config: Config): number[] {
  const ids = [config.eos_token_id ?? []].flat()
  if (ids.every((id) => typeof id === "number")) return ids
  throw new UserError(
    "bad-file",
    `eos_token_id is ${JSON.stringify(ids)}; wanted a token id or a list of them`,
  )
}
