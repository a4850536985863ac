// Step 0. Broken safetensors files and Hugging Face folders: one clear error each, and nothing else.

import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, rmSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import type { Json } from "../src/types.ts"
import type { ErrorCode } from "../src/util/errors.ts"
import { checkTensors } from "../src/weights/check.ts"
import { openCheckpoint } from "../src/weights/checkpoint.ts"
import { parseSafetensors } from "../src/weights/safetensors.ts"
import {
  concat,
  fuseExperts,
  little,
  memory,
  modelFiles,
  rawSafetensors,
  testFolder,
  tinyConfig,
  tinySpecs,
  tinyTensors,
  writeFiles,
  type TestTensors,
} from "./checkpoint-files.ts"
import { refusal, unprivileged } from "./refusal.ts"

// ---- one file

const header = (tensors: string) => rawSafetensors(tensors, new Uint8Array(16))
const entry = (offsets: string, rest = `"dtype":"U8","shape":[8]`) => `{${rest},"data_offsets":${offsets}}`
const whole = `"a":${entry("[0,8]")},"b":${entry("[8,16]")}`

test.each<[string, Uint8Array, string]>([
  ["shorter than a length", Uint8Array.of(1, 2, 3), "has 3 bytes; wanted at least 8"],
  [
    "of a header beyond its end",
    rawSafetensors("{}", undefined, 3),
    "has a header of 3 bytes; wanted at most the file's 10",
  ],
  [
    "of a header over 100 MB",
    little(100_000_001, 64),
    "has a header of 100,000,001 bytes; wanted at most 100,000,000",
  ],
  ["of a header of 2^64 - 1 bytes", little(-1, 64), "has a header of 18,446,744,073,709,551,615 bytes"],
  ["without a header", rawSafetensors(""), "not valid JSON"],
  ["of broken JSON", rawSafetensors(`{"a":`), "not valid JSON"],
  ["of bad UTF-8", rawSafetensors(Uint8Array.of(0x7b, 0x22, 0xff, 0x22)), "not valid UTF-8"],
  ["of an array", rawSafetensors("[]"), "not an object"],
  ["of null", rawSafetensors("null"), "not an object"],
  [
    "of very deep JSON",
    rawSafetensors("[".repeat(1e6) + "]".repeat(1e6)),
    "JSON of 1,000,000 levels; wanted at most 100",
  ],
  [
    "with a deep entry",
    rawSafetensors(`{"a":${"[".repeat(1e6)}${"]".repeat(1e6)}}`),
    "JSON of 1,000,001 levels",
  ],
  [
    "with a nested entry",
    rawSafetensors(`{"a":[[["\\"[[["]]]}`),
    "with [an array]; wanted an object of dtype",
  ],
  ["with an entry that is a number", header(`{"a":1}`), `tensor "a" with 1; wanted an object of dtype`],
  [
    "with a type that is no name",
    header(`{"a":${entry("[0,16]", `"dtype":8,"shape":[16]`)}}`),
    "dtype 8; wanted a type's name",
  ],
  ["without a shape", header(`{"a":${entry("[0,16]", `"dtype":"U8"`)}}`), "shape none"],
  ["with a negative size", header(`{"a":${entry("[0,16]", `"dtype":"U8","shape":[-16]`)}}`), "shape [-16]"],
  ["with a broken size", header(`{"a":${entry("[0,16]", `"dtype":"U8","shape":[1.5]`)}}`), "shape [1.5]"],
  [
    "with nine dimensions",
    header(`{"a":${entry("[0,16]", `"dtype":"U8","shape":[16,1,1,1,1,1,1,1,1]`)}}`),
    "at most 8 sizes",
  ],
  [
    "with a shape of more values than bytes",
    header(`{"a":${entry("[0,16]", `"dtype":"U8","shape":[17]`)}}`),
    "16 bytes; wanted 17 for U8 of shape [17]",
  ],
  [
    "with a shape of overflowing size",
    header(`{"a":${entry("[0,16]", `"dtype":"F64","shape":[9007199254740991,9007199254740991]`)}}`),
    "wanted 649,037,107,316,853,",
  ],
  ["without offsets", header(`{"a":{"dtype":"U8","shape":[16]}}`), "data_offsets none"],
  ["with one offset", header(`{"a":${entry("[16]", `"dtype":"U8","shape":[16]`)}}`), "data_offsets [16]"],
  [
    "with negative offsets",
    header(`{"a":${entry("[-8,8]", `"dtype":"U8","shape":[16]`)}}`),
    "data_offsets [-8, 8]",
  ],
  ["with offsets in reverse", header(`{"a":${entry("[8,0]")}}`), "data_offsets [8, 0]"],
  [
    "with offsets beyond 2^53",
    header(`{"a":${entry("[0,9007199254740993]")}}`),
    "data_offsets [0, 9007199254740992]",
  ],
  [
    "with data beyond its end",
    header(`{"a":${entry("[0,8]")},"b":${entry("[16,24]")}}`),
    `tensor "b" with data up to byte 24; wanted at most the 16 bytes`,
  ],
  [
    "with tensors that overlap",
    header(`{"a":${entry("[0,8]")},"b":${entry("[4,12]")}}`),
    `tensor "b" at byte`,
  ],
  ["with a hole", header(`{"b":${entry("[8,16]")}}`), `8 bytes of no tensor before "b"`],
  [
    "with one name for two tensors",
    header(`{"a":${entry("[0,8]")},"a":${entry("[8,16]")}}`),
    `8 bytes of no tensor before "a"`,
  ],
  [
    "with bytes after its last tensor",
    concat(header(`{${whole}}`), Uint8Array.of(0)),
    "where its last tensor ends",
  ],
  [
    "cut inside its last tensor",
    header(`{${whole}}`).slice(0, -1),
    `tensor "b" with data up to byte 16; wanted at most the 15 bytes`,
  ],
])("a safetensors file %s is refused", async (_, bytes, message) => {
  const { code, message: got } = await refusal(() => parseSafetensors(memory(bytes)))
  expect(code).toBe("bad-file")
  expect(got).toContain(message)
})

