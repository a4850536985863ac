import { expect, test } from "vitest"
import { concat, gguf, ggufString, little, memory } from "../../test/checkpoint-files.ts"
import { parseGguf } from "./gguf.ts"

test.each([2, 3])("version %i: metadata of every type and the tensors' places", (version) => {
  const file = gguf({
    version,
    metadata: [
      ["a.u32", ["u32", 4_000_000_000]],
      ["a.i32", ["i32", -5]],
      ["a.u64", ["u64", 2 ** 40]],
      ["a.f64", ["f64", 0.1]],
      ["a.bool", ["bool", true]],
      ["a.text", ["string", "grüße\ufeff"]],
      ["a.strings", ["strings", ["", "x", "\ufeffy"]]],
      ["a.numbers", ["i32s", [1, -2, 3]]],
      ["a.i16", ["raw", concat(little(3, 32), little(-7, 16))]],
    ],
    tensors: [
      ["first", { type: 0, sizes: [2, 3], bytes: new Uint8Array(24).fill(1) }],
      ["second", { type: 2, sizes: [32], bytes: new Uint8Array(18).fill(2) }],
    ],
  })
  const { metadata, tensors } = parseGguf(memory(file))
  expect([...metadata]).toEqual([
    ["a.u32", 4_000_000_000],
    ["a.i32", -5],
    ["a.u64", 2 ** 40],
    ["a.f64", 0.1],
    ["a.bool", true],
    ["a.text", "grüße\ufeff"],
    ["a.strings", ["", "x", "\ufeffy"]],
    ["a.numbers", Int32Array.of(1, -2, 3)],
    ["a.i16", -7],
  ])
  expect(tensors.map(({ name, type, sizes }) => [name, type, sizes])).toEqual([
    ["first", 0, [2, 3]],
    ["second", 2, [32]],
  ])
  expect(tensors.map(({ offset }) => [file[offset - 1], file[offset]])).toEqual([
    [0, 1],
    [0, 2],
  ])
})

test("a float32 reads as the decimal it was written from", () => {
  const values = [1e-6, 0.6, 0.95, 1e7, 3.1415927, 0, 1.1754944e-38, 3.4028235e38]
  const metadata = values.map((value, i): [string, ["f32", number]] => [`v${i}`, ["f32", value]])
  expect([...parseGguf(memory(gguf({ metadata, tensors: [] }))).metadata.values()]).toEqual(values)
})

test("a header longer than one read is read whole", () => {
  const strings = Array.from({ length: 200_000 }, (_, i) => `token ${i}`)
  const file = gguf({
    metadata: [
      ["many", ["strings", strings]],
      ["long", ["string", "x".repeat(3_000_000)]],
    ],
    tensors: [["t", { type: 0, sizes: [1], bytes: new Uint8Array(4) }]],
  })
  const { metadata, tensors } = parseGguf(memory(file))
  expect(metadata.get("many")).toEqual(strings)
  expect(metadata.get("long")).toHaveLength(3_000_000)
  expect(tensors).toHaveLength(1)
})

test("tensors begin at multiples of the alignment that the file names", () => {
  const tensors: Parameters<typeof gguf>[0]["tensors"] = [
    ["a", { type: 0, sizes: [1], bytes: new Uint8Array(4).fill(7) }],
    ["b", { type: 0, sizes: [1], bytes: new Uint8Array(4).fill(8) }],
  ]
  const file = gguf({ alignment: 256, metadata: [["general.alignment", ["u32", 256]]], tensors })
  const offsets = parseGguf(memory(file)).tensors.map(({ offset }) => offset)
  expect(offsets.map((offset) => [offset % 256, file[offset]])).toEqual([
    [0, 7],
    [0, 8],
  ])
})

test("strings, keys and arrays that only claim to be long are refused before memory is taken", () => {
  const claims = [
    concat(little(8, 32), little(2n ** 62n, 64)),
    concat(little(8, 32), little(50_000_000_000, 64)),
    concat(little(9, 32), little(4, 32), little(2n ** 62n, 64)),
    concat(little(9, 32), little(0, 32), little(20_000_000, 64)),
    concat(little(9, 32), little(8, 32), little(16_000_000, 64)),
  ]
  for (const claim of claims) {
    const file = gguf({ metadata: [["key", ["raw", claim]]], tensors: [] })
    // The file says that it is large enough for most of them.
    expect(() => parseGguf(memory(file, 100_000_000_000))).toThrow(/wanted (at most|no more)/)
  }
  expect(() =>
    parseGguf(memory(concat(gguf({ metadata: [], tensors: [], numKeys: 9e9 }), ggufString("x")), 1e11)),
  ).toThrow("announces 9,000,000,000 metadata keys")
})
