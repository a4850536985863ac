// Step 6. A text into a cache without a prefill of its whole length, and questions about it: keys and values are computed
// in stretches, of which each sees the page before it and nothing earlier, then kept by a tier or with the losses of
// other codes. So a context of any length costs time in proportion to it. Exact where the layers below the last one look
// back no further than a page, as the constructed retriever's do; else an approximation.

import { pagesBehind, pageTokens } from "../backend/backend.ts"
import type { Attention, KvCache, KvTier } from "../backend/backend.ts"
import type { Qwen3Moe } from "../model/qwen3moe.ts"
import type { KvPrompt, Question } from "./kv-prompts.ts"

/** How a text's keys and values are kept where no window touches them, and read. */
export interface KvWay {
  readonly name: string
  readonly tier: KvTier
  /** Exact where left out. */
  readonly attention?: Attention
  /** What codes that are not ours lose, in place, of one head's key or value. */
  readonly recode?: (row: Float32Array) => void
}

export interface InjectorOptions {
  /** Tokens that a query reads in 16 bits. */
  window: number
  /** Tokens of a stretch; whole pages. */
  stretchTokens: number
  replyTokens: number
  stopIds: ReadonlySet<number>
  /** In a selective way, a question's last token and its reply's choose what they read from this position on. */
  selectiveFrom?: number
  signal?: AbortSignal
}

interface StepOptions {
  contextTokens: number
  logits: "none" | "last"
  tier?: KvTier
  selectiveFrom?: number
}

export class KvInjector {
  readonly #model: Qwen3Moe
  readonly #options: InjectorOptions
  readonly #kv: KvCache
  /** Pages of a text, its questions and their changes; as many behind them are for what was recoded. */
  readonly #half: number
  #ids: Int32Array = new Int32Array(0)
  /** By question: pages of the text that it changes, and where they lie instead. */
  #changes: ReadonlyMap<number, number>[] = []
  /** What the text's pages have codes of. */
  #kept: KvTier = 0

  /** Of a model without a cache; the prompts are those that will be asked. */
  constructor(model: Qwen3Moe, prompts: readonly KvPrompt[], options: InjectorOptions) {
    this.#model = model
    this.#options = options
    this.#half = Math.max(...prompts.map((prompt) => this.#firstChange(prompt) + changedPages(prompt)))
    this.#kv = model.kvCache(2 * this.#half, options.window)
  }

  /** Computes a text and what its questions change in it, all in 16 bits. */
  async load(prompt: KvPrompt): Promise<void> {
    const { ids, questions } = prompt
    this.#ids = ids
    const span = this.#options.stretchTokens / pageTokens
    const all = Array.from({ length: Math.ceil(ids.length / pageTokens) }, (_, page) => page)
    const scratch = this.#firstChange(prompt) - 1
    for (let page = 0; page < all.length; page += span)
      await this.#fill(ids, page, all.slice(page, page + span), scratch)
    let free = scratch + 1
    this.#kept = 0
    this.#changes = []
    for (const question of questions) {
      const changes = new Map<number, number>()
      for (const page of pagesOf(question, ids.length)) {
        await this.#fill(changed(ids, question), page, [free], scratch)
        changes.set(page, free++)
      }
      this.#changes.push(changes)
    }
  }

