// Step 5, reference backend. Keys and values in pages of 128 tokens: float32 as they come, and the codes of full pages.
// Knows pages and places in them; never who owns a page.

import { assert } from "../../util/errors.ts"
import { kvPageBytes, kvWindow, pageTokens, selection } from "../backend.ts"
import type { CodedTier, KvRows, KvShape, KvTier, Selections } from "../backend.ts"
import { sketchOf } from "./estimate.ts"
import type { Sketch } from "./estimate.ts"
import { decodePage, demotePage, encodePage } from "./page-codec.ts"
import type { Decoded } from "./page-codec.ts"
import type { Part } from "./planes.ts"
import type { Choice } from "./selection.ts"

interface Page {
  /** [layers, 2 (key, value), pageTokens, kvHeads * headDim] */
  exact: Float32Array | undefined
  /** By layer and head. */
  codes: Map<number, Codes>
}

interface Codes {
  tier: CodedTier
  bytes: Uint8Array
  /** Decoded once, for all queries. */
  decoded: Record<Part, Decoded> | undefined
  /** The same at every tier. */
  sketch: Sketch | undefined
}

/** One head's keys or values in a page: token `t` begins at `start + t * stride`. */
export interface Rows {
  values: Float32Array | Float64Array
  start: number
  stride: number
  /** Of what is read from codes, and is rotated. */
  coded?: Decoded
}

export class KvPages {
  readonly shape: KvShape
  readonly window: number
  readonly selections: Selections = { scanned: 0, fellBack: 0, kept: 0, tokens: 0 }
  readonly #columns: number
  readonly #pages: (Page | undefined)[]

  constructor(shape: KvShape) {
    this.shape = shape
    this.window = shape.window ?? kvWindow
    this.#columns = shape.kvHeads * shape.headDim
    this.#pages = new Array<Page | undefined>(shape.pages)
  }

