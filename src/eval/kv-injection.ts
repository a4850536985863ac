// Step 6. A model and texts with questions in; out what is found when the texts' keys and values are injected and kept by
// each tier, read whole and by choice, and, beside it, by four-bit groups as others keep them, plain and rotated, on norms
// as they are stored.

import { kvTiers, pageTokens } from "../backend/backend.ts"
import type { Qwen3Moe } from "../model/qwen3moe.ts"
import type { QkNorms } from "../model/weights.ts"
import { UserError } from "../util/errors.ts"
import { checkLengths, compare, firstDifference } from "./kv-fidelity.ts"
import type { Answer, Divergence, Fidelity, FidelityOptions, TierOutcome } from "./kv-fidelity.ts"
import { KvInjector } from "./kv-injector.ts"
import type { KvWay } from "./kv-injector.ts"
import type { KvPrompt } from "./kv-prompts.ts"
import { groupsOfFourBits, rotatedGroupsOfFourBits } from "./peer-codes.ts"

export interface InjectionOptions extends Omit<FidelityOptions, "positions"> {
  /** Tokens of a stretch; whole pages. */
  stretchTokens: number
}

const exact: KvWay = { name: kvTiers[0].name, tier: 0 }

const peers: readonly KvWay[] = [
  { name: "4-bit groups", tier: 0, recode: groupsOfFourBits },
  { name: "4-bit groups, rotated", tier: 0, recode: rotatedGroupsOfFourBits },
]

/** `load` makes a model without a cache, with norms that are balanced for our tiers and as stored for other codes. */
export async function kvInjection(
  load: (norms: QkNorms) => Qwen3Moe,
  prompts: readonly KvPrompt[],
  options: InjectionOptions,
): Promise<Fidelity> {
  const { window, tiers, stretchTokens, selectiveFrom } = options
  if (stretchTokens % pageTokens !== 0)
    throw new UserError(
      "bad-argument",
      `a stretch has ${stretchTokens} tokens: wanted a multiple of ${pageTokens}`,
    )
  if (!prompts.some(({ questions }) => questions.length > 0))
    throw new UserError("bad-argument", "injected texts are judged by answers, and no prompt has a question")
  const ours = tiers.flatMap((tier): KvWay[] => {
    const { name } = kvTiers[tier]
    const whole: KvWay = { name, tier }
    return selectiveFrom === undefined
      ? [whole]
      : [whole, { name: `${name}, selective`, tier, attention: "selective" }]
  })
  const model = load("balanced")
  const balanced = await outcomesOf(model, prompts, [exact, ...ours], options)
  const stored = await outcomesOf(load("as stored"), prompts, [exact, ...peers], options)
  return {
    window,
    stretchTokens,
    tiers: [...balanced, ...stored.slice(1)],
    selections: model.selections(),
  }
}

/** The first way is what the others are compared with. */
async function outcomesOf(
  model: Qwen3Moe,
  prompts: readonly KvPrompt[],
  ways: readonly KvWay[],
  options: InjectionOptions,
): Promise<TierOutcome[]> {
  checkLengths(model.config, prompts, options.replyTokens)
  const injector = new KvInjector(model, prompts, options)
  const divergences = ways.map((): Divergence[] => [])
  const answers = ways.map((): Answer[] => [])
  for (const [i, prompt] of prompts.entries()) {
    await injector.load(prompt)
    const first: { reply: number[]; logits: Float32Array }[] = []
    for (const [j, way] of ways.entries()) {
      injector.keep(way)
      for (const [number, question] of prompt.questions.entries()) {
        const got = await injector.reply(way, number, question)
        if (j === 0) first.push(got)
        const { kind, ids } = prompt
        const length = ids.length + question.ids.length
        const { reply, logits } = first[number]
        if (j > 0) divergences[j].push({ kind, position: length - 1, ...compare(logits, got.logits) })
        answers[j].push({
          ...{ kind, length, depth: question.depth },
          outcome: question.isRight(got.reply) ? "right" : "wrong",
          divergesAt: firstDifference(reply, got.reply),
        })
      }
    }
    options.onPrompt?.(i + 1, prompts.length)
  }
  injector.clear()
  return ways.map(({ name }, j) => ({ tier: name, divergences: divergences[j], answers: answers[j] }))
}
