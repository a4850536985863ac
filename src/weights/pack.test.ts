import {
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { testFolder } from "../../test/checkpoint-files.ts"
import { refusal } from "../../test/refusal.ts"
import { sampleCheckpoint } from "../../test/sample-checkpoint.ts"
import type { Sample } from "../../test/sample-checkpoint.ts"
import { parseConfig } from "../model/config.ts"
import { tensorSpecs } from "../model/tensors.ts"
import { openCheckpoint } from "./checkpoint.ts"
import { Packer, pack } from "./pack.ts"
import type { PackOptions } from "./pack.ts"
import type { PackProgress } from "./pack-meter.ts"
import { openPacked } from "./packed.ts"
import type { PackedModel } from "./packed.ts"
import { verify } from "./verify.ts"
import type { TensorReport } from "./verify.ts"

const out = (folder: string) => join(folder, "model.a3b")

async function packed(
  { checkpoint, specs }: Sample,
  path: string,
  options?: PackOptions,
): Promise<PackedModel> {
  await pack(checkpoint, specs, path, options)
  return openPacked(path)
}

async function reports(model: PackedModel, sample: Pick<Sample, "checkpoint">): Promise<TensorReport[]> {
  const all: TensorReport[] = []
  for await (const report of verify(model, sample.checkpoint)) all.push(report)
  return all
}

const formatsOf = (model: PackedModel) =>
  Object.fromEntries([...model.tensors.values()].map(({ name, format }) => [name, format]))

// ---- what becomes of each source type

describe.each(["Q4_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K"] as const)("%s", (type) => {
  test("stays what it is, bit for bit, and takes no more bytes", async () => {
    const folder = testFolder()
    const sample = sampleCheckpoint(folder, { type, rows: 48, columns: 512 })
    const model = await packed(sample, out(folder))
    for (const report of await reports(model, sample))
      expect(report).toMatchObject({
        exact: true,
        hash: "same",
        maxError: 0,
        relativeRms: 0,
        verdict: "good",
      })
    for (const [name, { format, bytes }] of model.tensors) {
      const source = sample.checkpoint.tensors.get(name)!
      if (format === type.toLowerCase())
        expect(bytes).toBeLessThanOrEqual(source.parts.reduce((sum, part) => sum + part.bytes, 0))
      else expect(format).toBe("f32")
    }
  })
})

test.each<[PackOptions["quant"], string, string, string]>([
  ["auto", "q4_k", "q4_k", "q6_k"],
  ["q4_k", "q4_k", "q4_k", "q4_k"],
  ["q8_0", "q8_0", "q8_0", "q8_0"],
  ["keep", "bf16", "bf16", "bf16"],
])(
  "with quant %s BF16 matrices become %s, the embedding %s, the head %s",
  async (quant, matrix, embedding, head) => {
    const folder = testFolder()
    const model = await packed(sampleCheckpoint(folder, { type: "BF16" }), out(folder), { quant })
    expect(formatsOf(model)).toEqual({
      embedding,
      norm: "f32",
      matrix,
      router: "bf16",
      experts: matrix,
      "lm_head.weight": head,
    })
    expect(model.quant).toBe(quant)
  },
)

test("columns that are no multiple of 256 become q8_0", async () => {
  const folder = testFolder()
  const model = await packed(sampleCheckpoint(folder, { type: "F16", columns: 320 }), out(folder))
  expect(formatsOf(model)).toMatchObject({ embedding: "q8_0", matrix: "q8_0", "lm_head.weight": "q8_0" })
})

test.each(["F32", "F16", "BF16", "F8_E4M3"] as const)(
  "%s is quantised within the formats' errors and kept without any",
  async (type) => {
    const folder = testFolder()
    const sample = sampleCheckpoint(folder, { type, rows: 136, columns: 512 })
    const limits = {
      q4_k: 0.085,
      q6_k: 0.02,
      q8_0: 0.008,
      f32: 0,
      f16: 0,
      bf16: type === "F8_E4M3" ? 0.003 : 0,
    }
    for (const quant of ["auto", "q8_0", "keep"] as const) {
      for (const report of await reports(await packed(sample, out(folder), { quant }), sample)) {
        expect(report).toMatchObject({ hash: "same", verdict: "good" })
        expect(report.exact).toBe(report.maxError === 0)
        expect(report.relativeRms).toBeLessThanOrEqual(limits[report.format as keyof typeof limits])
      }
    }
  },
)

test("the packed file carries the checkpoint's files and config", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "Q8_0" })
  const model = await packed(sample, out(folder))
  expect(new Map(model.files)).toEqual(sample.checkpoint.files)
  expect(model.config).toEqual(sample.checkpoint.config)
  expect(model.source).toBe(folder)
})