test("a message stays short, however long the names and values in the file", async () => {
  const name = "x".repeat(1e6)
  const list = `[${"7,".repeat(1e5)}7]`
  for (const file of [header(`{"${name}":1}`), header(`{"a":${entry(list)}}`), header(`{"a":"${name}"}`)]) {
    const { message } = await refusal(() => parseSafetensors(memory(file)))
    expect(message.length).toBeLessThan(500)
  }
})

// ---- a folder

type Files = Record<string, Uint8Array>
const encode = (value: Json) => new TextEncoder().encode(JSON.stringify(value))
const last = "model-00003-of-00003.safetensors"
const index = "model.safetensors.index.json"

async function openFiles(files: Files): Promise<void> {
  const checkpoint = await openCheckpoint(writeFiles(testFolder(), files))
  checkTensors(checkpoint, tinySpecs)
}

function without(name: string): (files: Files) => Files {
  return (files) => Object.fromEntries(Object.entries(files).filter(([key]) => key !== name))
}

function weightMap(change: (map: Record<string, Json>) => Json): (files: Files) => Files {
  return (files) => {
    const { weight_map: map } = JSON.parse(new TextDecoder().decode(files[index])) as {
      weight_map: Record<string, Json>
    }
    return { ...files, [index]: encode({ weight_map: change(map) }) }
  }
}

const tail = "model.norm.weight"

