// Step 6. Problems and a policy in, whole conversations with their verdicts out, many at once. The other side of each
// is the problem's own play. Knows turns; never weights or losses.

import { setMaxListeners } from "node:events"
import type { Message } from "../types.ts"
import { UserError } from "../util/errors.ts"
import type { Policy, PolicyReply } from "./policy.ts"
import { maxSequences } from "./policy.ts"
import type { Mode, Problem } from "./world/problem.ts"

/** Ids with, for each, whether the assistant wrote it. */
export interface Written {
  readonly ids: Int32Array
  readonly written: Uint8Array
}

export interface Rollout {
  readonly solved: boolean
  readonly why: string
  /** What came after the problem's own messages. */
  readonly messages: readonly Message[]
  /** What the model read and wrote: one text, or several where its template rewrites earlier turns. */
  readonly texts: readonly Written[]
  readonly replyTokens: number
}

export interface RolloutOptions {
  temperature: number
  maxTokens: number
  signal?: AbortSignal
}

/** A problem, how it is to be answered, and the seed of its draws. */
export interface Task {
  readonly problem: Problem
  readonly mode: Mode
  readonly seed: number
}

/** More turns than any problem needs: whoever is still talking goes round in circles. */
const maxTurns = 16

/** In the order of the tasks; `onDone` hears of each as it ends. */
export async function rollouts(
  policy: Policy,
  tasks: readonly Task[],
  options: RolloutOptions,
  onDone: (rollout: Rollout, index: number) => void = () => undefined,
): Promise<Rollout[]> {
  const results: Rollout[] = []
  const queue = tasks.entries()
  const failed = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal
  // Every conversation listens for the end.
  setMaxListeners(0, signal)
  const work = async () => {
    for (const [index, task] of queue) {
      signal.throwIfAborted()
      onDone((results[index] = await rollout(policy, task, { ...options, signal })), index)
    }
  }
  const workers = Array.from({ length: Math.min(maxSequences, tasks.length) }, work)
  try {
    await Promise.all(workers)
  } catch (error) {
    // The others are of no use any more, and must be over before the policy goes.
    failed.abort()
    await Promise.allSettled(workers)
    throw options.signal?.aborted
      ? new UserError("cancelled", "sampling was cancelled", { cause: error })
      : error
  }
  return results
}

async function rollout(
  policy: Policy,
  { problem, mode, seed }: Task,
  options: RolloutOptions,
): Promise<Rollout> {
  const play = problem.play()
  const messages = [...problem.messages]
  const texts: Written[] = []
  let replyTokens = 0
  const end = (unfinished?: string): Rollout => {
    const { solved, why } = unfinished === undefined ? play.verdict() : { solved: false, why: unfinished }
    return { solved, why, messages: messages.slice(problem.messages.length), texts, replyTokens }
  }
  for (let turn = 0; turn < maxTurns; turn++) {
    const reply = await replyOrNothing(policy, {
      messages,
      tools: problem.tools,
      mode,
      ...options,
      seed: seed + turn,
    })
    if (reply === undefined) return end("the conversation is longer than the context")
    messages.push(reply.message)
    replyTokens += reply.tokens?.reply.length ?? 0
    if (reply.tokens) addTurn(texts, reply.tokens.prompt, reply.tokens.reply)
    if (reply.finish === "length") return end("the reply was cut: it is longer than it may be")
    const next = play.respond(reply.message)
    if (next.length === 0) return end()
    messages.push(...next)
  }
  return end(`the conversation has more than ${maxTurns} turns`)
}

async function replyOrNothing(
  policy: Policy,
  request: Parameters<Policy["reply"]>[0],
): Promise<PolicyReply | undefined> {
  try {
    return await policy.reply(request)
  } catch (error) {
    if (error instanceof UserError && error.code === "context-exceeded") return undefined
    throw error
  }
}

/** Goes on with the latest text where the prompt begins with it, so that no token is learned from twice. */
function addTurn(texts: Written[], prompt: Int32Array, reply: Int32Array): void {
  const ids = Int32Array.from([...prompt, ...reply])
  const written = new Uint8Array(ids.length).fill(1, prompt.length)
  const latest = texts.at(-1)
  if (latest && latest.ids.length <= prompt.length && latest.ids.every((id, i) => id === prompt[i])) {
    written.set(latest.written)
    texts.pop()
  }
  texts.push({ ids, written })
}
