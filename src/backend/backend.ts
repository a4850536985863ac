// Step 5. The contract that every backend keeps: about twelve ops, recorded in order, run by one `submit`.
// Tensors and weights are small-integer handles; their bytes stay with the backend. Ops know rows and columns;
// never layers, sequences' owners, text or sampling.

import type { PackedTensor } from "../weights/format.ts"

/** float32 activations [rows, columns]; valid from the op that makes it until the next `begin`. */
export interface Tensor {
  readonly id: number
  readonly rows: number
  readonly columns: number
}

/** A weight matrix [rows, columns], or `experts` of them; lives as long as the backend. */
export interface Weight {
  readonly id: number
  readonly experts: number
  readonly rows: number
  readonly columns: number
}

/** Which experts each row goes to, and with what weights; valid like a Tensor. */
export interface Routing {
  readonly id: number
  readonly rows: number
  readonly topK: number
}

/** What a KV cache holds: pages of `pageTokens` tokens for all layers. */
export interface KvShape {
  layers: number
  pages: number
  kvHeads: number
  headDim: number
  /** `kvWindow` where left out. */
  window?: number
}

export const pageTokens = 128

/** Most values of a row that `largest` finds. */
export const maxLargest = 64

/** Tokens up to a query, its own among them, that it reads in 16 bits whatever the tiers of their pages. */
export const kvWindow = 1024

/**
 * How a page's keys and values are kept: T0 in 16 bits, the others as codes of so many bits. They are nested: the codes
 * of a lower tier are the upper bits of those of a higher one.
 */
export const kvTiers = [
  { name: "T0", keyBits: 16, valueBits: 16 },
  { name: "T1", keyBits: 8, valueBits: 8 },
  { name: "T2", keyBits: 5, valueBits: 4 },
  { name: "T3", keyBits: 4, valueBits: 3 },
] as const

/** An index of kvTiers. */
export type KvTier = 0 | 1 | 2 | 3

/** A tier that has codes. */
export type CodedTier = Exclude<KvTier, 0>

/** How many of a sequence's first pages the window of a query at this position does not touch: it reads their codes. */
export function pagesBehind(position: number, window: number): number {
  return Math.max(0, Math.floor((position + 1 - window) / pageTokens))
}

/** Whether all queries read all pages, or those that may choose do (`BatchSequence.selectiveFrom`). */
export type Attention = "exact" | "selective"

/**
 * How a query chooses blocks of tokens from pages of codes. All that is in 16 bits is read anyway: the window, and pages
 * at T0, which the first one is.
 */
export const selection = {
  /** No earlier query shall choose: below, reading everything costs little beside the weights. */
  from: 32_768,
  blockTokens: 16,
  /** Fewest and most tokens that are chosen; a query with no more in codes reads them all. */
  least: 2048,
  most: 8192,
  /** Blocks are added until each query head is estimated to keep this share of its attention, */
  enough: 0.98,
  /** and where some head keeps less than this with the most tokens, everything is read. */
  tooLittle: 0.9,
} as const

/** What choosing came to so far; a query row of one key/value head counts once. */
export interface Selections {
  /** Times that a choice was tried. */
  scanned: number
  /** Times that too little would have been kept, so that everything was read. */
  fellBack: number
  /** Over the other times, the sum of the share that the query head with the least keeps, as estimated. */
  kept: number
  /** Over the other times, tokens chosen. */
  tokens: number
}

/** The form of a page of codes, counted up where its bytes change, so that what was saved in another is refused. */
export const kvForm = 2

/** Bytes of one page of one key/value head in one layer: planes of bits; two means, one key and two value scales. */
export function kvPageBytes(tier: KvTier, headDim: number): number {
  const { keyBits, valueBits } = kvTiers[tier]
  const planes = ((keyBits + valueBits) * pageTokens * headDim) / 8
  return tier === 0 ? planes : planes + 2 * 2 * headDim + 3 * 2 * pageTokens
}

/**
 * How many rows of a prompt are read: with the bits that each row would have alone, or by products whose rounding the
 * processor chooses, as it is fastest. Only the cpu backend has the second.
 */
export type PrefillMode = "exact" | "fast"

/** Most rows of one step: enough to read each expert once for many tokens, and where products are fast for more of them. */
export const chunkTokens: Readonly<Record<PrefillMode, number>> = { exact: 512, fast: 2048 }

/** Whether a mapped file of 1 GiB and more is moved to huge pages in the background, where it is not on such already. */
export type Promote = "auto" | "off"

/** One layer of a page: [pageTokens, kvHeads * headDim] each. */
export interface KvRows {
  readonly keys: Float32Array
  readonly values: Float32Array
}

export interface KvCache {
  readonly id: number
  readonly shape: KvShape
}

/** Rotary embedding: angle of pair i at position p is p * frequency[i]; cos and sin are multiplied by `scale` (YaRN). */
export interface Rope {
  /** [headDim / 2] */
  readonly frequencies: Float32Array
  readonly scale: number
}

/** One sequence's part of a batch; its tokens are consecutive rows. */
export interface BatchSequence {
  /** First row of this sequence in the batch. */
  firstRow: number
  numTokens: number
  /** Tokens in the cache once this step is done; the last row's position + 1. */
  contextTokens: number
  /** Page numbers, in position order; covers contextTokens. */
  pages: Int32Array
  /** The KvTier of each of them, for queries whose window lies behind it; T0 where left out. */
  tiers?: Uint8Array
  /** Queries from this position on choose, where an `attend` lets them; none does where left out. */
  selectiveFrom?: number
}