test.each<[string, (files: Files) => Files, ErrorCode, string]>([
  ["without config.json", without("config.json"), "not-found", "has no config.json"],
  [
    "whose config.json is broken",
    (files) => ({ ...files, "config.json": Uint8Array.of(0x7b) }),
    "bad-file",
    "config.json is not valid JSON",
  ],
  [
    "whose generation_config.json is a list",
    (files) => ({ ...files, "generation_config.json": encode([]) }),
    "bad-file",
    "not an object",
  ],
  ["without a shard", without(last), "not-found", `lacks 1 of 3 shards, the first is ${last}`],
  [
    "with a cut shard",
    (files) => ({ ...files, [last]: files[last].slice(0, -5) }),
    "bad-file",
    "wanted at most the",
  ],
  ["with an empty shard", (files) => ({ ...files, [last]: new Uint8Array(0) }), "bad-file", "has 0 bytes"],
  [
    "without weights",
    (files) => without(last)(without(index)(files)),
    "not-found",
    "neither model.safetensors nor",
  ],
  [
    "with an index without a map",
    (files) => ({ ...files, [index]: encode({ metadata: {} }) }),
    "bad-file",
    "has no weight_map",
  ],
  [
    "whose index leaves the folder",
    weightMap((map) => ({ ...map, [tail]: "../secret.safetensors" })),
    "bad-file",
    "in the same folder",
  ],
  ["whose index names no file", weightMap((map) => ({ ...map, [tail]: 7 })), "bad-file", "in no file"],
  [
    "whose index names a tensor that its shard lacks",
    weightMap((map) => ({ ...map, "model.extra": last })),
    "bad-file",
    `has no "model.extra"`,
  ],
  [
    "whose index lacks a tensor",
    weightMap((map) => Object.fromEntries(Object.entries(map).slice(1))),
    "bad-file",
    "from the same revision",
  ],
  [
    "with a shard twice under two names",
    (files) => {
      const copy = weightMap((map) =>
        Object.fromEntries(
          Object.entries(map).map(([name, file]) => [name, file === last ? "copy.safetensors" : file]),
        ),
      )(files)
      return { ...copy, "copy.safetensors": files["model-00001-of-00003.safetensors"] }
    },
    "bad-file",
    "has no",
  ],
])("a folder %s is refused", async (_, change, code, message) => {
  const got = await refusal(() => openFiles(change(modelFiles(tinyTensors(), 3))))
  expect(got.message).toContain(message)
  expect(got.code).toBe(code)
})

test("a folder with only a GGUF file says to name the file", async () => {
  const folder = writeFiles(testFolder(), {
    "config.json": encode(tinyConfig),
    "model.Q4_0.gguf": new Uint8Array(1),
  })
  const { message } = await refusal(() => openCheckpoint(folder))
  expect(message).toContain(`name ${join(folder, "model.Q4_0.gguf")}`)
})

// ---- tensors that do not fit the model

const expert = "model.layers.1.mlp.experts.2.up_proj.weight"
const query = "model.layers.0.self_attn.q_proj.weight"

function removed(name: string): (tensors: TestTensors) => TestTensors {
  return (tensors) => Object.fromEntries(Object.entries(tensors).filter(([key]) => key !== name))
}

function stored(
  name: string,
  dtype: string,
  shape: number[],
  bytes: number,
): (tensors: TestTensors) => TestTensors {
  return (tensors) => ({ ...tensors, [name]: { dtype, shape, bytes: new Uint8Array(bytes) } })
}

const gateUp = "model.layers.0.mlp.experts.gate_up_proj"

