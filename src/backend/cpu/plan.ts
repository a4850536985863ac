// Step 5. The recorded ops as the flat numbers that native/engine.h lists, and where each tensor lives: tensors
// that no op reads any more give their place to later ones.

import type { Batch, Tensor } from "../backend.ts"
import type { Addon, NativeEngine } from "./native.ts"

/** The order is native/engine.h's. */
export const opNames = [
  "embed",
  "rmsNorm",
  "linear",
  "normRope",
  "storeKv",
  "attend",
  "route",
  "addExperts",
  "pickRows",
  "largest",
] as const
export type OpName = (typeof opNames)[number]

const opWords = 12
const alignment = 64
/** A position that no sequence has. */
const never = 2 ** 31 - 1

const floatBits = new Float32Array(1)
const intBits = new Int32Array(floatBits.buffer)

/** A float as the integer with its bits. */
export function bitsOf(value: number): number {
  floatBits[0] = value
  return intBits[0]
}

/** What one op does to tensors: new ones, those it only reads, those it changes in place. */
interface Effect {
  makes?: readonly Tensor[]
  reads?: readonly Tensor[]
  changes?: readonly Tensor[]
}

/** What the addon's `prepare` takes behind the engine. */
type StepArrays = Parameters<Addon["prepare"]> extends [NativeEngine, ...infer Rest] ? Rest : never

export class Plan {
  #words: number[][] = []
  #effects: Effect[] = []
  #tensors: Tensor[] = []

  tensor(rows: number, columns: number): Tensor {
    const tensor = { id: this.#tensors.length, rows, columns }
    this.#tensors.push(tensor)
    return tensor
  }

  /** Whether the tensor is of this plan, and not of one before. */
  owns(tensor: Tensor): boolean {
    return this.#tensors[tensor.id] === tensor
  }

  record(op: OpName, effect: Effect, ...words: number[]): void {
    this.#words.push([opNames.indexOf(op), ...words])
    this.#effects.push(effect)
  }

  /** The step as the addon takes it, and the tensors whose values are gone after it. */
  step(batch: Batch): { arrays: StepArrays; overwritten: ReadonlySet<number> } {
    const { offsets, overwritten } = this.#place()
    const { sequences, pages, tiers } = flatten(batch)
    const { ids, positions, slots, logitRows } = batch
    const rows = Int32Array.from(this.#tensors, (tensor) => tensor.rows)
    const columns = Int32Array.from(this.#tensors, (tensor) => tensor.columns)
    const before = [this.#ops(), ids, positions, slots, pages, tiers, logitRows] as const
    const strides = Int32Array.from(this.#tensors, strideOf)
    return { arrays: [...before, sequences, rows, columns, strides, offsets], overwritten }
  }

  #ops(): Int32Array {
    const out = new Int32Array(this.#words.length * opWords)
    this.#words.forEach((words, i) => out.set(words, i * opWords))
    return out
  }

  /**
   * A place in the arena for each tensor: its byte offset. A tensor whose last use is to be read gives its place to
   * later ones; `overwritten` are those whose place was taken, so that their values are gone after the step.
   */
  #place(): { offsets: Float64Array; overwritten: ReadonlySet<number> } {
    const lastUse = new Map<number, number>()
    const endsRead = new Set<number>()
    const made = new Set<number>()
    this.#effects.forEach(({ makes = [], reads = [], changes = [] }, i) => {
      for (const { id } of [...makes, ...changes]) endsRead.delete(id)
      for (const { id } of reads) endsRead.add(id)
      for (const { id } of makes) made.add(id)
      for (const { id } of [...makes, ...reads, ...changes]) lastUse.set(id, i)
    })

    const offsets = new Float64Array(this.#tensors.length)
    const overwritten = new Set<number>()
    const free = new Map<number, Tensor[]>() // size in bytes -> tensors of that size that nobody needs
    let end = 0
    const take = (tensor: Tensor) => {
      const bytes = sizeOf(tensor)
      const former = free.get(bytes)?.pop()
      if (former) overwritten.add(former.id)
      offsets[tensor.id] = former ? offsets[former.id] : end
      if (!former) end += bytes
    }
    const release = (tensor: Tensor) => {
      const bytes = sizeOf(tensor)
      const sameSize = free.get(bytes)
      if (sameSize) sameSize.push(tensor)
      else free.set(bytes, [tensor])
    }
    for (const tensor of this.#tensors) if (!made.has(tensor.id)) take(tensor)
    this.#effects.forEach(({ makes = [], reads = [] }, i) => {
      makes.forEach(take)
      for (const tensor of new Set(reads))
        if (endsRead.has(tensor.id) && lastUse.get(tensor.id) === i) release(tensor)
    })
    return { offsets, overwritten }
  }
}

/** Floats from one row to the next. Rows that lay a power of two apart would share a few lines of each cache. */
function strideOf({ columns }: Tensor): number {
  return columns % 1024 === 0 ? columns + 16 : columns
}

function sizeOf(tensor: Tensor): number {
  return Math.ceil((tensor.rows * strideOf(tensor) * 4) / alignment) * alignment
}

/** The batch's sequences as native/engine.h takes them: five numbers each, and all their pages in one list, with their tiers. */
function flatten(batch: Batch): { sequences: Int32Array; pages: Int32Array; tiers: Int32Array } {
  const pages: number[] = []
  const tiers: number[] = []
  const sequences = batch.sequences.flatMap((sequence) => {
    const from = pages.length
    for (const [i, page] of sequence.pages.entries()) {
      pages.push(page)
      tiers.push(sequence.tiers?.[i] ?? 0)
    }
    const { firstRow, numTokens, contextTokens, selectiveFrom = never } = sequence
    return [firstRow, numTokens, contextTokens, from, Math.min(selectiveFrom, never)]
  })
  return {
    sequences: Int32Array.from(sequences),
    pages: Int32Array.from(pages),
    tiers: Int32Array.from(tiers),
  }
}