/** One step's work: new tokens of one or more sequences, grouped by sequence. */
export interface Batch {
  /** [tokens] */
  ids: Int32Array
  /** [tokens] */
  positions: Int32Array
  /** [tokens] where each token's key and value go: page * pageTokens + place in the page. */
  slots: Int32Array
  sequences: readonly BatchSequence[]
  /** Rows whose logits are wanted, ascending. */
  logitRows: Int32Array
}

export interface Experts {
  /** [experts, expertHidden, hidden] */
  gate: Weight
  /** [experts, expertHidden, hidden] */
  up: Weight
  /** [experts, hidden, expertHidden] */
  down: Weight
}

export interface Backend {
  readonly name: "reference" | "cpu" | "webgpu"
  /** Instruction set or device, for people. */
  readonly device: string
  readonly threads: number

  /** Maps a packed tensor. A vector [columns] is a Weight of one row. */
  weight(tensor: PackedTensor): Weight
  /** Makes an empty cache; memory of a page is taken when it is first written. */
  kvCache(shape: KvShape): KvCache
  /**
   * Gives back what a page need not hold any more: `nothing` of it is kept, or only the codes of a tier, which are at
   * most those that it has. Between steps, or of a page that the running step does not use.
   */
  trimKv(kv: KvCache, page: number, keep: CodedTier | "nothing"): void
  /**
   * Writes one layer of a whole page, keys and values [pageTokens, kvHeads * headDim], as `storeKv` does, and with a
   * coded tier the codes that a step gives such a page. As this and the next three read or write a page at once, it must
   * be one that no running step uses. Throws `out-of-memory` where there is none for codes.
   */
  writeKv(kv: KvCache, layer: number, page: number, rows: KvRows, tier: KvTier): void
  /** One layer of a page that is there in 16 bits. */
  readKv(kv: KvCache, layer: number, page: number): KvRows
  /**
   * All layers of a page, in 16 bits (T0) or as the codes of the tier that it has: kvPageBytes for every head and layer,
   * twice those of T0 by the reference backend, which keeps 32 bits. Means something only to a backend of the same name.
   */
  exportPage(kv: KvCache, page: number, tier: KvTier): Uint8Array
  /**
   * Makes a page what it was when it was exported; one that has both comes back by two calls. Throws `bad-file` where
   * the length is wrong, and as `writeKv`.
   */
  importPage(kv: KvCache, page: number, tier: KvTier, bytes: Uint8Array): void
  /** A vector [columns] worked out from packed ones. */
  vector(tensors: readonly PackedTensor[], compute: (...values: Float32Array[]) => Float32Array): Weight
  /** Forgets the recorded ops and all tensors. */
  begin(batch: Batch): void

  // ---- ops: recorded now, run in this order by `submit`
  /** Rows of the table for the batch's ids: [tokens, columns]. */
  embed(table: Weight): Tensor
  /** x * rsqrt(mean(x^2) + epsilon) * weight, per row; a new tensor. */
  rmsNorm(x: Tensor, weight: Weight, epsilon: number): Tensor
  /** x W^T: [rows, weight.rows]. */
  linear(x: Tensor, weight: Weight): Tensor
  /** The same for several weights over one input. */
  linears(x: Tensor, weights: readonly Weight[]): Tensor[]
  /** y += x W^T, in place. */
  addLinear(y: Tensor, x: Tensor, weight: Weight): void
  /** Per head of `weight.columns`: RMS norm, then rotate half by the row's position; in place. */
  normRope(x: Tensor, weight: Weight, rope: Rope, epsilon: number): void
  /**
   * Writes k and v [tokens, kvHeads * headDim] of one layer to the batch's slots, in 16 bits. Pages that the window of
   * a sequence's last query is the first to leave behind get the codes of their tiers, which depend on nothing but
   * what the page holds.
   */
  storeKv(kv: KvCache, layer: number, k: Tensor, v: Tensor): void
  /**
   * Causal attention of q [tokens, heads * headDim] over each sequence's pages, scaled by headDim^-0.5. What a query
   * reads by a page's tier, and whether it chooses, depends on its position alone, so that how a sequence is cut into
   * steps changes nothing. Which blocks it chooses depends on its own values and on the codes; two bits of each channel
   * of a key estimate its score (see reference/estimate.ts). `exact` where left out.
   */
  attend(q: Tensor, kv: KvCache, layer: number, attention?: Attention): Tensor
  /** softmax over x W^T, the topK largest, renormalised to sum 1 where `normalise`; ties go to the lower expert. */
  route(x: Tensor, router: Weight, topK: number, normalise: boolean): Routing
  /** y += sum over the routed experts of weight * down(silu(gate x) * up x), in place. */
  addExperts(y: Tensor, x: Tensor, routing: Routing, experts: Experts): void
  /** Rows that each expert was given by `addExperts` so far, by its gate: [experts]; at any time, also within a step. */
  visits(gate: Weight): Float64Array
  /** What choosing queries of this cache did so far; at any time, also within a step. */
  selections(kv: KvCache): Selections
  /** The batch's logitRows of x. */
  pickRows(x: Tensor): Tensor
  /**
   * Of each row's first `size` columns the k largest, best first, the lower column first where they tie: [rows, 2 k],
   * their columns and then their values. The first column is -1 where one of the `size` values is not finite. k is at
   * most maxLargest.
   */
  largest(x: Tensor, size: number, k: number): Tensor

  /** Runs the recorded ops off the event loop; rejects with code `cancelled` within 100 ms of an abort. */
  submit(signal?: AbortSignal): Promise<void>
  /**
   * Copies a tensor out after `submit`; allocates [rows * columns] where `out` is not given. A tensor that an op read
   * last may have given its memory to a later one: reading it then is a bug, and says so.
   */
  read(x: Tensor, out?: Float32Array): Float32Array
  /** Makes a tensor from values, after `begin`; for tests and tools. */
  tensor(values: Float32Array, rows: number, columns: number): Tensor
  free(): void
}
