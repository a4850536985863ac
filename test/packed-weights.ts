// Packed tensors made by hand for tests: codes and scales are drawn first, then laid out byte by byte as
// src/weights/format.ts describes, and multiplied out in float64. Shares no code with the package's own layouts.

import { closeSync, openSync, writeSync } from "node:fs"
import { geometry, matrixBytes } from "../src/weights/format.ts"
import type { Format, PackedTensor } from "../src/weights/format.ts"
import { integer } from "./random.ts"

/** A number that float16 holds exactly, with its bits. */
interface Half {
  bits: number
  value: number
}

/** One row before it is laid out; all values of a format follow from these. */
interface Codes {
  /** [columns], signed */
  q: number[]
  /** [groups]: float16 for q4_0 and q8_0, small integers for the k formats */
  scales: Half[]
  mins: number[]
  d: Half
  dmin: Half
}

export interface Made {
  tensor: PackedTensor
  /** [experts][rows][columns] */
  values: Float64Array
}

/** Chooses codes and the power of two that is their scale, instead of drawing them; q8_0 only. */
export type Choose = (expert: number, row: number) => { q: number[]; exponent: number }

const zero: Half = { bits: 0, value: 0 }

/** 2^exponent, as float16. */
function powerOfTwo(exponent: number): Half {
  return { bits: (exponent + 15) << 10, value: 2 ** exponent }
}

function randomHalf(random: () => number): Half {
  const exponent = integer(random, 5, 9)
  const mantissa = integer(random, 0, 1023)
  return { bits: (exponent << 10) | mantissa, value: (1 + mantissa / 1024) * 2 ** (exponent - 15) }
}

/** Columns per scale, codes' bits and what is taken off them. */
const codes = {
  q4_0: { group: 32, bits: 4, offset: 8 },
  q8_0: { group: 32, bits: 8, offset: 128 },
  q4_k: { group: 32, bits: 4, offset: 0 },
  q5_k: { group: 32, bits: 5, offset: 0 },
  q6_k: { group: 16, bits: 6, offset: 32 },
  q4_s: { group: 32, bits: 4, offset: 8 },
} as const
type Quantised = keyof typeof codes

const isQuantised = (format: Format): format is Quantised => format in codes

/** A file that grows by one tensor at a time. */
export class PackedFile {
  readonly path: string
  readonly #random: () => number
  #bytes = 0

  constructor(path: string, random: () => number) {
    this.path = path
    this.#random = random
    closeSync(openSync(path, "w"))
  }

