// Step 4. What sequences computed, kept for prompts that begin alike: a tree with a page of ids at each node, so that
// all who begin alike read the same pages. Nobody writes to a page that is in it. Knows ids and pages; never sequences.

import { kvWindow, pagesBehind, pageTokens } from "../backend/backend.ts"
import type { Pages } from "./pages.ts"
import { pagesFor } from "./pages.ts"

/** The pages of a sequence's first tokens. */
export interface Prefix {
  /** In position order. */
  pages: Int32Array
  /** So many of the first are pinned: in 16 bits for good. */
  numPinned: number
}

export interface Kept extends Prefix {
  /** [numTokens] whose keys and values are in the pages. */
  tokens: Int32Array
}

/** What `Prefixes.find` found: the pages of so many tokens, the last of them perhaps only in part. */
export interface Found {
  numTokens: number
  pages: readonly number[]
}

interface Node {
  /** A page of ids; fewer only in a leaf. */
  readonly tokens: Int32Array
  page: number
  readonly kind: "pinned" | "plain"
  readonly parent: Node | undefined
  readonly children: Node[]
  /** By the tree's clock. */
  usedAt: number
}

export class Prefixes {
  readonly #pages: Pages
  readonly #roots: Node[] = []
  /** Every node, behind its parent. */
  readonly #nodes: Node[] = []
  #clock = 0

  constructor(pages: Pages) {
    this.#pages = pages
  }