test("every tensor begins at a multiple of 64", async () => {
  const folder = testFolder()
  const model = await packed(sampleCheckpoint(folder, { type: "Q6_K", rows: 17 }), out(folder))
  expect([...model.tensors.values()].map(({ offset }) => offset % 64)).toEqual([0, 0, 0, 0, 0, 0])
})

const parity = new URL("../../../shared/data/parity/", import.meta.url)
describe.runIf(existsSync(parity))("files of another program", () => {
  test.each(["q4_0", "q8_0", "q4_k_m"])("parity-%s.gguf is imported without any error", async (name) => {
    const checkpoint = await openCheckpoint(new URL(`parity-${name}.gguf`, parity).pathname)
    const specs = tensorSpecs(parseConfig(checkpoint.config))
    const all = await reports(await packed({ checkpoint, specs }, out(testFolder())), { checkpoint })
    expect(all).toHaveLength(specs.length)
    for (const report of all) expect(report).toMatchObject({ exact: true, maxError: 0, verdict: "good" })
  })
})

test("a stack that lies in one part is packed and hashed as one in many", async () => {
  const folder = testFolder()
  const { checkpoint, specs } = sampleCheckpoint(folder, { type: "BF16" })
  const experts = checkpoint.tensors.get("experts")!
  const [first] = experts.parts
  const stack = Buffer.concat(
    experts.parts.map(({ path, offset, bytes }) => readFileSync(path).subarray(offset, offset + bytes)),
  )
  const part = { ...first, path: join(folder, "stack.bin"), offset: 0, bytes: stack.length }
  writeFileSync(part.path, stack)
  const tensors = new Map(checkpoint.tensors).set("experts", { ...experts, parts: [part] })
  const many = await packed({ checkpoint, specs }, out(folder), { source: "x" })
  const one = await packed({ checkpoint: { ...checkpoint, tensors }, specs }, join(folder, "one.a3b"), {
    source: "x",
  })
  expect(readFileSync(one.path).equals(readFileSync(many.path))).toBe(true)
})

// ---- stops and continuations

const leftovers = (folder: string) => readdirSync(folder).filter((name) => name.startsWith("model.a3b"))

test("files may come one after another and go when they are no longer needed", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "F8_E4M3", shards: 3, rows: 130 })
  await pack(sample.checkpoint, sample.specs, join(folder, "whole.a3b"), { source: "x", identity: "1" })
  const options = { source: "x", identity: "1" }
  let there: string[] = []
  let first = Packer.open(sample.checkpoint, sample.specs, out(folder), options)
  for (const path of first.sources) {
    there.push(path)
    await first.packFrom(there)
    const done = there.filter((file) => !first.needs(file))
    there = there.filter((file) => first.needs(file))
    for (const file of done) rmSync(file)
    // As if the process had ended here.
    first.close()
    first = Packer.open(sample.checkpoint, sample.specs, out(folder), options)
  }
  expect(there).toEqual([])
  first.finish()
  first.close()
  expect(readFileSync(out(folder)).equals(readFileSync(join(folder, "whole.a3b")))).toBe(true)
  expect(leftovers(folder)).toEqual(["model.a3b"])
})

test("FP8 weights wait for scales that lie in another file", async () => {
  const folder = testFolder()
  const { checkpoint, specs } = sampleCheckpoint(folder, { type: "F8_E4M3", shards: 2 })
  const packer = Packer.open(checkpoint, specs, out(folder))
  const [weights] = checkpoint.tensors.get("matrix")!.parts
  const [scales] = checkpoint.tensors.get("matrix")!.scales!.parts
  expect(weights.path).not.toBe(scales.path)
  await packer.packFrom([weights.path])
  expect(packer.needs(weights.path)).toBe(true)
  await packer.packFrom([weights.path, scales.path])
  expect(packer.needs(weights.path)).toBe(false)
  packer.close()
})

/** Packs until `pieces` pieces are done, then aborts. */
async function packSome({ checkpoint, specs }: Sample, path: string, shards: number, options?: PackOptions) {
  const packer = Packer.open(checkpoint, specs, path, options)
  await packer.packFrom(packer.sources.slice(0, shards))
  packer.close()
}

test("a changed source is packed from the start", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "BF16", shards: 2 })
  await packSome(sample, out(folder), 1)
  const changed = sampleCheckpoint(folder, { type: "BF16", shards: 2, seed: 2 })
  const model = await packed(changed, out(folder))
  for (const report of await reports(model, changed)) expect(report.hash).toBe("same")
})

