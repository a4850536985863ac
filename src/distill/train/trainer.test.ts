import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { testFolder } from "../../../test/checkpoint-files.ts"
import { randomValues, relativeError, tinyBatch, tinyConfig } from "../../../test/tiny-training.ts"
import { ReferenceBackend } from "../../backend/reference/reference.ts"
import { parseConfig, type ModelConfig } from "../../model/config.ts"
import { Qwen3Moe } from "../../model/qwen3moe.ts"
import { tensorSpecs } from "../../model/tensors.ts"
import { openCheckpoint } from "../../weights/checkpoint.ts"
import { withFile } from "../../weights/file.ts"
import { readFolder } from "../../weights/folder.ts"
import { float8Values } from "../../weights/float8.ts"
import { fromBfloat, toBfloat } from "../../weights/half.ts"
import { pack } from "../../weights/pack.ts"
import { openPacked } from "../../weights/packed.ts"
import { parseSafetensors } from "../../weights/safetensors.ts"
import type { TrainBatch } from "./batch.ts"
import { NativeOps } from "./native.ts"
import { Trainer } from "./trainer.ts"

const ops = new NativeOps({ threads: 2 })
const options = { learningRate: 3e-3 }
const batches = [1, 2, 3, 4].map((seed) => tinyBatch([12, 5, 30], tinyConfig.vocab, seed))
const teacherLogits = randomValues(ops, 47 * tinyConfig.vocab, 5) as Float32Array

/** Steps 3 and 4, the last towards a teacher. */
function goOn(trainer: Trainer) {
  return [trainer.step(batches[2], options), trainer.distil(batches[3], teacherLogits, 0.5, options)]
}

describe("saving", () => {
  test("an interrupted run equals an uninterrupted one bit by bit", () => {
    const trainer = Trainer.create(tinyConfig, { seed: 7, ops, rules: { decay: 0.2 } })
    for (const batch of batches.slice(0, 2)) trainer.step(batch, options)
    const folder = testFolder()
    trainer.save(folder)
    const resumed = Trainer.load(folder, { ops: new NativeOps({ threads: 1 }) })
    expect(resumed.rules).toEqual(trainer.rules)
    expect(goOn(resumed)).toEqual(goOn(trainer))
    expect(resumed.steps).toBe(4)
    for (const part of ["values", "first", "second"] as const)
      expect(resumed.parameters[part]).toEqual(trainer.parameters[part])
  })

  test("what an interrupted save left behind is not loaded, and goes with the next save", () => {
    const trainer = Trainer.create(tinyConfig, { seed: 7, ops })
    const folder = testFolder()
    trainer.step(batches[0], options)
    trainer.save(folder)
    const saved = Float32Array.from(trainer.parameters.values)
    writeFileSync(join(folder, "trainer-2.safetensors"), "cut")
    writeFileSync(join(folder, "trainer.json.part"), "{")
    expect(Trainer.load(folder, { ops }).parameters.values).toEqual(saved)
    trainer.step(batches[1], options)
    trainer.step(batches[2], options)
    trainer.save(folder)
    expect(readdirSync(folder).filter((name) => name.startsWith("trainer-"))).toEqual([
      "trainer-3.safetensors",
    ])
    expect(Trainer.load(folder, { ops }).steps).toBe(3)
  })

  test("a state file of another size is refused with what to do", () => {
    const trainer = Trainer.create(tinyConfig, { seed: 7, ops })
    const folder = testFolder()
    trainer.save(folder)
    const json = readFileSync(join(folder, "trainer.json"), "utf8")
    writeFileSync(join(folder, "trainer.json"), json.replace('"vocab": 21', '"vocab": 22'))
    expect(() => Trainer.load(folder, { ops })).toThrow(/bytes of values, wanted .*: load it with/)
  })
})

test("a gradient that is not finite ends training with a word on what to do", () => {
  const trainer = Trainer.create(tinyConfig, { seed: 7, ops })
  trainer.parameters.values[0] = Infinity
  const batch = { ...batches[0], ids: batches[0].ids.fill(0) }
  expect(() => trainer.step(batch, options)).toThrow(/training diverged in step 1.*lower the learning rate/)
})