  write(layer: number, slot: number, k: Float32Array, v: Float32Array): void {
    const place = slot % pageTokens
    const exact = this.#writable((slot - place) / pageTokens)
    exact.set(k, this.#start(layer, "key", place))
    exact.set(v, this.#start(layer, "value", place))
  }

  /** One layer of a page at once. */
  writePage(number: number, layer: number, { keys, values }: KvRows): void {
    this.write(layer, number * pageTokens, keys, values)
  }

  readPage(number: number, layer: number): KvRows {
    const { exact } = this.#page(number)
    assert(exact, `page ${number} is read in full after it was trimmed`)
    const part = (of: Part) => {
      const start = this.#start(layer, of, 0)
      return exact.slice(start, start + pageTokens * this.#columns)
    }
    return { keys: part("key"), values: part("value") }
  }

  /** All layers and heads, one after the other. */
  exportPage(number: number, tier: KvTier): Uint8Array {
    const { exact, codes } = this.#page(number)
    if (tier === 0) {
      assert(exact, `page ${number} is read in full after it was trimmed`)
      return new Uint8Array(exact.slice().buffer)
    }
    const each = kvPageBytes(tier, this.shape.headDim)
    const out = new Uint8Array(this.#numHeads * each)
    for (let head = 0; head < this.#numHeads; head++) {
      const held = codes.get(head)
      assert(held?.tier === tier, `page ${number} has codes of T${held?.tier}, not T${tier}`)
      out.set(held.bytes, head * each)
    }
    return out
  }

  importPage(number: number, tier: KvTier, bytes: Uint8Array): void {
    if (tier === 0) {
      new Uint8Array(this.#writable(number).buffer).set(bytes)
      return
    }
    const { codes } = this.#taken(number)
    const each = kvPageBytes(tier, this.shape.headDim)
    for (let head = 0; head < this.#numHeads; head++)
      codes.set(head, {
        tier,
        bytes: bytes.slice(head * each, (head + 1) * each),
        decoded: undefined,
        sketch: undefined,
      })
  }

  get #numHeads(): number {
    return this.shape.layers * this.shape.kvHeads
  }

  #taken(number: number): Page {
    return (this.#pages[number] ??= { exact: undefined, codes: new Map() })
  }

  #writable(number: number): Float32Array {
    const page = this.#taken(number)
    return (page.exact ??= new Float32Array(this.shape.layers * 2 * pageTokens * this.#columns))
  }

  /** Makes the codes of one head of a full page. */
  encode(number: number, layer: number, kvHead: number, tier: CodedTier): void {
    const { headDim } = this.shape
    const [keys, values] = (["key", "value"] as const).map((part) => {
      const { values, start, stride } = this.exact(number, layer, kvHead, part)
      const rows = new Float32Array(pageTokens * headDim)
      for (let t = 0; t < pageTokens; t++)
        rows.set(values.subarray(start + t * stride, start + t * stride + headDim), t * headDim)
      return rows
    })
    const bytes = encodePage(keys, values, headDim, tier)
    this.#page(number).codes.set(this.#head(layer, kvHead), {
      tier,
      bytes,
      decoded: undefined,
      sketch: undefined,
    })
  }

  exact(number: number, layer: number, kvHead: number, part: Part): Rows {
    const { exact } = this.#page(number)
    assert(exact, `page ${number} is read in full after it was trimmed`)
    const start = this.#start(layer, part, 0) + kvHead * this.shape.headDim
    return { values: exact, start, stride: this.#columns }
  }

  coded(number: number, layer: number, kvHead: number, part: Part, tier: CodedTier): Rows {
    const { headDim } = this.shape
    const codes = this.#codes(number, layer, kvHead, tier)
    if (!codes.decoded) {
      const { keys, values } = decodePage(codes.bytes, headDim, tier)
      codes.decoded = { key: keys, value: values }
    }
    const coded = codes.decoded[part]
    return { values: coded.rows, start: 0, stride: headDim, coded }
  }

  sketch(number: number, layer: number, kvHead: number, tier: CodedTier): Sketch {
    const codes = this.#codes(number, layer, kvHead, tier)
    return (codes.sketch ??= sketchOf(codes.bytes, this.shape.headDim))
  }

  /** Shares are added up in millionths, so that their order is nothing to the sum. */
  countChoice({ blocks, kept }: Choice): void {
    this.selections.scanned++
    if (blocks === "all") this.selections.fellBack++
    else {
      this.selections.kept = (Math.round(this.selections.kept * 1e6) + Math.round(kept * 1e6)) / 1e6
      this.selections.tokens += blocks.length * selection.blockTokens
    }
  }

  trim(number: number, keep: CodedTier | "nothing"): void {
    if (keep === "nothing") {
      this.#pages[number] = undefined
      return
    }
    const page = this.#page(number)
    page.exact = undefined
    for (const [head, { tier, bytes, sketch }] of page.codes) {
      assert(keep >= tier, `page ${number} has codes of T${tier}, not T${keep}`)
      page.codes.set(head, {
        tier: keep,
        bytes: demotePage(bytes, this.shape.headDim, keep),
        decoded: undefined,
        sketch,
      })
    }
  }

  #codes(number: number, layer: number, kvHead: number, tier: CodedTier): Codes {
    const codes = this.#page(number).codes.get(this.#head(layer, kvHead))
    assert(codes?.tier === tier, `page ${number} has codes of T${codes?.tier}, not T${tier}`)
    return codes
  }

  #page(number: number): Page {
    const page = this.#pages[number]
    assert(page, `page ${number} is read before it was written`)
    return page
  }

  #head(layer: number, kvHead: number): number {
    return layer * this.shape.kvHeads + kvHead
  }

  /** Where a token's key or value begins in its page. */
  #start(layer: number, part: Part, place: number): number {
    return ((layer * 2 + (part === "key" ? 0 : 1)) * pageTokens + place) * this.#columns
  }
}
