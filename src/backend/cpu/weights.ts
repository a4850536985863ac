// Step 5, native backend. Packed tensors as the addon has them: files mapped once, a handle for each matrix in them.
// Knows formats and places; never what a weight is for.

import { statSync } from "node:fs"
import { UserError, assert, messageOf } from "../../util/errors.ts"
import { withFile } from "../../weights/file.ts"
import { formats, tensorBytes } from "../../weights/format.ts"
import type { Format, PackedTensor } from "../../weights/format.ts"
import type { Promote, Weight } from "../backend.ts"
import type { Addon, NativeEngine } from "./native.ts"

export interface Promotion {
  /**
   * `huge`: the mapping is on huge pages as it is; `elsewhere`: another process moves the same file; `no-memory`: less than
   * 2 GiB would stay available, and what was moved stays.
   */
  state: (typeof promotionStates)[number]
  /** Moved so far. */
  bytes: number
}

/** Bytes of a file that is worth it. */
const promoteFrom: Record<Promote, number> = { auto: 2 ** 30, off: Infinity }

/** As native/promotion.h lists them. */
const promotionStates = [
  "off",
  "waiting",
  "moving",
  "done",
  "huge",
  "elsewhere",
  "no-memory",
  "unsupported",
] as const

export class Weights {
  readonly #addon: Addon
  readonly #engine: NativeEngine
  readonly #files = new Map<string, { file: number; bytes: number }>()
  /** By weight. */
  readonly #formats: Format[] = []

  readonly #promote: Promote

  constructor(addon: Addon, engine: NativeEngine, promote: Promote) {
    this.#addon = addon
    this.#engine = engine
    this.#promote = promote
  }

  /** Of the largest file: where moving it to huge pages stands. */
  promotion(): Promotion {
    const largest = [...this.#files.values()].sort((a, b) => b.bytes - a.bytes)[0]
    if (!largest) return { state: "off", bytes: 0 }
    const numbers = new Float64Array(2)
    this.#addon.promotion(this.#engine, largest.file, numbers)
    return { state: promotionStates[numbers[0]], bytes: numbers[1] }
  }

  map(tensor: PackedTensor): Weight {
    const [columns = 1, rows = 1, experts = 1] = tensor.shape.toReversed()
    const plain = tensor.format === "f32" || tensor.format === "f16" || tensor.format === "bf16"
    if (plain && columns % 16 !== 0)
      throw new UserError(
        "unsupported",
        `${tensor.name} has ${columns} columns in ${tensor.format}; the cpu backend needs a multiple of 16: use --backend reference`,
      )
    const format = formats.indexOf(tensor.format)
    const file = this.#file(tensor)
    const id = this.#addon.weight(this.#engine, file, tensor.offset, format, experts, rows, columns)
    this.#formats[id] = tensor.format
    return { id, experts, rows, columns }
  }

  /** A vector worked out from vectors of the file; the addon keeps its values. */
  vector(tensors: readonly PackedTensor[], compute: (...values: Float32Array[]) => Float32Array): Weight {
    const values = compute(...tensors.map(readVector))
    const id = this.#addon.vector(this.#engine, values)
    this.#formats[id] = "f32"
    return { id, experts: 1, rows: 1, columns: values.length }
  }

  checkVector(weight: Weight): void {
    assert(this.#formats[weight.id] === "f32", `a norm weight in ${this.#formats[weight.id]}, not f32`)
  }

  /** The mapping that holds a tensor; a file that has grown since is mapped again. */
  #file({ name, path, offset, format, shape }: PackedTensor): number {
    const end = offset + tensorBytes(format, shape)
    const known = this.#files.get(path)
    if (known && end <= known.bytes) return known.file
    try {
      const mapped = {
        file: this.#addon.mapFile(this.#engine, path, promoteFrom[this.#promote]),
        bytes: statSync(path).size,
      }
      if (end > mapped.bytes)
        throw new Error(`${name} ends at byte ${end} of ${mapped.bytes}: the file is cut short`)
      this.#files.set(path, mapped)
      return mapped.file
    } catch (error) {
      throw new UserError("bad-file", `${path}: ${messageOf(error)}`)
    }
  }
}

function readVector({ name, path, offset, bytes, format }: PackedTensor): Float32Array {
  assert(format === "f32", `${name} is ${format}, not f32`)
  return new Float32Array(withFile(path, (file) => file.read(offset, bytes)).buffer)
}