test("another choice of quant is packed from the start", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "BF16", shards: 2 })
  await packSome(sample, out(folder), 1, { quant: "keep" })
  const model = await packed(sample, out(folder), { quant: "q8_0" })
  for (const report of await reports(model, sample)) expect(report.verdict).toBe("good")
})

test("a journal that was cut in the middle of a line is read up to there", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "BF16", shards: 2 })
  await packSome(sample, out(folder), 1)
  const journal = `${out(folder)}.part.journal`
  truncateSync(journal, statSync(journal).size - 9)
  const model = await packed(sample, out(folder))
  for (const report of await reports(model, sample)) expect(report.hash).toBe("same")
})

test("an abort stops packing and leaves what the next run goes on with", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "BF16", rows: 512, experts: 8 })
  const abort = new AbortController()
  const stop = { signal: abort.signal, onProgress: () => abort.abort() }
  expect((await refusal(() => packed(sample, out(folder), stop))).code).toBe("cancelled")
  expect(leftovers(folder)).toEqual(["model.a3b.part", "model.a3b.part.journal"])
  await packed(sample, out(folder))
  expect(leftovers(folder)).toEqual(["model.a3b"])
})

test("two runs do not write one file", async () => {
  const folder = testFolder()
  const { checkpoint, specs } = sampleCheckpoint(folder, { type: "Q4_0" })
  const packer = Packer.open(checkpoint, specs, out(folder))
  const { message } = await refusal(() => Packer.open(checkpoint, specs, out(folder)))
  expect(message).toContain(`process ${process.pid} is writing this file`)
  packer.close()
})

test("the lock of a process that is gone is taken over", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "Q4_0" })
  for (const gone of ["4194999", String(process.pid), ""]) {
    writeFileSync(`${out(folder)}.part.lock`, gone)
    await packed(sample, out(folder))
  }
  expect(leftovers(folder)).toEqual(["model.a3b"])
})

// ---- progress and bad input

test("progress counts bytes, tensors and shards up to the whole", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "BF16", shards: 3 })
  const seen: PackProgress[] = []
  await packed(sample, out(folder), { onProgress: (progress) => seen.push(progress) })
  const bytes = [...sample.checkpoint.tensors.values()].flatMap(({ parts }) =>
    parts.map((part) => part.bytes),
  )
  const total = bytes.reduce((sum, part) => sum + part, 0)
  expect(seen.at(-1)).toMatchObject({
    tensorsDone: 6,
    tensorsTotal: 6,
    shardsDone: 3,
    shardsTotal: 3,
    bytesDone: total,
    bytesTotal: total,
    secondsLeft: 0,
  })
  expect(seen.map(({ shardsDone }) => shardsDone)).toEqual(expect.arrayContaining([1, 2, 3]))
  for (const [i, { bytesDone }] of seen.slice(1).entries())
    expect(bytesDone).toBeGreaterThanOrEqual(seen[i].bytesDone)
})

test.each([NaN, Infinity, -1e30])("%s among the weights is refused by the tensor's name", async (bad) => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "F32" })
  const [{ path, offset }] = sample.checkpoint.tensors.get("matrix")!.parts
  const bytes = readFileSync(path)
  bytes.writeFloatLE(bad, offset + 400)
  writeFileSync(path, bytes)
  const { code, message } = await refusal(() => packed(sample, out(folder)))
  expect(code).toBe("bad-file")
  expect(message).toContain("in tensor matrix")
  expect(existsSync(out(folder))).toBe(false)
})

test("a source that is cut while it is packed is refused", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "Q8_0" })
  const [{ path, offset }] = sample.checkpoint.tensors.get("lm_head.weight")!.parts
  truncateSync(path, offset + 100)
  expect((await refusal(() => packed(sample, out(folder)))).message).toContain("ended early")
  expect(existsSync(out(folder))).toBe(false)
})

test("an older packed file stays as it was when packing anew fails", async () => {
  const folder = testFolder()
  const sample = sampleCheckpoint(folder, { type: "Q8_0" })
  await packed(sample, out(folder))
  copyFileSync(out(folder), join(folder, "before"))
  truncateSync(sample.checkpoint.tensors.get("matrix")!.parts[0].path, 1000)
  await refusal(() => packed(sample, out(folder)))
  expect(readFileSync(out(folder)).equals(readFileSync(join(folder, "before")))).toBe(true)
})
