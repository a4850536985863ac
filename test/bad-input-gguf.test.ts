// Step 0. Broken GGUF files: one clear error each, and nothing else.

import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import type { ErrorCode } from "../src/util/errors.ts"
import { checkTensors } from "../src/weights/check.ts"
import { openCheckpoint } from "../src/weights/checkpoint.ts"
import { readGguf } from "../src/weights/gguf-checkpoint.ts"
import { parseConfig } from "../src/model/config.ts"
import { tensorSpecs } from "../src/model/tensors.ts"
import {
  concat,
  gguf,
  little,
  memory,
  testFolder,
  type GgufField,
  type GgufTestFile,
  type GgufTestTensor,
} from "./checkpoint-files.ts"
import { refusal } from "./refusal.ts"
import { tinyGguf } from "./tiny-gguf.ts"

const badUtf8 = Uint8Array.of(0x61, 0xff)
const expectRefused = async (bytes: Uint8Array, code: ErrorCode, message: string) => {
  const got = await refusal(() => {
    const checkpoint = readGguf(memory(bytes), "own")
    checkTensors(checkpoint, tensorSpecs(parseConfig(checkpoint.config)))
  })
  expect(got.message).toContain(message)
  expect(got.code).toBe(code)
}

/** A value written as its type's number and bytes. */
const raw = (type: number, ...bytes: Uint8Array[]): GgufField => ["raw", concat(little(type, 32), ...bytes)]
const array = (type: number, count: number | bigint, ...bytes: Uint8Array[]): GgufField =>
  raw(9, little(type, 32), little(count, 64), ...bytes)

test.each<[string, Partial<GgufTestFile>, ErrorCode, string]>([
  ["of another magic", { magic: "GGML" }, "bad-file", "does not begin as a GGUF file"],
  ["of version 1", { version: 1 }, "unsupported", "is GGUF version 1; wanted little-endian version 2 or 3"],
  ["of version 4", { version: 4 }, "unsupported", "is GGUF version 4"],
  ["in big-endian order", { version: 0x03000000 }, "unsupported", "is a big-endian GGUF file"],
  [
    "of 2^64 - 1 keys",
    { numKeys: -1n },
    "bad-file",
    "18,446,744,073,709,551,615 as the number of metadata keys",
  ],
  ["of more keys than fit", { numKeys: 10_000 }, "bad-file", "announces 10,000 metadata keys"],
  ["of one key too many", { numKeys: 25 }, "bad-file", "wanted at most"],
  ["of 2^63 tensors", { numTensors: 2n ** 63n }, "bad-file", "as the number of tensors"],
  ["of more tensors than fit", { numTensors: 9_000 }, "bad-file", "announces 9,000 tensors"],
])("a file %s is refused", async (_, change, code, message) => {
  await expectRefused(gguf({ ...tinyGguf(), ...change }), code, message)
})

test("a file cut anywhere is refused", async () => {
  const whole = gguf(tinyGguf())
  for (let length = 0; length < whole.length; length += length < 4000 ? 7 : 997)
    await refusal(() => readGguf(memory(whole.slice(0, length)), "own"))
})

test.each<[string, string, GgufField | undefined, ErrorCode, string]>([
  ["a value type of 13", "a", raw(13), "bad-file", `gives "a" the value type 13`],
  ["a truth value of 2", "a", raw(7, little(2, 8)), "bad-file", `gives "a" the truth value 2`],
  ["a string longer than the file", "a", raw(8, little(1e6, 64)), "bad-file", "the length of the value"],
  [
    "a string of bad UTF-8",
    "a",
    raw(8, little(2, 64), badUtf8),
    "bad-file",
    `the value of "a" in test is not valid UTF-8`,
  ],
  [
    "a list of bad UTF-8",
    "a",
    array(8, 1, little(2, 64), badUtf8),
    "bad-file",
    `an item of "a" in test is not valid UTF-8`,
  ],
  ["a list of lists", "a", array(9, 1, little(4, 32), little(0, 64)), "bad-file", "items of type 9"],
  ["a list of 2^62 items", "a", array(4, 2n ** 62n), "bad-file", "as the number of items"],
  ["a list longer than the file", "a", array(12, 5000), "bad-file", "announces 5,000 numbers"],
  ["an alignment of 0", "general.alignment", ["u32", 0], "bad-file", "a power of two from 8"],
  ["an alignment of 48", "general.alignment", ["u32", 48], "bad-file", "a power of two from 8"],
  ["an alignment of 2^31", "general.alignment", ["u32", 2 ** 31], "bad-file", "a power of two from 8"],
  ["an alignment as text", "general.alignment", ["string", "32"], "bad-file", "a power of two from 8"],
  ["no architecture", "general.architecture", undefined, "unsupported", "has the architecture none"],
  [
    "another architecture",
    "general.architecture",
    ["string", "llama"],
    "unsupported",
    `has the architecture "llama"; wanted "qwen3moe"`,
  ],
  [
    "one piece of three",
    "split.count",
    ["u32", 3],
    "unsupported",
    "one of 3 pieces: join them with llama-gguf-split --merge",
  ],
  ["no layers", "qwen3moe.block_count", undefined, "bad-file", "has no qwen3moe.block_count"],
  [
    "layers as text",
    "qwen3moe.block_count",
    ["string", "48"],
    "bad-file",
    "qwen3moe.block_count of another type",
  ],
  [
    "an epsilon of infinity",
    "qwen3moe.attention.layer_norm_rms_epsilon",
    ["f32", Infinity],
    "bad-file",
    "of another type",
  ],
  [
    "values of another length than keys",
    "qwen3moe.attention.value_length",
    ["u32", 8],
    "unsupported",
    "values of another length",
  ],
  [
    "two layers where the tensors have one",
    "qwen3moe.block_count",
    ["u32", 2],
    "bad-file",
    "has no tensor model.layers.1.",
  ],
  ["another tokenizer", "tokenizer.ggml.model", ["string", "llama"], "unsupported", "not Qwen's"],
])("metadata with %s is refused", async (_, key, field, code, message) => {
  await expectRefused(gguf(tinyGguf([[key, field]])), code, message)
})

