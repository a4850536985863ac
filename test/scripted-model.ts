// A model for tests of the engine: its logits are a function of the ids it finds through the page tables, so a wrong
// slot, page or position gives wrong ids. It checks what every batch must keep.

import { expect } from "vitest"
import type { Batch, KvCache, Tensor } from "../src/backend/backend.ts"
import { pageTokens } from "../src/backend/backend.ts"
import type { BatchModel } from "../src/engine/batch-model.ts"
import { Engine } from "../src/engine/engine.ts"
import type { EngineOptions, GenerateOptions } from "../src/engine/engine.ts"
import type { Generation } from "../src/engine/generation.ts"
import { UserError } from "../src/util/errors.ts"

/** The next id, or all logits, for the ids so far. */
export type Script = (context: Int32Array) => number | Float32Array

export class ScriptedModel implements BatchModel {
  readonly config: { vocab: number }
  /** Of every step that was submitted: how many rows each sequence had, e.g. `4+1`. */
  readonly steps: string[] = []
  /** Runs within `submit`; may wait, and may throw. */
  during: (signal?: AbortSignal) => Promise<void> | void = () => undefined
  readonly #script: Script
  /** [pages * pageTokens] The id stored in each slot; -1 for none. */
  #cache = new Int32Array(0)
  #batch: Batch | undefined
  #logits = new Float32Array(0)

  constructor(vocab: number, script: Script) {
    this.config = { vocab }
    this.#script = script
  }

  kvCache(pages: number): KvCache {
    this.#cache = new Int32Array(pages * pageTokens).fill(-1)
    return { id: 0, shape: { layers: 1, pages, kvHeads: 1, headDim: 1 } }
  }

  forward(batch: Batch): Tensor {
    checkBatch(batch)
    this.#batch = batch
    return { id: 0, rows: batch.logitRows.length, columns: this.config.vocab }
  }

  /** What was read, in order. */
  readonly reads: ("whole" | "largest")[] = []
  /** Columns that `largest` looks at. */
  #size = 0

  /** What `trimKv` was told, e.g. `3: 1`. */
  readonly trims: string[] = []

  readonly backend = {
    name: "reference" as const,
    readKv: () => ({ keys: new Float32Array(0), values: new Float32Array(0) }),
    writeKv: () => {},
    exportPage: (_kv: KvCache, page: number): Uint8Array =>
      new Uint8Array(this.#cache.slice(page * pageTokens, (page + 1) * pageTokens).buffer),
    importPage: (_kv: KvCache, page: number, _tier: number, bytes: Uint8Array): void =>
      this.#cache.set(new Int32Array(bytes.slice().buffer), page * pageTokens),
    trimKv: (_kv: KvCache, page: number, keep: unknown) => void this.trims.push(`${page}: ${String(keep)}`),
    submit: async (signal?: AbortSignal): Promise<void> => {
      const batch = this.#batch as Batch
      this.steps.push(batch.sequences.map((sequence) => sequence.numTokens).join("+"))
      // As a real backend: the event loop gets its turn, and a cancelled step may leave anything in its slots.
      for (const slot of batch.slots) this.#cache[slot] = -1
      await new Promise((resolve) => setImmediate(resolve))
      await this.during(signal)
      if (signal?.aborted) throw new UserError("cancelled", "the step was cancelled")
      this.#run(batch)
    },
    largest: (x: Tensor, size: number, k: number): Tensor => {
      this.#size = size
      return { id: 1, rows: x.rows, columns: 2 * k }
    },
    read: (x: Tensor, out = new Float32Array(x.rows * x.columns)): Float32Array => {
      expect(out.length).toBe(x.rows * x.columns)
      out.set(x.id === 0 ? this.#logits : this.#largest(x))
      this.reads.push(x.id === 0 ? "whole" : "largest")
      return out
    },
  }

  #largest({ rows, columns }: Tensor): Float32Array {
    const { vocab } = this.config
    return Float32Array.from(
      Array.from({ length: rows }, (_, row) => {
        const logits = this.#logits.subarray(row * vocab, row * vocab + this.#size)
        const ids = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, columns / 2)
        return logits.every(Number.isFinite)
          ? [...ids, ...ids.map((id) => logits[id])]
          : new Array<number>(columns).fill(-1)
      }).flat(),
    )
  }

