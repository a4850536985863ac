// Planning. A context in, how many of its pages are kept in which way and what that takes. Knows sizes; never a page.

import { kvPageBytes, kvTiers, kvWindow, pageTokens } from "../backend/backend.ts"
import type { KvTier } from "../backend/backend.ts"
import type { ModelConfig } from "./config.ts"

/**
 * How keys and values are kept: all in 16 bits (or 32, by the reference backend), or by one tier from the window back.
 * `auto` is 16 bits where that fits, else the highest tiers that do, lower ones for what is older.
 */
export type KvType = "auto" | "f16" | "f32" | "T1" | "T2" | "T3"

export interface KvRequest {
  config: ModelConfig
  kv: KvType
  /** Of each sequence. */
  contextTokens: number
  sequences: number
  chunkTokens: number
  budgetBytes: number
}

export interface KvPlan {
  /** `f16` in place of an `auto` that fits in 16 bits. */
  kv: KvType
  /** Pages of all sequences, by tier. */
  tiers: Record<(typeof kvTiers)[number]["name"], number>
  bytes: number
  /** Longest context of the same number of sequences within the budget. */
  largestContextTokens: number
}

export function planKv(request: KvRequest): KvPlan {
  const { kv, contextTokens, sequences, budgetBytes } = request
  const pages = Math.ceil(contextTokens / pageTokens)
  const bytes = tierBytes(request)
  const exact = kv === "f16" || kv === "f32" ? pages : Math.min(pages, exactPages(request.chunkTokens))
  const lowest = lowestTier(kv)
  const plan = (type: KvType, coded: number[]) => {
    const counts = [pages - coded.length, 0, 0, 0]
    for (const tier of coded) counts[tier]++
    const tiers = { T0: 0, T1: 0, T2: 0, T3: 0 }
    kvTiers.forEach(({ name }, tier) => (tiers[name] = counts[tier] * sequences))
    const sum = counts.reduce((all, count, tier) => all + count * sequences * bytes[tier], 0)
    return { kv: type, tiers, bytes: sum, largestContextTokens: largestContext(request, lowest) }
  }
  if (kv !== "auto") return plan(kv, new Array<number>(pages - exact).fill(lowest))
  const plain = plan("f16", [])
  if (plain.bytes <= budgetBytes) return plain
  const coded = new Array<number>(pages - exact).fill(1)
  while (plan(kv, coded).bytes > budgetBytes && demote(coded, lowest));
  return plan(kv, coded)
}

/**
 * Pages of a sequence that are in 16 bits while a chunk is computed: the first, the chunk's and their window's, and those
 * around the prompt's end, which a next turn may go on from.
 */
function exactPages(chunkTokens: number): number {
  const windowed = Math.ceil((kvWindow + chunkTokens) / pageTokens) + 1
  return 1 + windowed + Math.ceil(kvWindow / pageTokens) + 2
}

function lowestTier(kv: KvType): KvTier {
  return ({ f16: 0, f32: 0, T1: 1, T2: 2, T3: 3, auto: 3 } as const)[kv]
}

/** The oldest quarter of what can be lowered goes one tier down; false where nothing can. */
function demote(tiers: number[], lowest: number): boolean {
  const left = tiers.filter((tier) => tier < lowest).length
  let due = Math.ceil(left / 4)
  for (let i = 0; due > 0; i++) {
    if (tiers[i] >= lowest) continue
    tiers[i]++
    due--
  }
  return left > 0
}

function largestContext(request: KvRequest, lowest: KvTier): number {
  const [first, rest] = [tierBytes(request)[0], tierBytes(request)[lowest]]
  const budget = Math.max(0, request.budgetBytes) / request.sequences
  const exact = exactPages(request.chunkTokens)
  const pages = budget < exact * first ? budget / first : exact + (budget - exact * first) / rest
  return Math.min(Math.floor(pages) * pageTokens, request.config.maxPositions)
}

function tierBytes({ config, kv }: KvRequest): number[] {
  return kvTiers.map((_, tier) => pageBytes(config, tier as KvTier, kv)) // its own index
}

/** One page in all layers. */
function pageBytes({ layers, kvHeads, headDim }: ModelConfig, tier: KvTier, kv: KvType): number {
  return layers * kvHeads * kvPageBytes(tier, headDim) * (kv === "f32" ? 2 : 1)
}
