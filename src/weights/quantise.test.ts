import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { openCheckpoint } from "./checkpoint.ts"
import type { Checkpoint } from "./checkpoint.ts"
import { dequantise } from "./dequantise.ts"
import { halves, toHalf } from "./half.ts"
import { sourceBytes, sourceTypeOf } from "./layout.ts"
import { PieceSource } from "./pack-source.ts"
import { largestWeight, quantiseRows } from "./quantise.ts"
import type { QuantisedFormat } from "./quantise.ts"

/** Repeatable normal values (Box-Muller over a small generator). */
function gaussian(count: number, seed: number): Float32Array {
  let state = seed >>> 0
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(uniform()))
    return 0.02 * radius * Math.cos(2 * Math.PI * uniform())
  })
}

function roundTrip(
  format: QuantisedFormat,
  values: Float32Array,
  rows: number,
  columns: number,
): Float32Array {
  const blocks = new Uint8Array(sourceBytes(format, rows, columns))
  quantiseRows(format, values, rows, columns, blocks)
  const padded = new Float32Array((blocks.length / rows / sourceBytes(format, 1, 1)) * blockOf(format) * rows)
  dequantise(sourceTypeOf[format], blocks, padded)
  const stride = padded.length / rows
  return Float32Array.from(values, (_, i) => padded[Math.floor(i / columns) * stride + (i % columns)])
}

const blockOf = (format: QuantisedFormat) => (format === "q8_0" ? 32 : 256)

function relativeRms(values: Float32Array, back: Float32Array): number {
  let error = 0
  let sum = 0
  for (const [i, x] of values.entries()) {
    error += (back[i] - x) ** 2
    sum += x * x
  }
  return Math.sqrt(error / sum)
}

describe.each([
  ["q8_0", 0.006],
  ["q4_k", 0.075],
  ["q6_k", 0.02],
  ["q4_s", 0.083],
] as const)("%s", (format, tolerance) => {
  test(`normal values come back with a relative RMS error of at most ${tolerance}`, () => {
    const values = gaussian(64 * 1024, 7)
    expect(relativeRms(values, roundTrip(format, values, 32, 2048))).toBeLessThan(tolerance)
  })

  test("the same values give the same bytes", () => {
    const values = gaussian(4096, 3)
    const [first, second] = [0, 1].map(() => {
      const blocks = new Uint8Array(sourceBytes(format, 2, 2048))
      quantiseRows(format, values, 2, 2048, blocks)
      return blocks
    })
    expect(first).toEqual(second)
  })

  test("a row that is no whole blocks is filled up with zeros", () => {
    const columns = blockOf(format) + 8
    const values = gaussian(3 * columns, 11)
    expect(relativeRms(values, roundTrip(format, values, 3, columns))).toBeLessThan(tolerance * 1.3)
  })

  test("zeros stay zero and a constant row stays near its value", () => {
    expect(roundTrip(format, new Float32Array(256), 1, 256).every((x) => x === 0)).toBe(true)
    for (const constant of [0.75, -0.75]) {
      const values = new Float32Array(256).fill(constant)
      expect(relativeRms(values, roundTrip(format, values, 1, 256))).toBeLessThan(tolerance)
    }
  })

  test("any finite weights give finite values of bounded error", () => {
    const weights = fc.float({ min: -1000, max: 1000, noNaN: true })
    fc.assert(
      fc.property(fc.array(weights, { minLength: 256, maxLength: 256 }), (list) => {
        const values = Float32Array.from(list)
        const back = roundTrip(format, values, 1, 256)
        const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
        expect(back.every((x, i) => Math.abs(x - values[i]) <= largest * 0.15 + 1e-4)).toBe(true)
      }),
    )
  })

  test("the largest weights keep finite scales", () => {
    const values = Float32Array.from({ length: 256 }, (_, i) => (i % 2 ? largestWeight : -largestWeight))
    expect(relativeRms(values, roundTrip(format, values, 1, 256))).toBeLessThan(tolerance)
  })
})

test("a Q4_K row keeps a minimum of its own per group", () => {
  // All positive but far from zero: a symmetric format would lose most of its levels.
  const values = Float32Array.from({ length: 256 }, (_, i) => -1 - (i % 32) / 320)
  expect(relativeRms(values, roundTrip("q4_k", values, 1, 256))).toBeLessThan(0.02)
})

/** Q4_0 as GGUF's tools make it: the value of largest magnitude becomes level 0 of 16. */
function plainQ40(values: Float32Array): Float32Array {
  const back = new Float32Array(values.length)
  for (let from = 0; from < values.length; from += 32) {
    const group = values.subarray(from, from + 32)
    const largest = group.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0)
    const d = largest / -8
    const scale = halves[toHalf(d)]
    group.forEach((x, i) => {
      const q = d === 0 ? 8 : Math.min(15, Math.floor(x / d + 8.5))
      back[from + i] = scale * (q - 8)
    })
  }
  return back
}

test.each([
  ["normal values", (x: number) => x],
  ["heavy tails", (x: number) => x ** 3 * 2000],
  ["very heavy tails", (x: number) => x ** 7 * 1e9],
  ["values of one size", (x: number) => Math.sign(x) * 0.02 + x / 10],
])("of %s, q4_s keeps more than Q4_0 does, in fewer bits", (_, shape) => {
  const values = gaussian(64 * 1024, 5).map(shape)
  expect(relativeRms(values, roundTrip("q4_s", values, 32, 2048))).toBeLessThan(
    relativeRms(values, plainQ40(values)),
  )
  expect(sourceBytes("q4_s", 1, 2048)).toBeLessThan(sourceBytes("q4_0", 1, 2048))
})

/** The matrices of a checkpoint that stores each expert's by itself, as floats. */
function* matricesOf({ tensors }: Checkpoint): Generator<{ values: Float32Array; columns: number }> {
  const source = new PieceSource()
  for (const { name, type, shape, parts, scales } of tensors.values()) {
    const [rows, columns] = shape.slice(-2)
    if (shape.length === 1) continue
    for (const [i, part] of parts.entries()) {
      const own = scales && { type: scales.type, parts: [scales.parts[i]] }
      const piece = {
        tensor: name,
        type,
        format: "q4_s",
        rows,
        columns,
        part,
        scales: own,
        target: 0,
      } as const
      for (const chunk of source.chunks(piece))
        yield { values: Float32Array.from(source.floats(piece, chunk)), columns }
    }
  }
}

test("of every matrix of nano, q4_s keeps more than Q4_0 does", async () => {
  let matrices = 0
  for (const { values, columns } of matricesOf(await openCheckpoint("models/nano"))) {
    const back = roundTrip("q4_s", values, values.length / columns, columns)
    expect(relativeRms(values, back)).toBeLessThan(relativeRms(values, plainQ40(values)))
    matrices++
  }
  expect(matrices).toBeGreaterThan(150)
})
