import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { dequantise } from "./dequantise.ts"
import { geometry, matrixBytes } from "./format.ts"
import type { Format } from "./format.ts"
import { halves } from "./half.ts"
import { decodeRow, encodePanels, sourceBytes, sourceTypeOf } from "./layout.ts"
import { sourceGeometry } from "./source.ts"

const quantised = ["q4_0", "q8_0", "q4_k", "q5_k", "q6_k", "q4_s"] as const
type Quantised = (typeof quantised)[number]

/** Repeatable bytes: every bit pattern is a valid block. */
function randomBytes(length: number, seed: number): Uint8Array {
  let state = seed | 1
  return Uint8Array.from({ length }, () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9
    return (state >>> 13) & 255
  })
}

function pack(format: Format, source: Uint8Array, rows: number, columns: number): Uint8Array {
  // Dirty memory shows padding that was not written.
  const packed = new Uint8Array(matrixBytes(format, rows, columns)).fill(0xa5)
  encodePanels(format, source, rows, columns, packed)
  return packed
}

function unpack(format: Format, packed: Uint8Array, rows: number, columns: number): Float32Array {
  const values = new Float32Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    decodeRow(format, packed, rows, columns, row, values.subarray(row * columns, (row + 1) * columns))
  }
  return values
}

/** Places where two arrays differ; NaN equals NaN and -0 differs from 0. */
function differing(a: Float32Array, b: Float32Array): number {
  let count = Math.abs(a.length - b.length)
  for (let i = 0; i < b.length; i++) if (!Object.is(a[i], b[i])) count++
  return count
}

const bitsSet = (bytes: Uint8Array) =>
  bytes.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0)

/** The header of format.ts, read literally: the value at [row, k] of a packed matrix. */
function valueAt(format: Quantised, packed: Uint8Array, columns: number, row: number, k: number): number {
  const { blockColumns, blockBytes } = geometry[format]
  const view = new DataView(packed.buffer)
  const half = (at: number) => halves[view.getUint16(at, true)]
  const blocks = Math.ceil(columns / blockColumns)
  const block = (Math.floor(row / 16) * blocks + Math.floor(k / blockColumns)) * blockBytes
  const r = row % 16
  const inBlock = k % 256
  const group = Math.floor(inBlock / 32)
  const section = Math.floor(inBlock / 16)
  const vector = Math.floor(inBlock / 4)
  const byte = 4 * r + (inBlock % 4)
  const plane = Math.floor(vector / 2)
  const planeAt = format === "q6_k" ? section * 192 + (plane % 2) * 64 : plane * 64
  const nibbleByte = packed[block + planeAt + byte]
  const nibble = vector % 2 === 0 ? nibbleByte & 15 : nibbleByte >> 4
  if (format === "q4_0") return half(block + 2048 + (group * 16 + r) * 2) * (nibble - 8)
  if (format === "q8_0")
    return half(block + 4096 + (group * 16 + r) * 2) * view.getInt8(block + vector * 64 + byte)
  if (format === "q6_k") {
    const pair = (packed[block + section * 192 + 128 + byte] >> (2 * (vector % 4))) & 3
    const scale = view.getInt8(block + 3072 + section * 16 + r)
    return Math.fround(half(block + 3328 + r * 2) * scale * ((nibble | (pair << 4)) - 32))
  }
  if (format === "q4_s") {
    const scale = view.getInt8(block + 2048 + group * 16 + r)
    return Math.fround(half(block + 2176 + r * 2) * scale * (nibble - 8))
  }
  const planes = block + (format === "q4_k" ? 2048 : 2560)
  const fifths = format === "q5_k" ? view.getBigUint64(block + 2048 + vector * 8, true) : 0n
  const fifth = Number((fifths >> BigInt(byte)) & 1n)
  const small = packed[planes + group * 16 + r]
  const large = view.getUint32(planes + 128 + r * 4, true)
  const scale = (small & 15) | (((large >>> (2 * group)) & 3) << 4)
  const min = (small >> 4) | (((large >>> (16 + 2 * group)) & 3) << 4)
  const q = nibble | (fifth << 4)
  return Math.fround(half(planes + 192 + r * 2) * scale * q - half(planes + 224 + r * 2) * min)
}

describe.each(quantised)("%s", (format) => {
  const { blockValues } = sourceGeometry[sourceTypeOf[format]]

  test("packed rows equal the source's blocks bit for bit, for any rows and columns", () => {
    const shapes = fc.record({
      rows: fc.integer({ min: 1, max: 40 }),
      blocks: fc.integer({ min: 1, max: 9 }),
      seed: fc.integer(),
    })
    fc.assert(
      fc.property(shapes, ({ rows, blocks, seed }) => {
        const columns = blocks * blockValues
        const source = randomBytes(sourceBytes(format, rows, columns), seed)
        const expected = new Float32Array(rows * columns)
        dequantise(sourceTypeOf[format], source, expected)
        expect(differing(unpack(format, pack(format, source, rows, columns), rows, columns), expected)).toBe(
          0,
        )
      }),
      { numRuns: 60 },
    )
  })

  test("bytes lie where the format's header says", () => {
    const [rows, columns] = [21, 768]
    const packed = pack(format, randomBytes(sourceBytes(format, rows, columns), 5), rows, columns)
    const values = unpack(format, packed, rows, columns)
    const literal = Float32Array.from(values, (_, i) =>
      valueAt(format, packed, columns, Math.floor(i / columns), i % columns),
    )
    expect(differing(values, literal)).toBe(0)
  })

  test("whole panels and blocks take no more bytes than the source", () => {
    expect(matrixBytes(format, 768, 2048)).toBe(sourceBytes(format, 768, 2048))
  })

  test("rows and columns beyond the matrix are zero bytes", () => {
    const ones = new Uint8Array(sourceBytes(format, 16, blockValues)).fill(255)
    const oneRow = pack(format, ones.subarray(0, ones.length / 16), 1, blockValues)
    expect(bitsSet(oneRow)).toBe(8 * (ones.length / 16))
    expect(bitsSet(pack(format, ones, 16, blockValues))).toBe(8 * ones.length)
  })

  test("a matrix packed in several calls equals one packed at once", () => {
    const [rows, columns] = [40, 512]
    const source = randomBytes(sourceBytes(format, rows, columns), 9)
    const parts = [16, 16, 8].map((count, i) => {
      const from = sourceBytes(format, 16 * i, columns)
      return pack(format, source.slice(from, from + sourceBytes(format, count, columns)), count, columns)
    })
    expect(Buffer.concat(parts).equals(pack(format, source, rows, columns))).toBe(true)
  })
})

test.each(["f32", "f16", "bf16"] as const)("%s is copied row-major", (format) => {
  const source = randomBytes(sourceBytes(format, 5, 33), 7)
  const packed = pack(format, source, 5, 33)
  expect(packed).toEqual(source)
  const expected = new Float32Array(5 * 33)
  dequantise(sourceTypeOf[format], source, expected)
  expect(differing(unpack(format, packed, 5, 33), expected)).toBe(0)
})