  #run(batch: Batch): void {
    const { vocab } = this.config
    batch.slots.forEach((slot, row) => (this.#cache[slot] = batch.ids[row]))
    this.#logits = new Float32Array(batch.logitRows.length * vocab)
    batch.logitRows.forEach((row, i) => {
      const result = this.#script(this.#context(batch, row))
      const logits = typeof result === "number" ? oneHot(vocab, result) : result
      this.#logits.set(logits, i * vocab)
    })
  }

  /** The ids that a row of the batch can look back on, as they stand in the pages. */
  #context(batch: Batch, row: number): Int32Array {
    const sequence = batch.sequences.findLast((one) => one.firstRow <= row)
    const context = Int32Array.from({ length: batch.positions[row] + 1 }, (_, position) => {
      const page = sequence?.pages[Math.floor(position / pageTokens)] ?? -1
      return this.#cache[page * pageTokens + (position % pageTokens)]
    })
    expect(context).not.toContain(-1)
    return context
  }
}

function oneHot(vocab: number, id: number): Float32Array {
  const logits = new Float32Array(vocab)
  logits[id] = 10
  return logits
}

/** Rows grouped by sequence, positions contiguous, slots inside pages that no other sequence of the batch has. */
function checkBatch(batch: Batch): void {
  const pages = batch.sequences.flatMap((sequence) => [...sequence.pages])
  const written = new Set(Array.from(batch.slots, (slot) => Math.floor(slot / pageTokens)))
  for (const page of written) expect(pages.filter((other) => other === page)).toHaveLength(1)
  let row = 0
  for (const sequence of batch.sequences) {
    expect(sequence.firstRow).toBe(row)
    expect(sequence.pages.length).toBe(Math.ceil(sequence.contextTokens / pageTokens))
    for (let i = 0; i < sequence.numTokens; i++, row++) {
      const position = sequence.contextTokens - sequence.numTokens + i
      expect(batch.positions[row]).toBe(position)
      const page = sequence.pages[Math.floor(position / pageTokens)]
      expect(batch.slots[row]).toBe(page * pageTokens + (position % pageTokens))
    }
  }
  expect(batch.ids.length).toBe(row)
  const ascending = [...new Set(batch.logitRows)].sort((a, b) => a - b)
  expect([...batch.logitRows]).toEqual(ascending)
}

export const greedy = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
}

/** Greedy, and so many tokens at most. */
export const limit = (maxTokens: number) => ({ sampling: { ...greedy, maxTokens } })

/** An engine over a script; ids from 0 to 99, of which 0 ends a reply. */
export function scripted(script: Script, options: Partial<EngineOptions> = {}) {
  const model = new ScriptedModel(100, script)
  const engine = new Engine(model, {
    maxContext: 1024,
    kvPages: 16,
    chunkTokens: 64,
    tokenizerSize: 90,
    ...options,
  })
  const generate = (prompt: ArrayLike<number>, more: Partial<GenerateOptions> = {}) =>
    engine.generate(Int32Array.from(prompt), { sampling: greedy, stopIds: new Set([0]), ...more })
  return { model, engine, generate }
}

export async function allOf(generation: Generation): Promise<number[]> {
  const ids: number[] = []
  for await (const id of generation) ids.push(id)
  return ids
}

/** Ids that depend on all ids before them, never 0. */
export const hashing: Script = (context) => {
  let hash = 17
  for (const id of context) hash = (Math.imul(hash, 31) + id) | 0
  return 1 + ((hash >>> 3) % 89)
}

/** What `hashing` goes on with, computed without an engine. */
export function hashed(prompt: ArrayLike<number>, count: number): number[] {
  const context = Array.from(prompt)
  while (context.length < prompt.length + count) context.push(hashing(Int32Array.from(context)) as number)
  return context.slice(prompt.length)
}

/** `length` ids from 1 to 89, different for each seed. */
export function promptOf(length: number, seed = 1): Int32Array {
  return Int32Array.from({ length }, (_, i) => 1 + ((i * 7 + seed * 13 + ((i * i * seed) % 11)) % 89))
}
