import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { beforeAll, describe, expect, test } from "vitest"
import {
  concat,
  fuseExperts,
  modelFiles,
  safetensors,
  testFolder,
  tinySpecs,
  tinyTensors,
  tinyTokenizer,
  writeFiles,
  type TestTensors,
} from "../../test/checkpoint-files.ts"
import { parseConfig } from "../model/config.ts"
import { tensorSpecs } from "../model/tensors.ts"
import { checkTensors } from "./check.ts"
import { openCheckpoint } from "./checkpoint.ts"
import { parseIndex } from "./folder.ts"
import { canonicalName } from "./names.ts"
import { typeBytes, type Checkpoint, type SourceTensor } from "./source.ts"
import type { TensorSpec } from "./spec.ts"

const up = "model.layers.1.mlp.experts.up_proj.weight"

/** A tensor's bytes, as its parts say. */
function bytesOf({ parts }: SourceTensor): Uint8Array {
  return concat(
    ...parts.map(({ path, offset, bytes }) => readFileSync(path).subarray(offset, offset + bytes)),
  )
}

function open(files: Record<string, Uint8Array>): Promise<Checkpoint> {
  return openCheckpoint(writeFiles(testFolder(), files))
}

function textOf(checkpoint: Checkpoint, name: string): string {
  return new TextDecoder().decode(checkpoint.files.get(name))
}

/** Checks that every tensor holds exactly the bytes that were stored for it. */
function expectStored(checkpoint: Checkpoint, stored: TestTensors): void {
  for (const { name, shape } of tinySpecs) {
    const tensor = checkpoint.tensors.get(name)!
    expect(tensor.shape).toEqual(shape)
    const perExpert = Array.from(
      { length: 3 },
      (_, expert) => stored[name.replace(".experts.", `.experts.${expert}.`)],
    )
    const wanted = shape.length === 3 ? concat(...perExpert.map(({ bytes }) => bytes)) : stored[name].bytes
    expect(bytesOf(tensor), name).toEqual(wanted)
  }
}

test.each([1, 2, 5])(
  "a folder of %i shards gives every tensor whole, experts stacked in order",
  async (shards) => {
    const stored = tinyTensors()
    const checkpoint = await open(modelFiles(stored, shards))
    expect(checkpoint.kind).toBe("folder")
    expect([...checkpoint.tensors.keys()].sort()).toEqual(tinySpecs.map(({ name }) => name).sort())
    expectStored(checkpoint, stored)
    checkTensors(checkpoint, tinySpecs)
    const total = Object.values(stored).reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect(checkpoint.bytes).toBe(total)
  },
)

test("fused 3-D experts give the same tensors as experts stored one by one", async () => {
  const stored = tinyTensors()
  const checkpoint = await open(modelFiles(fuseExperts(stored), 2))
  expectStored(checkpoint, stored)
  checkTensors(checkpoint, tinySpecs)
})

test("FP8 weights carry their scales, stacked like the experts", async () => {
  const stored = tinyTensors()
  for (const [name, { shape }] of Object.entries(stored)) {
    if (!name.includes("_proj")) continue
    stored[name] = { dtype: "F8_E4M3", shape, bytes: new Uint8Array(shape[0] * shape[1]).fill(0x38) }
    stored[`${name}_scale_inv`] = { dtype: "F32", shape: [1, 1], bytes: new Uint8Array(4) }
  }
  const scaleOf = (expert: number) =>
    stored[`model.layers.1.mlp.experts.${expert}.up_proj.weight_scale_inv`].bytes
  for (const expert of [0, 1, 2]) scaleOf(expert).fill(expert + 1)
  const files = modelFiles(stored)
  const quantisation = {
    quant_method: "fp8",
    fmt: "e4m3",
    weight_block_size: [128, 128],
    activation_scheme: "dynamic",
  }
  const config = {
    ...JSON.parse(new TextDecoder().decode(files["config.json"])),
    quantization_config: quantisation,
  }
  const checkpoint = await open({ ...files, "config.json": new TextEncoder().encode(JSON.stringify(config)) })
  checkTensors(checkpoint, tinySpecs)
  const tensor = checkpoint.tensors.get(up)!
  expect(tensor.type).toBe("F8_E4M3")
  expect(tensor.scales).toMatchObject({ type: "F32", shape: [3, 1, 1] })
  expect(bytesOf(tensor.scales!)).toEqual(concat(...[0, 1, 2].map(scaleOf)))
  expect(checkpoint.bytes).toBe(Object.values(stored).reduce((sum, { bytes }) => sum + bytes.length, 0))
})