  /** Pages that nobody else holds, nor anything that follows them: those that `evict` can free. */
  get numIdle(): number {
    const busy = new Set<Node | undefined>()
    for (const node of this.#nodes.toReversed())
      if (busy.has(node) || this.#pages.holdersOf(node.page) > 1) busy.add(node).add(node.parent)
    busy.delete(undefined)
    return this.#nodes.length - busy.size
  }

  /** Every page that it holds. */
  get table(): Int32Array {
    return Int32Array.from(this.#nodes, ({ page }) => page)
  }

  /** Holds the pages of `tokens` too; where it has such a page, it keeps one of the two. */
  keep(tokens: Int32Array, { pages, numPinned }: Prefix): void {
    const now = ++this.#clock
    let parent: Node | undefined
    for (let i = 0; i < pagesFor(tokens.length); i++) {
      const ids = tokens.subarray(i * pageTokens, (i + 1) * pageTokens)
      const kind = i < numPinned ? "pinned" : "plain"
      const there = this.#below(parent).find((node) => node.kind === kind && begins(node.tokens, ids))
      if (there?.tokens.length === ids.length) this.#prefer(there, pages[i])
      parent =
        there ?? this.#add({ tokens: ids.slice(), page: pages[i], kind, parent, children: [], usedAt: now })
      parent.usedAt = now
    }
  }

  /** The longest beginning of at most `most` tokens that can be gone on from as if it had just been computed. */
  find(tokens: Int32Array, most: number, numPinned: number): Found {
    const path: Node[] = []
    let common = 0
    while (common === path.length * pageTokens && common < most) {
      const kind = path.length < numPinned ? "pinned" : "plain"
      const rest = tokens.subarray(common, Math.min(common + pageTokens, most))
      const shared = (node: Node) => (node.kind === kind ? commonPrefix(node.tokens, rest) : 0)
      const next = largest(this.#below(path.at(-1)), shared)
      if (!next || shared(next) === 0) break
      path.push(next)
      common += shared(next)
    }
    const numTokens = this.#usable(path, common, numPinned)
    path.length = pagesFor(numTokens)
    this.#clock++
    for (const node of path) node.usedAt = this.#clock
    return { numTokens, pages: path.map(({ page }) => page) }
  }

  /** The latest that begins with these ids; the last of them may be one that a reply ended with, and need not be there. */
  whole(ids: Int32Array): Kept | undefined {
    const wanted = Math.max(1, ids.length - 1)
    const path: Node[] = []
    let known = 0
    for (;;) {
      const rest = ids.subarray(known, Math.max(known, wanted))
      const goesOn = ({ tokens }: Node) =>
        begins(tokens, rest) || (tokens.length === pageTokens && begins(rest, tokens))
      const next = largest(this.#below(path.at(-1)).filter(goesOn), ({ usedAt }) => usedAt)
      if (!next) break
      path.push(next)
      known += next.tokens.length
    }
    const numPinned = path.filter(({ kind }) => kind === "pinned").length
    if (known < wanted || this.#usable(path, known, numPinned) < known) return undefined
    const tokens = Int32Array.from(path.flatMap((node) => [...node.tokens]))
    return { tokens, pages: Int32Array.from(path, ({ page }) => page), numPinned }
  }

  /** Frees the page that was of no use for the longest time and that nothing follows; false where all are in use. */
  evict(): boolean {
    const idle = this.#nodes.filter(
      ({ page, children }) => children.length === 0 && this.#pages.holdersOf(page) === 1,
    )
    const oldest = largest(idle, ({ usedAt }) => -usedAt)
    if (oldest) this.#remove(oldest)
    return oldest !== undefined
  }

  /** Lets go of a page that nothing follows. */
  drop(page: number): "dropped" | "goes on" {
    const node = this.#nodes.find((one) => one.page === page && one.children.length === 0)
    if (node) this.#remove(node)
    return node ? "dropped" : "goes on"
  }

  /** Lets go of everything. */
  clear(): void {
    for (const { page } of this.#nodes) this.#pages.release(page)
    this.#nodes.length = this.#roots.length = 0
  }

  #below(node: Node | undefined): Node[] {
    return node?.children ?? this.#roots
  }

  /** Takes the place of leaves that were a part of it. */
  #add(node: Node): Node {
    this.#pages.retain(node.page)
    for (const other of [...this.#below(node.parent)])
      if (other.kind === node.kind && begins(node.tokens, other.tokens)) this.#remove(other)
    this.#below(node.parent).push(node)
    this.#nodes.push(node)
    return node
  }

  /** Of two pages with the same in them, one in 16 bits can be gone on from. */
  #prefer(node: Node, page: number): void {
    const { tiers } = this.#pages
    if (tiers?.formOf(node.page) !== "codes" || tiers.formOf(page) === "codes") return
    this.#pages.retain(page)
    this.#pages.release(node.page)
    node.page = page
  }

  #remove(node: Node): void {
    const siblings = this.#below(node.parent)
    siblings.splice(siblings.indexOf(node), 1)
    this.#nodes.splice(this.#nodes.indexOf(node), 1)
    this.#pages.release(node.page)
  }

  /** The most tokens up to `common` after which the next query's window, and all that is pinned, is in 16 bits. */
  #usable(path: readonly Node[], common: number, numPinned: number): number {
    let numTokens = common
    while (numTokens > numPinned * pageTokens && !this.#hasWindow(path, numTokens, numPinned))
      numTokens = (pagesFor(numTokens) - 1) * pageTokens
    return numTokens
  }

  #hasWindow(path: readonly Node[], numTokens: number, numPinned: number): boolean {
    const { tiers } = this.#pages
    const first = Math.max(numPinned, pagesBehind(numTokens - 1, tiers?.policy.window ?? kvWindow))
    return path.slice(first, pagesFor(numTokens)).every(({ page }) => tiers?.formOf(page) !== "codes")
  }
}

function begins(tokens: Int32Array, ids: Int32Array): boolean {
  return commonPrefix(tokens, ids) === ids.length
}

function commonPrefix(a: Int32Array, b: Int32Array): number {
  const end = Math.min(a.length, b.length)
  let i = 0
  while (i < end && a[i] === b[i]) i++
  return i
}

/** The last of those with the largest value. */
function largest<T>(all: readonly T[], value: (one: T) => number): T | undefined {
  let best: T | undefined
  let most = -Infinity
  for (const one of all) {
    const its = value(one)
    if (its < most) continue
    best = one
    most = its
  }
  return best
}
