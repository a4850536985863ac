// Step 3. One pre-token's bytes in, ids out: byte-pair merges over typed arrays, lowest rank first, leftmost
// first among equals. Knows merge ranks; never text outside one piece, never special tokens.
// Ours because string merges, as the library has them, take half a minute for a million Chinese characters.

import { UserError } from "../util/errors.ts"

/** Merge ranks by pair of ids: an open-addressing table, because a Map keyed by pairs costs a string or a double. */
export class MergeTable {
  readonly #mask: number
  readonly #left: Int32Array // [slots], -1 is free
  readonly #right: Int32Array // [slots]
  readonly #rank: Int32Array // [slots]
  readonly #merged: Int32Array // [merges], the id that a rank's pair becomes

  constructor(merges: readonly (string | readonly string[])[], vocabulary: ReadonlyMap<string, number>) {
    const slots = 2 ** Math.ceil(Math.log2(merges.length * 2 + 1))
    this.#mask = slots - 1
    this.#left = new Int32Array(slots).fill(-1)
    this.#right = new Int32Array(slots)
    this.#rank = new Int32Array(slots)
    this.#merged = new Int32Array(merges.length)
    for (const [rank, merge] of merges.entries()) this.#add(rank, merge, vocabulary)
  }

  /** The rank of a pair, or -1 where the pair never merges. */
  rank(left: number, right: number): number {
    for (let slot = this.#hash(left, right); this.#left[slot] !== -1; slot = (slot + 1) & this.#mask)
      if (this.#left[slot] === left && this.#right[slot] === right) return this.#rank[slot]
    return -1
  }

  merged(rank: number): number {
    return this.#merged[rank]
  }

  #add(rank: number, merge: string | readonly string[], vocabulary: ReadonlyMap<string, number>) {
    const [first, second] = typeof merge === "string" ? merge.split(" ") : merge
    const left = vocabulary.get(first)
    const right = vocabulary.get(second)
    const merged = vocabulary.get(first + second)
    if (left === undefined || right === undefined || merged === undefined)
      throw new UserError(
        "bad-file",
        `tokenizer.json: merge ${rank} joins "${first}" and "${second}", but the vocabulary lacks one of them ` +
          `or the result: the file is damaged, fetch it again`,
      )
    this.#merged[rank] = merged
    if (this.rank(left, right) !== -1) return // the first rank of a repeated pair counts
    let slot = this.#hash(left, right)
    while (this.#left[slot] !== -1) slot = (slot + 1) & this.#mask
    this.#left[slot] = left
    this.#right[slot] = right
    this.#rank[slot] = rank
  }

  #hash(left: number, right: number): number {
    const mixed = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)
    return (mixed ^ (mixed >>> 15)) & this.#mask
  }
}

/** Merges one piece at a time; its scratch arrays grow to the longest piece seen and are used again. */
export class Bpe {
  readonly #table: MergeTable
  #ids = new Int32Array(0) // [symbols], -1 once merged into its left neighbour
  #next = new Int32Array(0) // [symbols]
  #previous = new Int32Array(0) // [symbols]
  #heap = new Float64Array(0) // rank * 2^32 + position: orders by rank, then from the left
  #heapSize = 0
  #count = 0

  constructor(table: MergeTable) {
    this.#table = table
  }

  /** Merges the first `count` of `ids`; the result lies at the front of `ids` and its length is returned. */
  merge(ids: Int32Array, count: number): number {
    this.#begin(ids, count)
    const next = this.#next
    while (this.#heapSize > 0) {
      const entry = this.#pop()
      const rank = Math.floor(entry / 2 ** 32)
      const at = entry % 2 ** 32
      const right = next[at]
      // An entry is stale when one of its two symbols was merged meanwhile.
      if (this.#ids[at] < 0 || right >= count || this.#table.rank(this.#ids[at], this.#ids[right]) !== rank)
        continue
      this.#ids[at] = this.#table.merged(rank)
      this.#ids[right] = -1
      next[at] = next[right]
      if (next[at] < count) this.#previous[next[at]] = at
      this.#consider(this.#previous[at], at)
      this.#consider(at, next[at])
    }
    let length = 0
    for (let at = 0; at < count; at = next[at]) ids[length++] = this.#ids[at]
    return length
  }

  #begin(ids: Int32Array, count: number) {
    if (this.#ids.length < count) {
      const capacity = Math.max(64, count * 2)
      this.#ids = new Int32Array(capacity)
      this.#next = new Int32Array(capacity)
      this.#previous = new Int32Array(capacity)
      this.#heap = new Float64Array(capacity * 3) // every pair once, and two more per merge
    }
    this.#heapSize = 0
    this.#count = count
    for (let at = 0; at < count; at++) {
      this.#ids[at] = ids[at]
      this.#next[at] = at + 1
      this.#previous[at] = at - 1
    }
    for (let at = 0; at + 1 < count; at++) this.#consider(at, at + 1)
  }

  /** Queues a pair of neighbours if it merges; before the first and after the last there is no neighbour. */
  #consider(left: number, right: number) {
    if (left < 0 || right >= this.#count) return
    const rank = this.#table.rank(this.#ids[left], this.#ids[right])
    if (rank >= 0) this.#push(rank * 2 ** 32 + left)
  }

  #push(entry: number) {
    const heap = this.#heap
    let at = this.#heapSize++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent] <= entry) break
      heap[at] = heap[parent]
      at = parent
    }
    heap[at] = entry
  }

  #pop(): number {
    const heap = this.#heap
    const top = heap[0]
    const last = heap[--this.#heapSize]
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= this.#heapSize) break
      if (child + 1 < this.#heapSize && heap[child + 1] < heap[child]) child++
      if (heap[child] >= last) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = last
    return top
  }
}