test("the small files come along, the template out of tokenizer_config.json where it is kept there", async () => {
  const checkpoint = await open(modelFiles(tinyTensors()))
  expect(textOf(checkpoint, "chat_template.jinja")).toBe("{{ messages }}")
  expect(checkpoint.generationConfig).toEqual({ eos_token_id: [15, 14], temperature: 0.6 })
  expect(JSON.parse(textOf(checkpoint, "tokenizer.json"))).toEqual(tinyTokenizer["tokenizer.json"])
  const named = [
    { name: "tool_use", template: "tools" },
    { name: "default", template: "plain" },
  ]
  const files = modelFiles(tinyTensors())
  const listed = new TextEncoder().encode(JSON.stringify({ chat_template: named }))
  expect(textOf(await open({ ...files, "tokenizer_config.json": listed }), "chat_template.jinja")).toBe(
    "plain",
  )
  const own = new TextEncoder().encode("own file")
  expect(textOf(await open({ ...files, "chat_template.jinja": own }), "chat_template.jinja")).toBe("own file")
})

test("another folder's tokenizer takes the place of the checkpoint's own", async () => {
  const folder = writeFiles(testFolder(), {
    "tokenizer.json": new TextEncoder().encode("{}"),
    "generation_config.json": new TextEncoder().encode(`{"eos_token_id":3}`),
  })
  const model = writeFiles(testFolder(), modelFiles(tinyTensors()))
  const checkpoint = await openCheckpoint(model, { tokenizer: folder })
  expect(textOf(checkpoint, "tokenizer.json")).toBe("{}")
  expect(checkpoint.files.has("tokenizer_config.json")).toBe(false)
  expect(textOf(checkpoint, "chat_template.jinja")).toBe("{{ messages }}")
  expect(checkpoint.generationConfig).toEqual({ eos_token_id: 3 })
})

test("a tied checkpoint may hold its head a second time", async () => {
  const checkpoint = await open(modelFiles(tinyTensors()))
  checkTensors(
    checkpoint,
    tinySpecs.filter(({ name }) => name !== "lm_head.weight"),
  )
})

test("a single file is read without an index", async () => {
  const stored = tinyTensors()
  const files = modelFiles(stored)
  expect(Object.keys(files)).toContain("model.safetensors")
  expect(files["model.safetensors"]).toEqual(safetensors(stored))
  expectStored(await open(files), stored)
})

const configs = join(import.meta.dirname, "../../../shared/data/configs")

describe.runIf(existsSync(configs))("the published index of Qwen3-Coder-30B-A3B", () => {
  const read = (name: string) => readFileSync(join(configs, name))
  let bytes: Buffer
  let specs: TensorSpec[]
  // A suite's own body runs even where the suite does not.
  beforeAll(() => {
    bytes = gunzipSync(read("Qwen3-Coder-30B-A3B.safetensors.index.json.gz"))
    specs = tensorSpecs(parseConfig(JSON.parse(read("Qwen3-Coder-30B-A3B.config.json").toString())))
  })

  test("all 18,867 names map to the tensors that the config asks for, each expert once", () => {
    const index = parseIndex(bytes, "index")
    expect(index.size).toBe(18867)
    expect(new Set(index.values()).size).toBe(16)
    const experts = new Map<string, Set<number>>()
    for (const stored of index.keys()) {
      const { name, expert = 0, second } = canonicalName(stored)
      expect(second).toBeUndefined()
      experts.set(name, (experts.get(name) ?? new Set()).add(expert))
    }
    const wanted = specs.map(({ name, shape }) => [name, shape.length === 3 ? shape[0] : 1])
    expect([...experts].map(([name, { size }]) => [name, size]).sort()).toEqual(wanted.sort())
  })

  test("the config's shapes in BF16 add up to the index's total_size, 61,064,245,248", () => {
    const total = specs.reduce(
      (sum, { shape }) =>
        sum +
        typeBytes(
          "BF16",
          shape.reduce((all, size) => all * size),
        ),
      0,
    )
    expect(total).toBe(61_064_245_248)
    expect(JSON.parse(bytes.toString()).metadata.total_size).toBe(total)
  })
})