test("a model that grew computes what the smaller one does, and its new layers learn", () => {
  const smaller = Trainer.create(tinyConfig, { seed: 7, ops })
  smaller.step(batches[0], options)
  const config = { ...tinyConfig, layers: tinyConfig.layers + 2 }
  const grown = Trainer.grow(smaller, config, { seed: 8, ops })
  expect(grown.logits(batches[1])).toEqual(smaller.logits(batches[1]))
  const name = `model.layers.${tinyConfig.layers}.self_attn.o_proj.weight`
  expect(Math.max(...grown.parameters.value(name).map(Math.abs))).toBe(0)
  grown.step(batches[1], options)
  expect(Math.max(...grown.parameters.value(name).map(Math.abs))).toBeGreaterThan(0)
  expect(() => Trainer.grow(grown, tinyConfig, { seed: 8, ops })).toThrow(/fewer layers/)
})

/** Logits of the inference engine's reference backend for one sequence. */
async function engineLogits(folder: string, ids: Int32Array): Promise<Float32Array> {
  const checkpoint = await openCheckpoint(folder)
  const path = join(testFolder(), "packed")
  await pack(checkpoint, tensorSpecs(parseConfig(checkpoint.config)), path, { quant: "keep" })
  const model = Qwen3Moe.load(new ReferenceBackend(), openPacked(path))
  model.kvCache(1)
  const places = Int32Array.from(ids.keys())
  const sequences = [
    { firstRow: 0, numTokens: ids.length, contextTokens: ids.length, pages: Int32Array.of(0) },
  ]
  const logits = model.forward({ ids, positions: places, slots: places, sequences, logitRows: places })
  await model.backend.submit()
  const values = model.backend.read(logits)
  model.backend.free()
  return values
}

/** A trainer after some steps whose parameters are all BF16. */
function rounded(config: ModelConfig): Trainer {
  const trainer = Trainer.create(config, { seed: 11, ops })
  for (const batch of batches) trainer.step(batch, options)
  const { values } = trainer.parameters
  for (const [i, value] of values.entries()) values[i] = fromBfloat(toBfloat(value))
  return trainer
}

describe("exporting", () => {
  const ids = tinyBatch([40], tinyConfig.vocab, 9).ids
  const starts = Int32Array.of(0, 40)

  test.each([
    ["tied", tinyConfig],
    ["untied", { ...tinyConfig, tied: false }],
    ["with plain weights of experts", { ...tinyConfig, normaliseTopK: false }],
  ])("the inference engine computes the trainer's logits: %s", async (_, config) => {
    const trainer = rounded(config)
    const folder = testFolder()
    trainer.export(folder, { fields: { eos_token_id: 3 } })
    const json = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"))
    expect(parseConfig(json)).toEqual(config)
    expect(json.eos_token_id).toBe(3)
    expect(relativeError(await engineLogits(folder, ids), trainer.logits({ ids, starts }))).toBeLessThan(1e-5)
  })

  test("an FP8 folder holds every matrix to the nearest E4M3 of its block's scale", async () => {
    const config = { ...tinyConfig, hidden: 160 }
    const trainer = rounded(config)
    const folder = testFolder()
    trainer.export(folder, { type: "fp8" })
    const stored = storedValues(folder)
    expect(stored.size).toBe(trainer.parameters.specs.length - 2 * 3 + 2 * 3 * config.experts)
    for (const spec of trainer.parameters.specs) {
      const values = trainer.parameters.value(spec.name)
      const parts = spec.shape.length === 3 ? config.experts : 1
      for (let part = 0; part < parts; part++) {
        const one = values.subarray((part * values.length) / parts, ((part + 1) * values.length) / parts)
        const got = stored.get(parts === 1 ? spec.name : placeOf(spec.name, part))!
        for (const [i, { value, step }] of got.entries()) {
          expect(Math.abs(value - one[i])).toBeLessThanOrEqual((step / 2) * 1.0001)
          one[i] = fromBfloat(toBfloat(value)) // as the packed file keeps it
        }
      }
    }
    expect(relativeError(await engineLogits(folder, ids), trainer.logits({ ids, starts }))).toBeLessThan(1e-5)
  })
})

