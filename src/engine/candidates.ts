// Step 6. Logits in, the k largest out, best first, without sorting them all: a heap of k whose root is the worst
// kept one; almost every other logit fails one comparison with it. Equal logits: the lower id comes first.

/** From so many on, sorting everything is faster than the heap. */
const manyCandidates = 4096
/** Room for an id below the bits of a logit; together they stay within the 53 bits of a whole number. */
const idRange = 2 ** 21

export class Candidates {
  /** [k] best first, after `select`. */
  readonly ids: Int32Array
  /** [k] */
  readonly logits: Float32Array
  /** [maxCandidates] Logit and id in one number, made when it is first needed. */
  #keys = new Float64Array(0)

  constructor(maxCandidates: number) {
    this.ids = new Int32Array(maxCandidates)
    this.logits = new Float32Array(maxCandidates)
  }

  /** Takes the `k` largest of the first `size` logits. */
  select(logits: Float32Array, size: number, k: number): void {
    if (k < manyCandidates) this.#selectByHeap(logits, size, k)
    else this.#selectBySort(logits, size, k)
  }

  #selectBySort(logits: Float32Array, size: number, k: number): void {
    if (this.#keys.length < size) this.#keys = new Float64Array(size)
    const keys = this.#keys.subarray(0, size)
    const bits = new Int32Array(logits.buffer, logits.byteOffset, size)
    for (let id = 0; id < size; id++) {
      // The bits of floats are in their order once those of the negative ones are turned round.
      const rank = bits[id] ^ ((bits[id] >> 31) & 0x7fffffff)
      keys[id] = id - rank * idRange
    }
    keys.sort()
    for (let i = 0; i < k; i++) {
      const id = keys[i] - Math.floor(keys[i] / idRange) * idRange
      this.ids[i] = id
      this.logits[i] = logits[id]
    }
  }

  #selectByHeap(logits: Float32Array, size: number, k: number): void {
    for (let id = 0; id < k; id++) {
      this.ids[id] = id
      this.logits[id] = logits[id]
    }
    for (let at = (k >> 1) - 1; at >= 0; at--) this.#sink(at, k)
    let worst = this.logits[0]
    for (let id = k; id < size; id++) {
      // An equal logit has a higher id than all kept so far, so it stays out.
      if (logits[id] <= worst) continue
      this.ids[0] = id
      this.logits[0] = logits[id]
      this.#sink(0, k)
      worst = this.logits[0]
    }
    this.#sort(k)
  }

  /** Heap sort: the worst goes last, again and again. */
  #sort(k: number): void {
    for (let end = k - 1; end > 0; end--) {
      this.#swap(0, end)
      this.#sink(0, end)
    }
  }

  #sink(at: number, size: number): void {
    for (;;) {
      let worst = at
      const left = 2 * at + 1
      if (left < size && this.#worse(left, worst)) worst = left
      if (left + 1 < size && this.#worse(left + 1, worst)) worst = left + 1
      if (worst === at) return
      this.#swap(at, worst)
      at = worst
    }
  }

  #worse(a: number, b: number): boolean {
    const { ids, logits } = this
    return logits[a] < logits[b] || (logits[a] === logits[b] && ids[a] > ids[b])
  }

  #swap(a: number, b: number): void {
    const { ids, logits } = this
    const id = ids[a]
    const logit = logits[a]
    ids[a] = ids[b]
    logits[a] = logits[b]
    ids[b] = id
    logits[b] = logit
  }
}
