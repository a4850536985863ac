// Step 6. What a `Sampling` may hold, checked where a request enters; inside the engine it is trusted.

import type { Sampling } from "../types.ts"
import { UserError } from "../util/errors.ts"

/** No truncation, no penalties, temperature 1: the distribution as the model gives it. */
export const plainSampling: Sampling = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
}

/** Beyond this a float32 logit could become infinite. */
const moderate = (x: number) => Math.abs(x) <= 1e9

/** Refuses values that mean nothing; `size` is how many ids the tokenizer has. */
export function checkSampling(sampling: Sampling, size: number): void {
  const { seed, maxTokens, logitBias = {} } = sampling
  const integer = Number.isSafeInteger
  wanted("temperature", sampling.temperature, "a number from 0 up", (x) => x >= 0)
  wanted("topK", sampling.topK, "a whole number, 0 for all", (x) => x >= 0 && integer(x))
  wanted("topP", sampling.topP, "above 0 and at most 1", (x) => x > 0 && x <= 1)
  wanted("minP", sampling.minP, "from 0 to 1", (x) => x >= 0 && x <= 1)
  wanted("presencePenalty", sampling.presencePenalty, "from -1e9 to 1e9", moderate)
  wanted("frequencyPenalty", sampling.frequencyPenalty, "from -1e9 to 1e9", moderate)
  wanted(
    "repetitionPenalty",
    sampling.repetitionPenalty,
    "from 0.001 to 1000",
    (x) => x >= 0.001 && x <= 1000,
  )
  if (seed !== undefined) wanted("seed", seed, "a whole number", integer)
  if (maxTokens !== undefined)
    wanted("maxTokens", maxTokens, "a whole number from 1 up", (x) => x >= 1 && integer(x))
  for (const [key, bias] of Object.entries(logitBias)) {
    const known = /^\d+$/.test(key) && Number(key) < size
    if (!known) throw refusal("logitBias", key, `token ids from 0 to ${size - 1}`)
    wanted(`logitBias of id ${key}`, bias, "from -1e9 to 1e9", moderate)
  }
}

function wanted(name: string, value: number, what: string, holds: (value: number) => boolean): void {
  if (typeof value !== "number" || !Number.isFinite(value) || !holds(value)) throw refusal(name, value, what)
}

function refusal(name: string, value: unknown, what: string): UserError {
  return new UserError("bad-argument", `${name} is ${JSON.stringify(value) ?? String(value)}: wanted ${what}`)
}
