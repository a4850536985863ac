// Step 5, native backend. Whole pages of keys and values in and out of the addon's caches, and what of them is given
// back. Knows pages and tiers; never who owns a page.

import { UserError } from "../../util/errors.ts"
import type { CodedTier, KvCache, KvRows, KvShape, KvTier, Selections } from "../backend.ts"
import { kvPageBytes, kvWindow, pageTokens, selection } from "../backend.ts"
import { checkKvRows, checkPage, checkPageBytes } from "../checks.ts"
import type { Addon, NativeEngine } from "./native.ts"

export class KvCaches {
  readonly #addon: Addon
  readonly #engine: NativeEngine

  constructor(addon: Addon, engine: NativeEngine) {
    this.#addon = addon
    this.#engine = engine
  }

  create(shape: KvShape): KvCache {
    if (![32, 64, 128].includes(shape.headDim))
      throw new UserError(
        "unsupported",
        `head_dim is ${shape.headDim}; the cpu backend has kernels for 32, 64 and 128: use --backend reference`,
      )
    const { layers, pages, kvHeads, headDim, window = kvWindow } = shape
    const id = this.#addon.kv(this.#engine, layers, pages, kvHeads, headDim, window)
    if (id < 0)
      throw new UserError(
        "out-of-memory",
        `no address space for a cache of ${pages * pageTokens} tokens: ask for a shorter --context`,
      )
    return { id, shape }
  }

  trim(kv: KvCache, page: number, keep: CodedTier | "nothing"): void {
    this.#addon.trim(this.#engine, kv.id, page, keep === "nothing" ? 0 : keep)
  }

  selections(kv: KvCache): Selections {
    const counts = new Float64Array(4)
    this.#addon.selections(this.#engine, kv.id, counts)
    const [scanned, fellBack, keptMillionths, blocks] = counts
    return { scanned, fellBack, kept: keptMillionths / 1e6, tokens: blocks * selection.blockTokens }
  }

  write(kv: KvCache, layer: number, page: number, rows: KvRows, tier: KvTier): void {
    checkPage(kv, page, tier)
    checkKvRows(kv, layer, rows)
    if (!this.#addon.writeKv(this.#engine, kv.id, page, layer, rows.keys, rows.values, tier))
      throw noCodes(kv)
  }

  read(kv: KvCache, layer: number, page: number): KvRows {
    checkPage(kv, page)
    const size = pageTokens * kv.shape.kvHeads * kv.shape.headDim
    const rows = { keys: new Float32Array(size), values: new Float32Array(size) }
    checkKvRows(kv, layer, rows)
    this.#addon.readKv(this.#engine, kv.id, page, layer, rows.keys, rows.values)
    return rows
  }

  export(kv: KvCache, page: number, tier: KvTier): Uint8Array {
    checkPage(kv, page, tier)
    const { layers, kvHeads, headDim } = kv.shape
    const bytes = new Uint8Array(layers * kvHeads * kvPageBytes(tier, headDim))
    if (!this.#addon.copyPage(this.#engine, kv.id, page, tier, bytes, 1)) throw noCodes(kv)
    return bytes
  }

  import(kv: KvCache, page: number, tier: KvTier, bytes: Uint8Array): void {
    checkPage(kv, page, tier)
    checkPageBytes(bytes, kv, tier, 2)
    if (!this.#addon.copyPage(this.#engine, kv.id, page, tier, bytes, 0)) throw noCodes(kv)
  }
}

function noCodes({ shape }: KvCache): UserError {
  return new UserError(
    "out-of-memory",
    `no address space for the codes of ${shape.pages * pageTokens} tokens: ask for a shorter --context`,
  )
}
