import { expect, test } from "vitest"
import { memory, rawSafetensors, safetensors } from "../../test/checkpoint-files.ts"
import { parseSafetensors } from "./safetensors.ts"

test("each tensor has its type, shape and place in the file", () => {
  const file = safetensors({
    one: { dtype: "F32", shape: [2, 3], bytes: new Uint8Array(24).fill(1) },
    none: { dtype: "BF16", shape: [0, 4], bytes: new Uint8Array(0) },
    two: { dtype: "F8_E4M3", shape: [5], bytes: new Uint8Array(5).fill(2) },
  })
  const entries = parseSafetensors(memory(file))
  expect(entries.map(({ name, dtype, shape, bytes }) => [name, dtype, shape, bytes])).toEqual([
    ["one", "F32", [2, 3], 24],
    ["none", "BF16", [0, 4], 0],
    ["two", "F8_E4M3", [5], 5],
  ])
  for (const { name, offset, bytes } of entries)
    expect(file.subarray(offset, offset + bytes).every((byte) => byte === (name === "one" ? 1 : 2))).toBe(
      true,
    )
})

test("names that objects inherit are names like others", () => {
  const header = `{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"constructor":{"dtype":"toString","shape":[],"data_offsets":[1,1]}}`
  const names = parseSafetensors(memory(rawSafetensors(header, new Uint8Array(1)))).map(({ name }) => name)
  expect(names).toEqual(["__proto__", "constructor"])
})

test("a name given twice over the same bytes counts once", () => {
  const entry = `"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`
  expect(parseSafetensors(memory(rawSafetensors(`{${entry},${entry}}`, new Uint8Array(1))))).toHaveLength(1)
})

test("only the header is read, whatever the size of the data", () => {
  const header = `{"big":{"dtype":"BF16","shape":[1000,1000,4000],"data_offsets":[0,8000000000]}}`
  const file = rawSafetensors(header)
  const [big] = parseSafetensors(memory(file, file.length + 8_000_000_000))
  expect(big).toMatchObject({ offset: file.length, bytes: 8_000_000_000 })
})
