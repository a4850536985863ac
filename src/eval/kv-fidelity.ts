// Step 6. A model and prompts in; out what is lost when keys and values are kept by each tier in place of 16 bits: the
// divergence of the logits by depth, whether the likeliest token is the same, greedy replies, and answers.

import { kvTiers, pageTokens, pagesBehind } from "../backend/backend.ts"
import type { CodedTier, KvTier, Selections } from "../backend/backend.ts"
import type { ModelConfig } from "../model/config.ts"
import type { Qwen3Moe } from "../model/qwen3moe.ts"
import { UserError } from "../util/errors.ts"
import { KvProbe } from "./kv-probe.ts"
import type { KvPrompt } from "./kv-prompts.ts"

export interface FidelityOptions {
  tiers: readonly CodedTier[]
  window: number
  /** Tokens of replies from this position on choose what they read of coded pages; none does where left out. */
  selectiveFrom?: number
  /** Positions of each prompt whose logits are compared. */
  positions: number
  replyTokens: number
  stopIds: ReadonlySet<number>
  signal?: AbortSignal
  onPrompt?: (done: number, all: number) => void
}

/** One compared position. */
export interface Divergence {
  readonly kind: KvPrompt["kind"]
  readonly position: number
  /** KL(16 bits || tier) in nats. */
  readonly kl: number
  readonly top: "same" | "other"
}

/** One answered question. */
export interface Answer {
  readonly kind: KvPrompt["kind"]
  /** Tokens before it. */
  readonly length: number
  readonly depth?: number
  readonly outcome: "right" | "wrong"
  /** The first token of the greedy reply that is not that of 16 bits; -1 where they are alike. */
  readonly divergesAt: number
}

export interface TierOutcome {
  /** T0 to T3, or what other codes are called. */
  readonly tier: string
  readonly divergences: readonly Divergence[]
  readonly answers: readonly Answer[]
}

export interface Fidelity {
  readonly window: number
  /** Where keys and values were injected: tokens of the stretches that they were computed in. */
  readonly stretchTokens?: number
  /** T0 first, then those asked for. */
  readonly tiers: readonly TierOutcome[]
  /** What came of tokens that chose what they read, where any could. */
  readonly selections?: Selections
}

const chunkTokens = 512

/** The model must have no cache yet, and norms that are balanced: those are what compressed pages are made with. */
export async function kvFidelity(
  model: Qwen3Moe,
  prompts: readonly KvPrompt[],
  options: FidelityOptions,
): Promise<Fidelity> {
  const { window, tiers, selectiveFrom, signal, onPrompt } = options
  if (prompts.some(({ questions }) => questions.some(({ put }) => put)))
    throw new UserError(
      "bad-argument",
      "a question puts ids into its text: only injected texts can be changed, add --inject",
    )
  const longest = checkLengths(model.config, prompts, options.replyTokens)
  const probe = new KvProbe(model, { contextTokens: longest, window, chunkTokens, selectiveFrom, signal })
  const all: readonly KvTier[] = [0, ...tiers]
  const outcomes = all.map((tier) => ({
    tier: kvTiers[tier].name,
    divergences: [] as Divergence[],
    answers: [] as Answer[],
  }))
  for (const [i, prompt] of prompts.entries()) {
    const positions = comparedPositions(prompt, options)
    const exact: Float32Array[] = []
    const replies: number[][] = []
    for (const [j, tier] of all.entries()) {
      let row = 0
      await probe.run(prompt.ids, 0, tier, positions, (logits, position) => {
        if (tier === 0) exact.push(logits.slice())
        else outcomes[j].divergences.push({ kind: prompt.kind, position, ...compare(exact[row++], logits) })
      })
      outcomes[j].answers.push(...(await answers(probe, prompt, tier, replies, options)))
    }
    onPrompt?.(i + 1, prompts.length)
  }
  return { window, tiers: outcomes, selections: model.selections() }
}

/** The tokens of the longest prompt with its reply; refused where the model has no positions for them. */
export function checkLengths(
  { maxPositions }: Pick<ModelConfig, "maxPositions">,
  prompts: readonly KvPrompt[],
  replyTokens: number,
): number {
  const longest = Math.max(...prompts.map(lengthOf)) + replyTokens
  if (longest <= maxPositions) return longest
  throw new UserError(
    "context-exceeded",
    `a prompt with its reply has ${longest} tokens, the model positions for ${maxPositions}: use shorter texts`,
  )
}

/** Every question from the same text; `replies` are those in 16 bits, which the first call fills. */
async function answers(
  probe: KvProbe,
  { kind, ids, questions }: KvPrompt,
  tier: KvTier,
  replies: number[][],
  { replyTokens, stopIds }: FidelityOptions,
): Promise<Answer[]> {
  const answers: Answer[] = []
  for (const [i, { ids: question, depth, isRight }] of questions.entries()) {
    const reply = await probe.reply(question, ids.length, tier, replyTokens, stopIds)
    if (tier === 0) replies.push(reply)
    answers.push({
      kind,
      length: ids.length + question.length,
      ...(depth !== undefined && { depth }),
      outcome: isRight(reply) ? "right" : "wrong",
      divergesAt: firstDifference(replies[i], reply),
    })
  }
  return answers
}

/** Even ones among those that read a page by its tier. */
function comparedPositions({ ids }: KvPrompt, { positions, window }: FidelityOptions): number[] {
  // Of the first two pages, the first stays in 16 bits.
  const first = 2 * pageTokens - 1 + window
  if (pagesBehind(ids.length - 1, window) < 2)
    throw new UserError(
      "bad-argument",
      `a prompt has ${ids.length} tokens and a window of ${window} leaves none of its pages behind: ` +
        `wanted ${first + 1} or more; use longer --lengths or a smaller --window`,
    )
  const count = Math.min(positions, ids.length - first)
  return Array.from(
    { length: count },
    (_, i) => ids.length - 1 - Math.floor((i * (ids.length - first)) / count),
  ).reverse()
}

/** KL divergence in nats, sums in float64. */
export function compare(exact: Float32Array, got: Float32Array): Pick<Divergence, "kl" | "top"> {
  const [a, b] = [normaliser(exact), normaliser(got)]
  let kl = 0
  for (let id = 0; id < exact.length; id++) {
    const logP = exact[id] - a.logSum
    kl += Math.exp(logP) * (logP - (got[id] - b.logSum))
  }
  return { kl: Math.max(0, kl), top: a.best === b.best ? "same" : "other" }
}

function normaliser(logits: Float32Array): { best: number; logSum: number } {
  let best = 0
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - logits[best])
  return { best, logSum: logits[best] + Math.log(sum) }
}

export function firstDifference(a: readonly number[], b: readonly number[]): number {
  const length = Math.max(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i
  return -1
}

function lengthOf({ ids, questions }: KvPrompt): number {
  return ids.length + Math.max(0, ...questions.map((question) => question.ids.length))
}
