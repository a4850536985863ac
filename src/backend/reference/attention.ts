// Step 5, reference backend. Keys and values in pages of 128 tokens, and causal attention over them. Knows pages and
// places in them; never who owns a page.

import { assert } from "../../util/errors.ts"
import { pageTokens } from "../backend.ts"
import type { BatchSequence, KvShape } from "../backend.ts"
import { rowOf } from "./dense.ts"
import type { Matrix } from "./dense.ts"
import type { Work } from "./run.ts"

/** float32 pages, each [layers, 2 (key, value), pageTokens, kvHeads * headDim], taken when first written. */
export class KvPages {
  readonly shape: KvShape
  readonly columns: number
  readonly #pages: (Float32Array | undefined)[]

  constructor(shape: KvShape) {
    this.shape = shape
    this.columns = shape.kvHeads * shape.headDim
    this.#pages = new Array<Float32Array | undefined>(shape.pages)
  }

  write(layer: number, slot: number, k: Float32Array, v: Float32Array): void {
    const place = slot % pageTokens
    const page = (slot - place) / pageTokens
    const values = (this.#pages[page] ??= new Float32Array(this.shape.layers * 2 * pageTokens * this.columns))
    values.set(k, this.start(layer, "key", place))
    values.set(v, this.start(layer, "value", place))
  }

  page(page: number): Float32Array {
    const values = this.#pages[page]
    assert(values, `page ${page} is read before it was written`)
    return values
  }

  /** Where a token's key or value begins in its page. */
  start(layer: number, part: "key" | "value", place: number): number {
    return ((layer * 2 + (part === "key" ? 0 : 1)) * pageTokens + place) * this.columns
  }
}

export function* storeKv(kv: KvPages, layer: number, k: Matrix, v: Matrix, slots: Int32Array): Work {
  for (let row = 0; row < k.rows; row++) kv.write(layer, slots[row], rowOf(k, row), rowOf(v, row))
  yield
}

export function* attend(
  out: Matrix,
  q: Matrix,
  kv: KvPages,
  layer: number,
  sequences: readonly BatchSequence[],
): Work {
  const { headDim, kvHeads } = kv.shape
  const heads = q.columns / headDim
  for (const { firstRow, numTokens, contextTokens, pages } of sequences)
    for (let token = 0; token < numTokens; token++) {
      const visible = contextTokens - numTokens + token + 1
      for (let head = 0; head < heads; head++) {
        const part = (x: Matrix) => rowOf(x, firstRow + token).subarray(head * headDim, (head + 1) * headDim)
        const kvHead = Math.floor((head * kvHeads) / heads)
        yield* attendHead(part(out), part(q), { kv, layer, kvHead, pages, visible })
      }
    }
}

/** The keys and values that one query head of one token sees. */
interface Seen {
  kv: KvPages
  layer: number
  kvHead: number
  pages: Int32Array
  /** Tokens: its own position and all before it. */
  visible: number
}

function* attendHead(out: Float32Array, q: Float32Array, seen: Seen): Work {
  const weights = new Float64Array(seen.visible)
  const scale = q.length ** -0.5
  yield* eachToken(seen, "key", (token, page, start) => {
    let sum = 0
    for (let i = 0; i < q.length; i++) sum += q[i] * page[start + i]
    weights[token] = sum * scale
  })
  softmax(weights)
  const sums = new Float64Array(out.length)
  yield* eachToken(seen, "value", (token, page, start) => {
    for (let i = 0; i < sums.length; i++) sums[i] += weights[token] * page[start + i]
  })
  out.set(sums)
}

function* eachToken(
  { kv, layer, kvHead, pages, visible }: Seen,
  part: "key" | "value",
  visit: (token: number, page: Float32Array, start: number) => void,
): Work {
  for (let first = 0; first < visible; first += pageTokens) {
    const page = kv.page(pages[first / pageTokens])
    for (let token = first; token < Math.min(first + pageTokens, visible); token++)
      visit(token, page, kv.start(layer, part, token - first) + kvHead * kv.shape.headDim)
    yield
  }
}

/** In place; the largest is taken off first so that exp cannot overflow. */
export function softmax(x: Float64Array): void {
  const largest = x.reduce((a, b) => Math.max(a, b), -Infinity)
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i] = Math.exp(x[i] - largest)
  for (let i = 0; i < x.length; i++) x[i] /= sum
}