describe("importing", () => {
  test.each(["bf16", "fp8"] as const)("takes every value as the folder has it: %s", (type) => {
    const folder = testFolder()
    rounded(tinyConfig).export(folder, { type })
    const { config, parameters, steps } = Trainer.import(readFolder(folder), { ops })
    expect([config, steps]).toEqual([tinyConfig, 0])
    const stored = storedValues(folder)
    for (const { name, shape } of parameters.specs) {
      const places = shape.length < 3 ? [name] : [...Array(shape[0]).keys()].map((i) => placeOf(name, i))
      const wanted = places.flatMap((place) => stored.get(place)!.map(({ value }) => value))
      expect(parameters.value(name)).toEqual(Float32Array.from(wanted))
    }
  })

  test("refuses a folder whose tensors are not what its config says", () => {
    const folder = testFolder()
    rounded(tinyConfig).export(folder, { fields: { moe_intermediate_size: 2 * tinyConfig.expertHidden } })
    const wrong = () => Trainer.import(readFolder(folder), { ops })
    expect(wrong).toThrow(/gate_proj.weight of the shape \[4, 16, 16\], wanted \[4, 32, 16\]: name a model/)
  })
})

const placeOf = (name: string, expert: number) => name.replace("experts.", `experts.${expert}.`)

/** Every tensor of a folder as its numbers, each with the distance between the formats' numbers there. */
function storedValues(folder: string): Map<string, { value: number; step: number }[]> {
  return withFile(join(folder, "model.safetensors"), (source) => {
    const entries = parseSafetensors(source)
    const read = (wanted: string) => {
      const { offset, bytes } = entries.find(({ name }) => name === wanted)!
      return source.read(offset, bytes).slice()
    }
    const decoded = entries.filter(({ name }) => !name.endsWith("_scale_inv"))
    return new Map(
      decoded.map(({ name, dtype, shape }) => {
        const bytes = read(name)
        if (dtype === "BF16")
          return [
            name,
            Array.from(new Uint16Array(bytes.buffer), (bits) => ({ value: fromBfloat(bits), step: 0 })),
          ]
        const scales = new Float32Array(read(`${name}_scale_inv`).buffer)
        const [rows, columns] = shape
        expect(scales.length).toBe(Math.ceil(rows / 128) * Math.ceil(columns / 128))
        const scaleOf = (i: number) =>
          scales[Math.floor(i / columns / 128) * Math.ceil(columns / 128) + Math.floor((i % columns) / 128)]
        const numbers = Array.from(bytes, (bits, i) => ({
          value: Math.fround(float8Values[bits] * scaleOf(i)),
          step: scaleOf(i) * 2 ** (Math.max((bits & 0x7f) >> 3, 1) - 10),
        }))
        return [name, numbers]
      }),
    )
  })
}

/** Five random symbols, a mark, and the same five again, which shall be foretold. */
function copyBatch(seed: number): TrainBatch {
  const length = 11
  const sequences = 64
  const { ids } = tinyBatch([length * sequences], 12, seed)
  const place = (row: number) => row % length
  for (let row = 0; row < ids.length; row++)
    if (place(row) === 5) ids[row] = 12
    else if (place(row) > 5) ids[row] = ids[row - 6]
  return {
    ids,
    targets: ids.map((_, row) => (place(row) >= 5 && place(row) < 10 ? ids[row + 1] : -1)),
    weights: new Float32Array(ids.length).fill(1),
    starts: Int32Array.from({ length: sequences + 1 }, (_, i) => i * length),
  }
}

test.each(["f32", "fastest"] as const)("a tiny model learns to copy by %s products", (products) => {
  const config = { ...tinyConfig, hidden: 64, expertHidden: 64, vocab: 16, kvHeads: 1, ropeTheta: 1000 }
  const ops = new NativeOps({ threads: 2, products })
  const trainer = Trainer.create(config, { seed: 1, ops })
  const losses = Array.from({ length: 100 }, (_, i) => trainer.step(copyBatch(i), options).loss)
  expect(losses[0]).toBeGreaterThan(2)
  // 0.016 as it is; 0.66 without the gradient of the keys, 0.79 of the queries, 0.13 of the embedding's rows.
  expect(Math.max(...losses.slice(-10))).toBeLessThan(0.06)
})
