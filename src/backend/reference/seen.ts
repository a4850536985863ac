// Step 5, reference backend. What a query row sees of one key/value head: its tokens, read in full within the window
// and by their page's tier before it, or some blocks of them only. Knows pages; never queries.

import { pagesBehind, pageTokens, selection } from "../backend.ts"
import type { BatchSequence, CodedTier, KvTier } from "../backend.ts"
import type { KvPages, Rows } from "./kv-pages.ts"
import type { Part } from "./planes.ts"
import type { Work } from "./run.ts"

/** The keys and values of one head that a query of this position may read: its own and all before it. */
export interface Seen {
  kv: KvPages
  layer: number
  kvHead: number
  sequence: BatchSequence
  position: number
}

/** Which blocks are read: by page of the sequence, bit `b` is block `b`. */
export type Blocks = Uint8Array

const wholePage = 255

/** The tier by which a page of the sequence is read, 0 in 16 bits. */
export function tierSeen({ kv, sequence: { tiers }, position }: Seen, index: number): KvTier {
  return index < pagesBehind(position, kv.window) ? ((tiers?.[index] ?? 0) as KvTier) : 0 // checked when the step began
}

/** Of pages of codes, by their index in the sequence. */
export function codedPages(seen: Seen): { index: number; tier: CodedTier }[] {
  const coded: { index: number; tier: CodedTier }[] = []
  for (let index = 0; index < pagesBehind(seen.position, seen.kv.window); index++) {
    const tier = tierSeen(seen, index)
    if (tier !== 0) coded.push({ index, tier })
  }
  return coded
}

export function allBlocks({ position }: Seen): Blocks {
  return new Uint8Array(Math.floor(position / pageTokens) + 1).fill(wholePage)
}

/** Visits the tokens of those blocks in order; its key or value begins at `start` in `rows`. */
export function* eachToken(
  seen: Seen,
  blocks: Blocks,
  part: Part,
  visit: (token: number, rows: Rows, start: number) => void,
): Work {
  const end = seen.position + 1
  for (const [index, mask] of blocks.entries()) {
    if (mask === 0) continue
    const rows = pageRows(seen, part, index)
    const first = index * pageTokens
    for (let token = first; token < Math.min(first + pageTokens, end); token++) {
      const place = token - first
      if ((mask >> Math.floor(place / selection.blockTokens)) & 1)
        visit(token, rows, rows.start + place * rows.stride)
    }
    yield
  }
}

function pageRows(seen: Seen, part: Part, index: number): Rows {
  const { kv, layer, kvHead, sequence } = seen
  const tier = tierSeen(seen, index)
  return tier === 0
    ? kv.exact(sequence.pages[index], layer, kvHead, part)
    : kv.coded(sequence.pages[index], layer, kvHead, part, tier)
}