test("a key of bad UTF-8, and one given twice, are refused", async () => {
  const file = tinyGguf()
  const withKey = (key: string | Uint8Array) =>
    gguf({ ...file, metadata: [...file.metadata, [key, ["bool", true]]] })
  await expectRefused(withKey(badUtf8), "bad-file", "a metadata key in test is not valid UTF-8")
  await expectRefused(
    withKey("general.architecture"),
    "bad-file",
    `the metadata key "general.architecture" twice`,
  )
})

const query = "blk.0.attn_q.weight"

function changed(change: Partial<GgufTestTensor>): Uint8Array {
  const file = tinyGguf()
  const tensors = file.tensors.map(([name, tensor]): [typeof name, GgufTestTensor] => [
    name,
    name === query ? { ...tensor, ...change } : tensor,
  ])
  return gguf({ ...file, tensors })
}

test.each<[string, Partial<GgufTestTensor>, ErrorCode, string]>([
  ["of no dimensions", { sizes: [] }, "bad-file", "with 0 dimensions; wanted 1 to 4"],
  ["of five dimensions", { sizes: [32, 1, 1, 1, 1] }, "bad-file", "with 5 dimensions"],
  ["of size 0", { sizes: [32, 0] }, "bad-file", "with a size of 0"],
  ["of a negative size", { sizes: [-32, 1] }, "bad-file", "18,446,744,073,709,551,584 as a size"],
  ["of more values than any file has", { sizes: [2n ** 45n, 2n ** 45n] }, "bad-file", "up to byte"],
  [
    "of rows that are no whole blocks",
    { sizes: [48, 8] },
    "bad-file",
    "with rows of 48; wanted a multiple of 32 for Q4_0",
  ],
  ["in Q3_K", { type: 11 }, "unsupported", `has "${query}" as Q3_K; wanted F32, F16, BF16, Q4_0`],
  ["in MXFP4", { type: 39 }, "unsupported", "as MXFP4"],
  ["in a type that was removed", { type: 4 }, "unsupported", "as a type of number 4"],
  ["in a type that nobody knows", { type: 4_000_000_000 }, "unsupported", "as a type of number 4000000000"],
  [
    "at an offset between blocks",
    { offset: 33 },
    "bad-file",
    "at offset 33; wanted a multiple of the alignment, 32",
  ],
  ["at a negative offset", { offset: -32 }, "bad-file", "18,446,744,073,709,551,584 as the offset"],
  ["beyond the end", { offset: 18_784 }, "bad-file", "no more than the file's"],
  ["over another", { offset: 0 }, "bad-file", `none before the end of "`],
  ["of the wrong shape", { sizes: [64, 4] }, "bad-file", "of shape [4,64]; wanted [8,32]"],
])("a tensor %s is refused", async (_, change, code, message) => {
  await expectRefused(changed(change), code, message)
})

test("names given twice, unknown, or missing are refused", async () => {
  const file = tinyGguf()
  const renamed = (from: string, to: string | Uint8Array) =>
    gguf({ ...file, tensors: file.tensors.map(([name, tensor]) => [name === from ? to : name, tensor]) })
  await expectRefused(renamed(query, "output_norm.weight"), "bad-file", `tensor "output_norm.weight" twice`)
  await expectRefused(renamed(query, "model.norm.weight"), "bad-file", "twice, under two names")
  await expectRefused(renamed(query, badUtf8), "bad-file", "a tensor's name in test is not valid UTF-8")
  await expectRefused(
    renamed(query, "blk.0.attn_q.bias"),
    "unsupported",
    "tensor blk.0.attn_q.bias, which the model does not know",
  )
  await expectRefused(renamed("token_embd.weight", "embd"), "bad-file", "has no tensor token_embd.weight")
})

test("a router in blocks is refused", async () => {
  const file = tinyGguf()
  const router: GgufTestTensor = { type: 8, sizes: [32, 3], bytes: new Uint8Array(102) }
  const tensors = file.tensors.map(([name, tensor]): [typeof name, GgufTestTensor] => [
    name,
    name === "blk.0.ffn_gate_inp.weight" ? router : tensor,
  ])
  await expectRefused(gguf({ ...file, tensors }), "bad-file", "as Q8_0; wanted F32, F16, BF16 for a router")
})

test("a file that is no GGUF file says what to name", async () => {
  const path = join(testFolder(), "model.safetensors")
  writeFileSync(path, "{}")
  const { code, message } = await refusal(() => openCheckpoint(path))
  expect([code, message]).toEqual([
    "bad-file",
    `${path} does not begin as a GGUF file: name a GGUF file or a model folder`,
  ])
})
