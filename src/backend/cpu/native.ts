// Step 5. The addon's functions as TypeScript sees them, and where the addon is found: a prebuilt package for this
// platform, or what was built on installation.

import { createRequire } from "node:module"
import { UserError, messageOf } from "../../util/errors.ts"
import type { PrefillMode } from "../backend.ts"

/** An engine inside the addon. */
export type NativeEngine = object & { readonly engine: unique symbol }

/** native/addon.cc, one to one. */
export interface Addon {
  sets(): string
  create(threads: number, isa: string, prefill: PrefillMode): NativeEngine
  isa(engine: NativeEngine): string
  mapFile(engine: NativeEngine, path: string, promoteFrom: number): number
  promotion(engine: NativeEngine, file: number, numbers: Float64Array): void
  weight(
    engine: NativeEngine,
    file: number,
    offset: number,
    format: number,
    experts: number,
    rows: number,
    columns: number,
  ): number
  rope(engine: NativeEngine, frequencies: Float32Array, scale: number): number
  vector(engine: NativeEngine, values: Float32Array): number
  kv(
    engine: NativeEngine,
    layers: number,
    pages: number,
    kvHeads: number,
    headDim: number,
    window: number,
  ): number
  trim(engine: NativeEngine, kv: number, page: number, tier: number): void
  writeKv(
    engine: NativeEngine,
    kv: number,
    page: number,
    layer: number,
    keys: Float32Array,
    values: Float32Array,
    tier: number,
  ): boolean
  readKv(
    engine: NativeEngine,
    kv: number,
    page: number,
    layer: number,
    keys: Float32Array,
    values: Float32Array,
  ): void
  copyPage(
    engine: NativeEngine,
    kv: number,
    page: number,
    tier: number,
    bytes: Uint8Array,
    direction: 0 | 1,
  ): boolean
  prepare(
    engine: NativeEngine,
    ops: Int32Array,
    ids: Int32Array,
    positions: Int32Array,
    slots: Int32Array,
    pages: Int32Array,
    tiers: Int32Array,
    logitRows: Int32Array,
    sequences: Int32Array,
    rows: Int32Array,
    columns: Int32Array,
    strides: Int32Array,
    offsets: Float64Array,
  ): boolean
  copy(engine: NativeEngine, tensor: number, values: Float32Array, direction: 0 | 1): void
  visits(engine: NativeEngine, weight: number, counts: Float64Array): void
  selections(engine: NativeEngine, kv: number, counts: Float64Array): void
  run(engine: NativeEngine): Promise<number>
  roof(engine: NativeEngine, what: number): Promise<number>
  cancel(engine: NativeEngine): void
  timings(engine: NativeEngine): number[]
  free(engine: NativeEngine): void
}

/**
 * Bytes read from memory, cycles of one core, and products of int8, int16 and float32 in registers; with AMX, of int8 and
 * bfloat16 in its tiles.
 */
export type Roof = (typeof roofs)[number]
/** The order is native/addon.cc's. */
export const roofs = ["memory", "clock", "int8", "int16", "float32"] as const

const places = [`@a3b/native-${process.platform}-${process.arch}`, "../../../build/Release/a3b.node"]

/** Loads the addon, or says in one error what is missing. */
export function loadAddon(): Addon {
  const require = createRequire(import.meta.url)
  const failures: string[] = []
  for (const place of places) {
    try {
      return require(place) as Addon // the boundary to native code: its shape is stated above
    } catch (error) {
      failures.push(messageOf(error).split("\n")[0] ?? "")
    }
  }
  throw new UserError(
    "unsupported",
    `no native addon for ${process.platform}-${process.arch} (${failures.at(-1)}): ` +
      "install a C++20 compiler, make and Python 3, then run `npm rebuild a3b`",
  )
}
