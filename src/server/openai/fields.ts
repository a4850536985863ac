// Step 1. The fields that OpenAI's endpoints share: how to draw, when to stop, whether and how long to think. Ranges
// are OpenAI's; top_k, min_p and repetition_penalty are as vLLM takes them.

import { z } from "zod"
import type { Sampling, Thinking } from "../../types.ts"
import { refuse } from "../body.ts"

const penalty = z.number().min(-2).max(2).nullish()
const seed = z.number().int().min(Number.MIN_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER)
const bias = z.record(z.string().regex(/^\d+$/, "wanted token ids as keys"), z.number().min(-100).max(100))

export const samplingFields = {
  temperature: z.number().min(0).max(100).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.number().int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  presence_penalty: penalty,
  frequency_penalty: penalty,
  repetition_penalty: z.number().min(0.001).max(1000).nullish(),
  seed: seed.nullish(),
  logit_bias: bias.nullish(),
}

/** As vLLM takes it: lower goes first. */
export const priorityField = z.number().int().min(-1_000_000).max(1_000_000).nullish()

type SamplingBody = z.infer<z.ZodObject<typeof samplingFields>>

/** What the request says; the rest is as the checkpoint has it. */
export function samplingOf(body: SamplingBody, maxTokens?: number | null): Partial<Sampling> {
  const given = {
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k === -1 ? 0 : body.top_k,
    minP: body.min_p,
    presencePenalty: body.presence_penalty,
    frequencyPenalty: body.frequency_penalty,
    repetitionPenalty: body.repetition_penalty,
    seed: body.seed,
    logitBias: body.logit_bias,
    maxTokens,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => (value ?? undefined) !== undefined))
}

/** The same for one of several replies: a fixed seed must not draw the same reply each time. */
export function samplingOfChoice(sampling: Partial<Sampling>, choice: number): Partial<Sampling> {
  return sampling.seed === undefined ? sampling : { ...sampling, seed: sampling.seed + choice }
}

const stopString = z.string().min(1).max(1000)

export const stopField = z
  .union([stopString, z.array(stopString).max(16)], { error: "wanted a text or a list of at most 16 texts" })
  .nullish()

export function stopsOf(stop: z.infer<typeof stopField>): string[] {
  return [stop ?? []].flat()
}

export const streamFields = {
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
}

const budget = z.number().int().min(0)

const switched = z.object({ type: z.enum(["enabled", "disabled"]), budget_tokens: budget.nullish() })

export const thinkingFields = {
  /** Ours, as the library has it; or Anthropic's, which others took over. */
  thinking: z
    .union([z.enum(["on", "off"]), z.object({ budget }), switched], {
      error: 'wanted "on", "off", {"budget": tokens} or {"type": "enabled" or "disabled"}',
    })
    .nullish(),
  /** OpenAI's. */
  reasoning_effort: z.enum(["none", "minimal", "low", "medium", "high", "xhigh"]).nullish(),
  /** Alibaba Cloud's. */
  enable_thinking: z.boolean().nullish(),
  thinking_budget: budget.nullish(),
}

type ThinkingBody = z.infer<z.ZodObject<typeof thinkingFields>>

/** Tokens of thinking by effort, after which the model is made to answer; beyond `medium` it ends by itself. */
export const effortBudgets = { minimal: 512, low: 2048, medium: 8192 } as const

/** Nothing where nothing is said: then it is as the checkpoint does it. */
export function thinkingOf(body: ThinkingBody): Thinking | undefined {
  const { thinking, enable_thinking, thinking_budget, reasoning_effort } = body
  if (thinking != null)
    return typeof thinking === "object" && "type" in thinking ? switchedTo(thinking) : thinking
  if (enable_thinking === false) {
    if (thinking_budget) refuse("thinking_budget", "enable_thinking is false: leave one of them out")
    return "off"
  }
  if (thinking_budget != null) return { budget: thinking_budget }
  if (enable_thinking === true) return "on"
  return reasoning_effort == null ? undefined : thinkingOfEffort(reasoning_effort)
}

function switchedTo({ type, budget_tokens }: z.infer<typeof switched>): Thinking {
  if (type === "disabled") return "off"
  return budget_tokens == null ? "on" : { budget: budget_tokens }
}

export function thinkingOfEffort(effort: NonNullable<ThinkingBody["reasoning_effort"]>): Thinking {
  if (effort === "none") return "off"
  if (effort === "high" || effort === "xhigh") return "on"
  return { budget: effortBudgets[effort] }
}
