// Step 5. What every op asserts of its operands when it is recorded, so that kernels need not: shapes and ranges that
// the contract in backend.ts implies. A failure here is a bug of the caller. Knows handles; never values.

import { UserError, assert } from "../util/errors.ts"
import { kvPageBytes, kvTiers, maxLargest, pageTokens } from "./backend.ts"
import type { Batch, Experts, KvCache, KvRows, KvTier, Rope, Routing, Tensor, Weight } from "./backend.ts"

export function checkBatch({ ids, positions, slots, sequences, logitRows }: Batch): void {
  const tokens = ids.length
  assert(
    positions.length === tokens && slots.length === tokens,
    `${tokens} ids need a position and slot each`,
  )
  let nextRow = 0
  for (const { firstRow, numTokens, contextTokens, pages, tiers, selectiveFrom } of sequences) {
    assert(
      firstRow === nextRow && numTokens > 0,
      `a sequence of ${numTokens} at row ${firstRow}, not ${nextRow}`,
    )
    assert(contextTokens >= numTokens, `${numTokens} new tokens in a context of ${contextTokens}`)
    const held = pages.length * pageTokens
    assert(held >= contextTokens, `${pages.length} pages for ${contextTokens} tokens`)
    const tiered = !tiers || (tiers.length === pages.length && tiers.every((tier) => tier < kvTiers.length))
    assert(tiered, `tiers ${tiers?.join(", ")} of ${pages.length} pages`)
    assert(selectiveFrom === undefined || selectiveFrom >= 0, `selective from ${selectiveFrom} on`)
    nextRow += numTokens
  }
  assert(nextRow === tokens, `sequences of ${nextRow} tokens in a batch of ${tokens}`)
  const ascending = logitRows.every((row, i) => row > (i === 0 ? -1 : logitRows[i - 1]) && row < tokens)
  assert(ascending, `logit rows ${logitRows.join(", ")} of ${tokens}`)
}

export function checkEmbed(table: Weight, { ids }: Batch): void {
  const known = ids.every((id) => id >= 0 && id < table.rows)
  assert(known, `an id is outside the embedding of ${table.rows} rows`)
}

export function checkNorm(x: Tensor, weight: Weight): void {
  assert(weight.rows === 1, `a norm by ${weight.rows} rows`)
  checkInput(x, weight)
}

export function checkInput(x: Tensor, weight: Weight): void {
  assert(x.columns === weight.columns, `${x.columns} columns into a weight of ${weight.columns}`)
}

export function checkAddLinear(y: Tensor, x: Tensor, weight: Weight): void {
  checkInput(x, weight)
  checkShape(y, x.rows, weight.rows)
}

export function checkNormRope(x: Tensor, weight: Weight, rope: Rope, batch: Batch): void {
  const headDim = weight.columns
  assert(x.rows === batch.ids.length, `${x.rows} rows for ${batch.ids.length} positions`)
  assert(x.columns % headDim === 0, `${x.columns} columns in heads of ${headDim}`)
  assert(rope.frequencies.length * 2 === headDim, `${rope.frequencies.length} pairs in heads of ${headDim}`)
}

export function checkStoreKv(kv: KvCache, layer: number, k: Tensor, v: Tensor, { slots }: Batch): void {
  checkLayer(kv, layer)
  const { kvHeads, headDim, pages } = kv.shape
  checkShape(k, slots.length, kvHeads * headDim)
  checkShape(v, slots.length, kvHeads * headDim)
  const inside = slots.every((slot) => slot >= 0 && slot < pages * pageTokens)
  assert(inside, `a slot is outside the ${pages} pages`)
}

export function checkPage(kv: KvCache, page: number, tier = 0): void {
  const { pages } = kv.shape
  assert(Number.isInteger(page) && page >= 0 && page < pages, `page ${page} of ${pages}`)
  assert(tier in kvTiers, `tier ${tier} of ${kvTiers.length}`)
}

export function checkKvRows(kv: KvCache, layer: number, { keys, values }: KvRows): void {
  checkLayer(kv, layer)
  const size = pageTokens * kv.shape.kvHeads * kv.shape.headDim
  const fits = keys.length === size && values.length === size
  assert(fits, `a page of ${keys.length} keys and ${values.length} values where ${size} of each are due`)
}

/** An imported page may come from anywhere. */
export function checkPageBytes(bytes: Uint8Array, { shape }: KvCache, tier: KvTier, valueBytes: 2 | 4): void {
  const wanted =
    shape.layers * shape.kvHeads * kvPageBytes(tier, shape.headDim) * (tier === 0 ? valueBytes / 2 : 1)
  if (bytes.length === wanted) return
  throw new UserError(
    "bad-file",
    `a saved page of ${kvTiers[tier].name} has ${bytes.length} bytes; wanted ${wanted}: it was cut, or is of another cache`,
  )
}

export function checkAttend(q: Tensor, kv: KvCache, layer: number, { ids, sequences }: Batch): void {
  checkLayer(kv, layer)
  const { kvHeads, headDim, pages: numPages } = kv.shape
  assert(q.rows === ids.length, `${q.rows} queries for ${ids.length} tokens`)
  assert(q.columns % (kvHeads * headDim) === 0, `${q.columns} columns over ${kvHeads} heads of ${headDim}`)
  const inside = sequences.every(({ pages }) => pages.every((page) => page >= 0 && page < numPages))
  assert(inside, `a sequence has a page outside the ${numPages}`)
}

export function checkRoute(x: Tensor, router: Weight, topK: number): void {
  checkInput(x, router)
  assert(topK >= 1 && topK <= router.rows, `top ${topK} of ${router.rows} experts`)
}

export function checkExperts(y: Tensor, x: Tensor, routing: Routing, { gate, up, down }: Experts): void {
  assert(routing.rows === x.rows, `${routing.rows} routed rows for ${x.rows}`)
  assert(gate.experts === up.experts && gate.experts === down.experts, "experts without a gate, up or down")
  assert(gate.rows === up.rows && gate.rows === down.columns, "gate, up and down differ in their inner width")
  checkInput(x, gate)
  checkInput(x, up)
  checkShape(y, x.rows, down.rows)
}

export function checkPickRows(x: Tensor, { ids }: Batch): void {
  assert(x.rows === ids.length, `${x.rows} rows for ${ids.length} tokens`)
}

export function checkLargest(x: Tensor, size: number, k: number): void {
  assert(size >= 1 && size <= x.columns, `the first ${size} of ${x.columns} columns`)
  assert(k >= 1 && k <= Math.min(maxLargest, size), `the ${k} largest of ${size}, at most ${maxLargest}`)
}

function checkLayer({ shape }: KvCache, layer: number): void {
  assert(layer >= 0 && layer < shape.layers, `layer ${layer} of ${shape.layers}`)
}

function checkShape(x: Tensor, rows: number, columns: number): void {
  assert(
    x.rows === rows && x.columns === columns,
    `${x.rows} x ${x.columns} where ${rows} x ${columns} is due`,
  )
}
