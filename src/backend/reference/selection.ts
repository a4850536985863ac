// Step 5, reference backend. Which blocks of the coded pages the queries of one key/value head read: those that get most
// of their attention by the estimate, or all of them where no choice would keep enough. All query heads of a group read
// the same blocks; one that few of them need is as good as one that all do.

import { pageTokens, selection } from "../backend.ts"
import { folded } from "./estimate.ts"
import type { Estimate } from "./estimate.ts"

const { fround } = Math
const blocksPerPage = pageTokens / selection.blockTokens
/** Pages so many powers of two below a head's likeliest count as nothing. */
const leastPower = -30

export interface Choice {
  /** Numbers of blocks, page by page, ascending; all of them where too little would be kept. */
  blocks: readonly number[] | "all"
  /** The share of its attention that the query head with the least keeps, with what it reads anyway. */
  kept: number
}

/**
 * By query head, estimates of the coded pages and log2 of what the other tokens get, both as sums of exp(score). Shares
 * are float32, sums of pages float64.
 */
export function chooseBlocks(estimates: readonly (readonly Estimate[])[], others: readonly number[]): Choice {
  const heads = estimates.map((pages, head) => sharesOf(pages, others[head]))
  const scores = Float32Array.from(heads[0].shares, (_, block) =>
    Math.max(...heads.map(({ shares }) => shares[block])),
  )
  if (!heads.every(({ read }) => Number.isFinite(read))) return { blocks: "all", kept: 0 }
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b)
  const covered = heads.map(({ read }) => read)
  const blocks: number[] = []
  const isEnough = () =>
    blocks.length * selection.blockTokens >= selection.least && Math.min(...covered) >= selection.enough
  for (const block of order.slice(0, selection.most / selection.blockTokens)) {
    if (isEnough()) break
    blocks.push(block)
    heads.forEach(({ shares }, head) => (covered[head] += shares[block]))
  }
  const kept = Math.min(...covered)
  if (!(kept >= selection.tooLittle)) return { blocks: "all", kept }
  return { blocks: blocks.sort((a, b) => a - b), kept }
}

/** Of one query head: the share of each block, and of what is read anyway. */
function sharesOf(pages: readonly Estimate[], others: number): { shares: Float32Array; read: number } {
  const likeliest = pages.reduce((most, page) => Math.max(most, page.top), -Infinity)
  const top = others > likeliest ? Math.ceil(others) : likeliest
  const powers = pages.map((page) => (page.top - top < leastPower ? 0 : 2 ** (page.top - top)))
  let total = 2 ** (others - top)
  pages.forEach(({ masses }, i) => (total += folded(masses.slice()) * powers[i]))
  const shares = new Float32Array(pages.length * blocksPerPage)
  pages.forEach(({ masses }, i) => {
    const share = fround(powers[i] * (1 / total))
    masses.forEach((mass, block) => (shares[i * blocksPerPage + block] = mass * share))
  })
  return { shares, read: 2 ** (others - top) * (1 / total) }
}