test.each<[string, (tensors: TestTensors) => TestTensors, ErrorCode, string]>([
  ["lack a tensor", removed(query), "bad-file", `has no tensor ${query}`],
  [
    "lack an expert in the middle",
    removed("model.layers.1.mlp.experts.1.up_proj.weight"),
    "bad-file",
    "has 2 experts but not number 1",
  ],
  ["lack the last expert", removed(expert), "bad-file", "of shape [2,6,8]; wanted [3,6,8]"],
  [
    "lack all experts of a layer",
    (tensors) =>
      Object.fromEntries(Object.entries(tensors).filter(([name]) => !/layers\.1\..*up_proj/.test(name))),
    "bad-file",
    "has no tensor model.layers.1.mlp.experts.up_proj.weight",
  ],
  [
    "hold one of the wrong shape",
    stored(query, "BF16", [4, 16], 128),
    "bad-file",
    "of shape [4,16]; wanted [8,8]",
  ],
  ["hold an expert of another shape", stored(expert, "BF16", [8, 6], 96), "bad-file", "wanted a matrix like"],
  ["hold an expert of another type", stored(expert, "F32", [6, 8], 192), "bad-file", "wanted a matrix like"],
  [
    "hold an expert that is no matrix",
    (tensors) =>
      [0, 1, 2].reduce(
        (all, e) => stored(`model.layers.1.mlp.experts.${e}.up_proj.weight`, "BF16", [48], 96)(all),
        tensors,
      ),
    "bad-file",
    "wanted a matrix like",
  ],
  [
    "hold one that the model does not know",
    stored("model.layers.0.self_attn.q_proj.bias", "BF16", [8], 16),
    "unsupported",
    "does not know",
  ],
  ["hold integers", stored(query, "I64", [8, 8], 512), "unsupported", `as "I64"; wanted BF16`],
  ["hold a type that nobody knows", stored(query, "Z9", [8, 8], 1), "unsupported", `as "Z9"; wanted BF16`],
  ["hold FP8 without scales", stored(query, "F8_E4M3", [8, 8], 64), "bad-file", "without scales"],
  [
    "hold FP8 with scales of the wrong shape",
    (tensors) =>
      stored(`${query}_scale_inv`, "F32", [2, 1], 8)(stored(query, "F8_E4M3", [8, 8], 64)(tensors)),
    "bad-file",
    "scales of shape [2,1]; wanted [1,1]",
  ],
  [
    "hold FP8 with scales in FP8",
    (tensors) =>
      stored(`${query}_scale_inv`, "F8_E4M3", [1, 1], 1)(stored(query, "F8_E4M3", [8, 8], 64)(tensors)),
    "bad-file",
    "with scales as F8_E4M3",
  ],
  ["hold a norm in FP8", stored(tail, "F8_E4M3", [8], 8), "bad-file", "for a vector"],
  [
    "hold GPTQ weights",
    stored("model.layers.0.self_attn.q_proj.qweight", "I32", [1, 8], 32),
    "unsupported",
    "GPTQ or AWQ int4",
  ],
  [
    "hold MLX weights",
    stored("model.layers.0.self_attn.q_proj.biases", "BF16", [1, 8], 16),
    "unsupported",
    "MLX int4",
  ],
  [
    "hold fused experts of an odd number of rows",
    (tensors) => stored(gateUp, "BF16", [3, 3, 8], 144)(fuseExperts(tensors)),
    "bad-file",
    "gate and up rows",
  ],
  [
    "hold fused experts that are no stack",
    (tensors) => stored(gateUp, "BF16", [12, 8], 192)(fuseExperts(tensors)),
    "bad-file",
    "gate and up rows",
  ],
  [
    "hold no fused experts",
    (tensors) => stored(gateUp, "BF16", [0, 12, 8], 0)(fuseExperts(tensors)),
    "bad-file",
    "gate and up rows",
  ],
  [
    "hold experts fused and one by one",
    (tensors) => ({ ...tensors, ...fuseExperts(tensors) }),
    "bad-file",
    "has already",
  ],
])("tensors that %s are refused", async (_, change, code, message) => {
  const got = await refusal(() => openFiles(modelFiles(change(tinyTensors()))))
  expect(got.message).toContain(message)
  expect(got.code).toBe(code)
})