  /** Keeps the loaded text this way. */
  keep({ tier, recode }: KvWay): void {
    if (!recode) {
      // What is there in 16 bits stays so beside codes.
      if (tier === 0 || tier === this.#kept) return
      this.#kept = tier
    }
    const behind = this.#numBehind
    const others = this.#changes.flatMap((changes) => [...changes].filter(([page]) => page < behind))
    // The first page stays in 16 bits, as in the engine.
    for (let page = 1; page < behind; page++) this.#rewrite(page, tier, recode)
    for (const [page, place] of others) if (page > 0) this.#rewrite(place, tier, recode)
  }

  /** The most likely ids after a question, and the logits [vocab] of the first. */
  async reply(
    way: KvWay,
    number: number,
    question: Question,
  ): Promise<{ reply: number[]; logits: Float32Array }> {
    const { replyTokens, stopIds } = this.#options
    const reply: number[] = []
    let first: Float32Array | undefined
    for (let next = question.ids, at = this.#ids.length; reply.length < replyTokens;) {
      const logits = await this.#ask(way, number, next, at)
      first ??= logits
      const best = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))
      if (stopIds.has(best)) break
      reply.push(best)
      at += next.length
      next = Int32Array.of(best)
    }
    return { reply, logits: first ?? new Float32Array(0) }
  }

  /** Gives the memory of all pages back. */
  clear(): void {
    for (let page = 0; page < 2 * this.#half; page++) this.#model.backend.trimKv(this.#kv, page, "nothing")
  }

  /** Pages of the text that no question has in its window. */
  get #numBehind(): number {
    return pagesBehind(this.#ids.length - 1, this.#options.window)
  }

  /** Behind the pages of a text with its longest question and reply, and one for what a stretch sees before it. */
  #firstChange({ ids, questions }: KvPrompt): number {
    const longest = Math.max(0, ...questions.map((question) => question.ids.length))
    return Math.ceil((ids.length + longest + this.#options.replyTokens) / pageTokens) + 1
  }

  /** Tokens of the pages from `first` on into `places`, after the page before them, which goes to `scratch`. */
  async #fill(ids: Int32Array, first: number, places: readonly number[], scratch: number): Promise<void> {
    const start = Math.max(0, first - 1) * pageTokens
    const tokens = ids.subarray(start, (first + places.length) * pageTokens)
    const pages = Int32Array.from(first === 0 ? places : [scratch, ...places])
    await this.#step(tokens, start, pages, { contextTokens: tokens.length, logits: "none" })
  }

  #rewrite(page: number, tier: KvTier, recode: KvWay["recode"]): void {
    const { backend } = this.#model
    const { layers, headDim } = this.#kv.shape
    for (let layer = 0; layer < layers; layer++) {
      const rows = backend.readKv(this.#kv, layer, page)
      for (const values of recode ? [rows.keys, rows.values] : [])
        for (let at = 0; at < values.length; at += headDim) recode?.(values.subarray(at, at + headDim))
      backend.writeKv(this.#kv, layer, recode ? this.#half + page : page, rows, tier)
    }
  }

  #ask(
    { tier, attention, recode }: KvWay,
    number: number,
    ids: Int32Array,
    at: number,
  ): Promise<Float32Array> {
    const contextTokens = at + ids.length
    const behind = this.#numBehind
    const pages = Int32Array.from({ length: Math.ceil(contextTokens / pageTokens) }, (_, page) => {
      const place = this.#changes[number].get(page) ?? page
      return recode && page > 0 && page < behind ? this.#half + place : place
    })
    const { selectiveFrom = Infinity } = this.#options
    const chooses = attention === "selective" ? Math.max(selectiveFrom, contextTokens - 1) : undefined
    return this.#step(ids, at, pages, { contextTokens, logits: "last", tier, selectiveFrom: chooses })
  }

  async #step(
    ids: Int32Array,
    position: number,
    pages: Int32Array,
    { contextTokens, logits, tier = 0, selectiveFrom }: StepOptions,
  ): Promise<Float32Array> {
    const first = contextTokens - ids.length
    const place = (i: number) =>
      pages[Math.floor((first + i) / pageTokens)] * pageTokens + ((first + i) % pageTokens)
    const tiers = Uint8Array.from(pages, (_, page) => (page === 0 ? 0 : tier))
    const out = this.#model.forward({
      ids,
      positions: ids.map((_, i) => position + i),
      slots: ids.map((_, i) => place(i)),
      sequences: [{ firstRow: 0, numTokens: ids.length, contextTokens, pages, tiers, selectiveFrom }],
      logitRows: Int32Array.from(logits === "last" ? [ids.length - 1] : []),
    })
    const { backend } = this.#model
    await backend.submit(this.#options.signal)
    return logits === "last" ? backend.read(out) : new Float32Array(0)
  }
}

/** Pages whose keys and values a question's change of the text changes: a token's are told by the one before it too. */
function pagesOf({ put }: Question, numTokens: number): number[] {
  if (!put) return []
  const first = Math.floor(put.at / pageTokens)
  const last = Math.floor(Math.min(put.at + put.ids.length, numTokens - 1) / pageTokens)
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}

function changedPages({ ids, questions }: KvPrompt): number {
  return questions.reduce((sum, question) => sum + pagesOf(question, ids.length).length, 0)
}

function changed(ids: Int32Array, { put }: Question): Int32Array {
  const out = ids.slice()
  if (put) out.set(put.ids, put.at)
  return out
}
