// Step 6. One sequence at a time through a model whose pages are read by a tier, straight over the forward pass: ids in,
// logits at chosen positions and greedy replies out. A next sequence takes the same pages.

import { pageTokens } from "../backend/backend.ts"
import type { KvTier } from "../backend/backend.ts"
import type { Qwen3Moe } from "../model/qwen3moe.ts"

export interface ProbeOptions {
  /** Tokens of the longest sequence, replies included. */
  contextTokens: number
  /** Tokens that a query reads in 16 bits. */
  window: number
  /** Rows of a step. */
  chunkTokens: number
  /** Tokens of replies from this position on choose what they read; none does where left out. */
  selectiveFrom?: number
  signal?: AbortSignal
}

export class KvProbe {
  readonly #model: Qwen3Moe
  readonly #options: ProbeOptions
  readonly #numPages: number

  /** Of a model without a cache. */
  constructor(model: Qwen3Moe, options: ProbeOptions) {
    this.#model = model
    this.#options = options
    this.#numPages = Math.ceil(options.contextTokens / pageTokens)
    model.kvCache(this.#numPages, options.window)
  }

  /**
   * Runs ids of positions `from` on, after those that an earlier call ran at the same tier, and hands the logits
   * [vocab] at each wanted position, in order, to `take`, which must not keep them.
   */
  async run(
    ids: Int32Array,
    from: number,
    tier: KvTier,
    wanted: readonly number[],
    take: (logits: Float32Array, position: number) => void,
    selectiveFrom?: number,
  ): Promise<void> {
    const { chunkTokens } = this.#options
    for (let first = from; first < from + ids.length; first += chunkTokens) {
      const end = Math.min(first + chunkTokens, from + ids.length)
      const here = wanted.filter((position) => position >= first && position < end)
      const logits = await this.#step(
        ids.subarray(first - from, end - from),
        first,
        tier,
        here,
        selectiveFrom,
      )
      const { vocab } = this.#model.config
      here.forEach((position, row) => take(logits.subarray(row * vocab, (row + 1) * vocab), position))
    }
  }

  /** The most likely ids after those so far, until a stop id or `most` of them. */
  async reply(
    ids: Int32Array,
    from: number,
    tier: KvTier,
    most: number,
    stopIds: ReadonlySet<number>,
  ): Promise<number[]> {
    const reply: number[] = []
    const { selectiveFrom = Infinity } = this.#options
    const chooses = Math.max(selectiveFrom, from + ids.length)
    for (let next = ids, at = from; reply.length < most;) {
      const last = at + next.length - 1
      let best = 0
      await this.run(next, at, tier, [last], (logits) => (best = largest(logits)), chooses)
      if (stopIds.has(best)) break
      reply.push(best)
      at = last + 1
      next = Int32Array.of(best)
    }
    return reply
  }

  async #step(
    ids: Int32Array,
    first: number,
    tier: KvTier,
    wanted: readonly number[],
    selectiveFrom: number | undefined,
  ): Promise<Float32Array> {
    const contextTokens = first + ids.length
    const pages = Int32Array.from({ length: Math.ceil(contextTokens / pageTokens) }, (_, i) => i)
    const positions = Int32Array.from(ids, (_, i) => first + i)
    const logits = this.#model.forward({
      ids,
      positions,
      slots: positions,
      // The first page stays in 16 bits, as in the engine.
      sequences: [
        {
          firstRow: 0,
          numTokens: ids.length,
          contextTokens,
          pages,
          tiers: Uint8Array.from(pages, (page) => (page === 0 ? 0 : tier)),
          selectiveFrom,
        },
      ],
      logitRows: Int32Array.from(wanted, (position) => position - first),
    })
    const { backend } = this.#model
    await backend.submit(this.#options.signal)
    return wanted.length > 0 ? backend.read(logits) : new Float32Array(0)
  }
}

function largest(logits: Float32Array): number {
  let best = 0
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id
  return best
}