test.each<[string, Record<string, Json>, string]>([
  ["GPTQ", { quantization_config: { quant_method: "gptq", bits: 4 } }, "holds GPTQ int4 weights"],
  ["AWQ", { quantization_config: { quant_method: "awq", bits: 4 } }, "holds AWQ int4 weights"],
  [
    "MLX",
    { quantization: { group_size: 64, bits: 4 }, quantization_config: { group_size: 64, bits: 4 } },
    "holds MLX int4 weights",
  ],
  ["unnamed", { quantization_config: { bits: 3 } }, "holds an unnamed method int3 weights"],
  [
    "FP8 by tensor",
    { quantization_config: { quant_method: "fp8", fmt: "e4m3" } },
    "FP8 without blocks of 128x128",
  ],
  [
    "FP8 e5m2",
    { quantization_config: { quant_method: "fp8", fmt: "e5m2", weight_block_size: [128, 128] } },
    "FP8 of format E5M2",
  ],
])("%s quantisation is refused by name, with what to use", async (_, fields, message) => {
  const config = { ...tinyConfig, ...fields }
  const got = await refusal(() => openFiles(modelFiles(tinyTensors(), 1, config)))
  expect(got.message).toContain(message)
  expect(got.message).toContain("use the BF16 or FP8 checkpoint, or a GGUF file")
  expect(got.code).toBe("unsupported")
})

// ---- the file system

test("a path that does not exist is not found", async () => {
  const { code } = await refusal(() => openCheckpoint(join(testFolder(), "nothing")))
  expect(code).toBe("not-found")
})

test.runIf(process.platform !== "win32")(
  "a named pipe or a folder in a file's place is refused at once",
  async () => {
    const folder = writeFiles(testFolder(), without("config.json")(modelFiles(tinyTensors())))
    execFileSync("mkfifo", [join(folder, "config.json")])
    expect((await refusal(() => openCheckpoint(folder))).message).toContain("config.json is not a file")
    expect((await refusal(() => openCheckpoint(join(folder, "config.json")))).code).toBe("bad-file")
    rmSync(join(folder, "config.json"))
    mkdirSync(join(folder, "config.json"))
    expect((await refusal(() => openCheckpoint(folder))).message).toContain("config.json is not a file")
  },
)

test("a tokenizer folder without a tokenizer is not found", async () => {
  const model = writeFiles(testFolder(), modelFiles(tinyTensors()))
  const { code, message } = await refusal(() => openCheckpoint(model, { tokenizer: testFolder() }))
  expect([code, message]).toEqual(["not-found", expect.stringContaining("has no tokenizer.json")])
})

test("a tokenizer file that claims 100 GB is refused before it is read", async () => {
  const folder = writeFiles(testFolder(), modelFiles(tinyTensors()))
  truncateSync(join(folder, "tokenizer.json"), 100e9)
  const { code, message } = await refusal(() => openCheckpoint(folder))
  expect([code, message]).toEqual(["bad-file", expect.stringContaining("has 100,000,000,000 bytes")])
})

test.runIf(process.platform !== "win32").each(["config.json", "model.safetensors"])(
  "a %s that may not be read is a matter of permission",
  async (name) => {
    const folder = writeFiles(testFolder(), modelFiles(tinyTensors()))
    chmodSync(folder, 0o755)
    await unprivileged(() => openCheckpoint(folder))
    chmodSync(join(folder, name), 0o000)
    const { code, message } = await refusal(() => unprivileged(() => openCheckpoint(folder)))
    expect(code).toBe("permission")
    expect(message).toBe(`no permission to read ${join(folder, name)}: check its owner and mode`)
  },
)

test.runIf(process.platform !== "win32")(
  "a folder that may not be listed is a matter of permission",
  async () => {
    const folder = writeFiles(testFolder(), modelFiles(tinyTensors()))
    chmodSync(folder, 0o000)
    const { code } = await refusal(() => unprivileged(() => openCheckpoint(folder)))
    expect(code).toBe("permission")
  },
)
