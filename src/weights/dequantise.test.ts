import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { applyScales, dequantise } from "./dequantise.ts"
import { sourceGeometry, typeBytes, type SourceType } from "./source.ts"

interface Vectors {
  types: Record<string, { bytes: string; values: string }>
  f16Sha256: string
}

// Made by others' code; data/dequantise.json says by which.
const vectors: Vectors = JSON.parse(
  readFileSync(new URL("../../test/data/dequantise.json", import.meta.url), "utf8"),
)

const decoded = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"))
const vectorTypes = [
  "Q4_0",
  "Q8_0",
  "Q4_K",
  "Q5_K",
  "Q6_K",
  "BF16",
  "F8_E4M3",
] as const satisfies SourceType[]

function floats(type: SourceType, bytes: Uint8Array): Float32Array {
  const { blockValues, blockBytes } = sourceGeometry[type]
  const out = new Float32Array((bytes.length / blockBytes) * blockValues)
  dequantise(type, bytes, out)
  return out
}

test.each(vectorTypes)("%s blocks mean the same as to the format's own tools, bit for bit", (type) => {
  const { bytes, values } = vectors.types[type]
  const got = floats(type, decoded(bytes))
  expect(got.length).toBeGreaterThanOrEqual(60)
  expect(Buffer.from(got.buffer).toString("base64")).toBe(values)
})

test("all 65,536 halves have the values of IEEE 754", () => {
  const bits = Uint8Array.from({ length: 2 << 16 }, (_, i) => (i & 1 ? i >> 9 : i >> 1))
  const got = floats("F16", bits).map((value) => (Number.isNaN(value) ? 0 : value))
  expect(createHash("sha256").update(new Uint8Array(got.buffer)).digest("hex")).toBe(vectors.f16Sha256)
})

test("F32 passes through, also from bytes that are not aligned", () => {
  const bytes = new Uint8Array(9)
  new DataView(bytes.buffer).setFloat32(1, 1.5, true)
  new DataView(bytes.buffer).setFloat32(5, -3e-20, true)
  expect([...floats("F32", bytes.subarray(1))]).toEqual([1.5, Math.fround(-3e-20)])
})

test("FP8 all ones is not a number", () => {
  expect([...floats("F8_E4M3", Uint8Array.of(0x7f, 0xff))]).toEqual([NaN, NaN])
})

test("scales apply by squares of 128, whichever row a piece begins at", () => {
  const [rows, columns] = [300, 200]
  const scales = Float32Array.from({ length: 3 * 2 }, (_, i) => i + 1)
  const whole = new Float32Array(rows * columns).fill(1)
  applyScales(whole, 0, columns, scales)
  const at = (row: number, column: number) => whole[row * columns + column]
  const corners = [at(0, 0), at(127, 127), at(127, 128), at(128, 127), at(255, 199), at(256, 0), at(299, 199)]
  expect(corners).toEqual([1, 1, 2, 3, 4, 5, 6])
  const piece = new Float32Array(7 * columns).fill(1)
  applyScales(piece, 125, columns, scales)
  expect(piece).toEqual(whole.subarray(125 * columns, 132 * columns))
})

test("bytes of a type count whole blocks", () => {
  expect(typeBytes("Q4_K", 2048 * 768)).toBe((2048 * 768 * 4.5) / 8)
  expect(typeBytes("Q6_K", 256)).toBe(210)
  expect(typeBytes("BF16", 3)).toBe(6)
  expect(() => floats("Q4_0", new Uint8Array(17))).toThrow("17 bytes are no whole Q4_0 blocks")
})
