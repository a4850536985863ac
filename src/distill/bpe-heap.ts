// Step 6. Changing counts of pairs in, the most frequent pair out. A heap of what the counts once were: an entry that
// is out of date is dropped when it comes up, because the count that replaced it has an entry of its own.

interface Entry {
  readonly pair: number
  readonly count: number
}

const shift = 2 ** 22

export class PairHeap {
  readonly #counts = new Map<number, number>()
  readonly #changed = new Set<number>()
  readonly #heap: Entry[] = []

  static pairOf(left: number, right: number): number {
    return left * shift + right
  }

  static idsOf(pair: number): [number, number] {
    return [Math.floor(pair / shift), pair % shift]
  }

  change(pair: number, difference: number): void {
    this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + difference)
    this.#changed.add(pair)
  }

  /** The changes so far count; several of one pair become one entry. */
  settle(): void {
    for (const pair of this.#changed) {
      const count = this.#counts.get(pair) ?? 0
      if (count > 0) this.#push({ pair, count })
      else this.#counts.delete(pair)
    }
    this.#changed.clear()
  }

  /** The highest count, among equals the pair of the lowest ids; it is gone after. */
  takeBest(): Entry | undefined {
    for (let top = this.#pop(); top; top = this.#pop())
      if (this.#counts.get(top.pair) === top.count) return top
    return undefined
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBetter(entry, heap[parent])) break
      heap[at] = heap[parent]
      at = parent
    }
    heap[at] = entry
  }

  #pop(): Entry | undefined {
    const heap = this.#heap
    const [top] = heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBetter(heap[child + 1], heap[child])) child++
      if (!isBetter(heap[child], last)) break
      heap[at] = heap[child]
      at = child
    }
    heap[at] = last
    return top
  }
}

function isBetter(a: Entry, b: Entry): boolean {
  return a.count > b.count || (a.count === b.count && a.pair < b.pair)
}