  add(name: string, format: Format, shape: number[], choose?: Choose): Made {
    const { bytes, values } = makeMatrices(format, shape, this.#random, choose)
    const offset = Math.ceil(this.#bytes / 64) * 64
    const file = openSync(this.path, "r+")
    writeSync(file, bytes, 0, bytes.length, offset)
    closeSync(file)
    this.#bytes = offset + bytes.length
    const hash = "0".repeat(64)
    const source = { source: format.toUpperCase(), sourceHash: hash, packedHash: hash, exact: true }
    return {
      tensor: { name, format, shape, path: this.path, offset, bytes: bytes.length, ...source },
      values,
    }
  }
}

function makeMatrices(format: Format, shape: number[], random: () => number, choose?: Choose) {
  const columns = shape.at(-1)!
  const rows = shape.at(-2) ?? 1
  const experts = shape.length === 3 ? shape[0] : 1
  const size = matrixBytes(format, rows, columns)
  const bytes = new Uint8Array(experts * size)
  const values = new Float64Array(experts * rows * columns)
  for (let expert = 0; expert < experts; expert++) {
    const view = new DataView(bytes.buffer, expert * size, size)
    const out = values.subarray(expert * rows * columns, (expert + 1) * rows * columns)
    if (!isQuantised(format)) fillPlain(view, format, out, random)
    else fillPanels(view, format, rows, columns, out, random, choose && ((row) => choose(expert, row)))
  }
  return { bytes, values }
}

function fillPlain(
  view: DataView,
  format: Exclude<Format, Quantised>,
  out: Float64Array,
  random: () => number,
) {
  for (let i = 0; i < out.length; i++) {
    const sign = random() < 0.5 ? 0 : 1
    const flip = sign ? -1 : 1
    if (format === "f32") {
      out[i] = Math.fround(random() - 0.5)
      view.setFloat32(i * 4, out[i], true)
    } else if (format === "f16") {
      const half = randomHalf(random)
      out[i] = half.value * flip
      view.setUint16(i * 2, half.bits | (sign << 15), true)
    } else {
      const exponent = integer(random, -8, -1)
      const mantissa = integer(random, 0, 127)
      out[i] = (1 + mantissa / 128) * 2 ** exponent * flip
      view.setUint16(i * 2, (sign << 15) | ((exponent + 127) << 7) | mantissa, true)
    }
  }
}

function fillPanels(
  view: DataView,
  format: Quantised,
  rows: number,
  columns: number,
  out: Float64Array,
  random: () => number,
  choose?: (row: number) => { q: number[]; exponent: number },
) {
  const { blockColumns, blockBytes } = geometry[format]
  const blocks = Math.ceil(columns / blockColumns)
  for (let row = 0; row < Math.ceil(rows / 16) * 16; row++) {
    const drawn = drawRow(format, row < rows ? columns : 0, blocks * blockColumns, random)
    if (choose && row < rows) {
      const { q, exponent } = choose(row)
      drawn.q.splice(0, columns, ...q)
      drawn.scales = drawn.scales.map((half) => (half.value === 0 ? half : powerOfTwo(exponent)))
    }
    const panel = Math.floor(row / 16) * blocks * blockBytes
    for (let block = 0; block < blocks; block++)
      place[format](view, panel + block * blockBytes, row % 16, block, drawn)
    if (row < rows) out.set(valuesOf(format, drawn).slice(0, columns), row * columns)
  }
}

/** Codes beyond `columns` are drawn like others, under scales of zero: padding must not be heard. */
function drawRow(format: Quantised, columns: number, padded: number, random: () => number): Codes {
  const { group, bits, offset } = codes[format]
  const groups = padded / group
  const inside = (g: number) => g * group < columns
  const low = format === "q8_0" ? -127 : -offset
  const q = Array.from({ length: padded }, () => integer(random, low, 2 ** bits - 1 - offset))
  const empty = columns === 0
  const d = empty ? zero : randomHalf(random)
  const dmin = empty ? zero : randomHalf(random)
  const halves = Array.from({ length: groups }, (_, g) => (inside(g) ? randomHalf(random) : zero))
  const signed = format === "q6_k" || format === "q4_s"
  const [least, most] = signed ? [-128, 127] : [0, 63]
  const small = halves.map((half) => {
    const value = half === zero ? 0 : integer(random, least, most)
    return { bits: value & 255, value }
  })
  const mins = halves.map((half) => (half === zero ? 0 : integer(random, 0, 63)))
  return { q, scales: format === "q4_0" || format === "q8_0" ? halves : small, mins, d, dmin }
}

function valuesOf(format: Quantised, { q, scales, mins, d, dmin }: Codes): number[] {
  const { group } = codes[format]
  return q.map((code, k) => {
    const g = Math.floor(k / group)
    const scale = scales[g].value
    if (format === "q4_0" || format === "q8_0") return scale * code
    if (format === "q6_k" || format === "q4_s") return d.value * scale * code
    return d.value * scale * code - dmin.value * mins[g]
  })
}

type Place = (view: DataView, at: number, row: number, block: number, codes: Codes) => void

const place: Record<Quantised, Place> = {
  q4_0(view, at, row, block, { q, scales }) {
    placeNibbles(row, (k, plane, byte, shift) =>
      setBits(view, at + plane * 64 + byte, shift, q[block * 256 + k] + 8),
    )
    for (let g = 0; g < 8; g++)
      view.setUint16(at + 2048 + (g * 16 + row) * 2, scales[block * 8 + g].bits, true)
  },
  q8_0(view, at, row, block, { q, scales }) {
    eachInBlock(row, (k, vector, byte) => view.setInt8(at + vector * 64 + byte, q[block * 256 + k]))
    for (let g = 0; g < 8; g++)
      view.setUint16(at + 4096 + (g * 16 + row) * 2, scales[block * 8 + g].bits, true)
  },
  q4_k(view, at, row, block, drawn) {
    placeNibbles(row, (k, plane, byte, shift) =>
      setBits(view, at + plane * 64 + byte, shift, drawn.q[block * 256 + k]),
    )
    placeScales(view, at + 2048, row, block, drawn)
  },
  q5_k(view, at, row, block, drawn) {
    const code = (k: number) => drawn.q[block * 256 + k]
    placeNibbles(row, (k, plane, byte, shift) => setBits(view, at + plane * 64 + byte, shift, code(k) & 15))
    eachInBlock(row, (k, vector, byte) =>
      setBits(view, at + 2048 + vector * 8 + Math.floor(byte / 8), byte % 8, code(k) >> 4),
    )
    placeScales(view, at + 2048 + 512, row, block, drawn)
  },
  q6_k(view, at, row, block, { q, scales, d }) {
    const code = (k: number) => q[block * 256 + k] + 32
    placeNibbles(row, (k, plane, byte, shift) =>
      setBits(view, at + Math.floor(plane / 2) * 192 + (plane % 2) * 64 + byte, shift, code(k) & 15),
    )
    eachInBlock(row, (k, vector, byte) =>
      setBits(view, at + Math.floor(k / 16) * 192 + 128 + byte, 2 * (vector % 4), code(k) >> 4),
    )
    for (let g = 0; g < 16; g++) view.setInt8(at + 3072 + g * 16 + row, scales[block * 16 + g].value)
    view.setUint16(at + 3072 + 256 + row * 2, d.bits, true)
  },
  q4_s(view, at, row, block, { q, scales, d }) {
    placeNibbles(row, (k, plane, byte, shift) =>
      setBits(view, at + plane * 64 + byte, shift, q[block * 256 + k] + 8),
    )
    for (let g = 0; g < 8; g++) view.setInt8(at + 2048 + g * 16 + row, scales[block * 8 + g].value)
    view.setUint16(at + 2048 + 128 + row * 2, d.bits, true)
  },
}

/** small, large, d, dmin of q4_k and q5_k. */
function placeScales(view: DataView, at: number, row: number, block: number, codes: Codes): void {
  for (let i = 0; i < 8; i++) {
    const scale = codes.scales[block * 8 + i].value
    const min = codes.mins[block * 8 + i]
    view.setUint8(at + i * 16 + row, (scale & 15) | ((min & 15) << 4))
    setBits(view, at + 128 + row * 4 + (i >> 2), (2 * i) & 7, scale >> 4)
    setBits(view, at + 128 + row * 4 + 2 + (i >> 2), (2 * i) & 7, min >> 4)
  }
  view.setUint16(at + 192 + row * 2, codes.d.bits, true)
  view.setUint16(at + 224 + row * 2, codes.dmin.bits, true)
}

/** Every column's nibble: the even vectors are the low ones of a plane. */
function placeNibbles(
  row: number,
  visit: (k: number, plane: number, byte: number, shift: number) => void,
): void {
  eachInBlock(row, (k, vector, byte) => visit(k, Math.floor(vector / 2), byte, (vector % 2) * 4))
}

function setBits(view: DataView, at: number, shift: number, bits: number): void {
  view.setUint8(at, view.getUint8(at) | (bits << shift))
}

/** Every column of a row's block with its vector, and its byte there. */
function eachInBlock(row: number, visit: (k: number, vector: number, byte: number) => void): void {
  for (let k = 0; k < 256; k++) visit(k, Math.floor(k / 4), 4 * row + (k % 4))
}
