// Step 5, reference backend. Writing keys and values, and causal attention over them: in full within a query's window,
// by their page's tier before it.

import { pagesBehind, pageTokens } from "../backend.ts"
import type { BatchSequence, CodedTier, KvTier } from "../backend.ts"
import { rowOf } from "./dense.ts"
import type { Matrix } from "./dense.ts"
import { rotate } from "./hadamard.ts"
import type { KvPages, Rows } from "./kv-pages.ts"
import type { Part } from "./planes.ts"
import type { Work } from "./run.ts"

export function* storeKv(
  kv: KvPages,
  layer: number,
  k: Matrix,
  v: Matrix,
  slots: Int32Array,
  sequences: readonly BatchSequence[],
): Work {
  for (let row = 0; row < k.rows; row++) kv.write(layer, slots[row], rowOf(k, row), rowOf(v, row))
  yield
  for (const sequence of sequences)
    for (const [page, tier] of pagesToEncode(sequence, kv.window))
      for (let kvHead = 0; kvHead < kv.shape.kvHeads; kvHead++) {
        kv.encode(page, layer, kvHead, tier)
        yield
      }
}

/** Pages with a coded tier that this step's last query leaves behind and no query before this step did. */
function pagesToEncode(
  { numTokens, contextTokens, pages, tiers }: BatchSequence,
  window: number,
): [number, CodedTier][] {
  const due: [number, CodedTier][] = []
  const from = pagesBehind(contextTokens - numTokens - 1, window)
  for (let i = from; i < pagesBehind(contextTokens - 1, window); i++) {
    const tier = (tiers?.[i] ?? 0) as KvTier // checked when the step began
    if (tier !== 0) due.push([pages[i], tier])
  }
  return due
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
  for (const sequence of sequences)
    for (let token = 0; token < sequence.numTokens; token++) {
      const position = sequence.contextTokens - sequence.numTokens + token
      for (let head = 0; head < heads; head++) {
        const row = sequence.firstRow + token
        const part = (x: Matrix) => rowOf(x, row).subarray(head * headDim, (head + 1) * headDim)
        const kvHead = Math.floor((head * kvHeads) / heads)
        yield* attendHead(part(out), part(q), { kv, layer, kvHead, sequence, position })
      }
    }
}

/** The keys and values that one query head of one token sees: its own and all before it. */
interface Seen {
  kv: KvPages
  layer: number
  kvHead: number
  sequence: BatchSequence
  position: number
}

function* attendHead(out: Float32Array, q: Float32Array, seen: Seen): Work {
  const weights = new Float64Array(seen.position + 1)
  const scale = q.length ** -0.5
  const queries = { plain: q, rotated: rotate(q.slice()) }
  yield* eachToken(seen, "key", (token, { values, space }, start) => {
    const query = queries[space]
    let sum = 0
    for (let i = 0; i < query.length; i++) sum += query[i] * values[start + i]
    weights[token] = sum * scale
  })
  softmax(weights)
  const sums = { plain: new Float64Array(out.length), rotated: new Float64Array(out.length) }
  yield* eachToken(seen, "value", (token, { values, space }, start) => {
    const sum = sums[space]
    for (let i = 0; i < sum.length; i++) sum[i] += weights[token] * values[start + i]
  })
  const turnedBack = rotate(Float32Array.from(sums.rotated))
  for (let i = 0; i < out.length; i++) out[i] = sums.plain[i] + turnedBack[i]
}

function* eachToken(seen: Seen, part: Part, visit: (token: number, rows: Rows, start: number) => void): Work {
  const end = seen.position + 1
  for (let first = 0; first < end; first += pageTokens) {
    const rows = pageRows(seen, part, first / pageTokens)
    for (let token = first; token < Math.min(first + pageTokens, end); token++)
      visit(token, rows, rows.start + (token - first) * rows.stride)
    yield
  }
}

function pageRows({ kv, layer, kvHead, sequence, position }: Seen, part: Part, index: number): Rows {
  const { pages, tiers } = sequence
  const tier = (tiers?.[index] ?? 0) as KvTier // checked when the step began
  return tier !== 0 && index < pagesBehind(position, kv.window)
    ? kv.coded(pages[index], layer, kvHead, part, tier)
    : kv.exact(pages[index], layer, kvHead, part)
}

/** In place; the largest is taken off first so that exp cannot overflow. */
export function softmax(x: Float64Array): void {
  const largest = x.reduce((a, b) => Math.max(a, b), -Infinity)
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i] = Math.exp(x[i] - largest)
  for (let i = 0; i < x.length; i++) x[i] /= sum
}
