import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { testFolder } from "../../test/checkpoint-files.ts"
import { refusal } from "../../test/refusal.ts"
import { sampleCheckpoint } from "../../test/sample-checkpoint.ts"
import { pack } from "./pack.ts"
import type { Quant } from "./pack-plan.ts"
import { openPacked } from "./packed.ts"
import type { PackedModel } from "./packed.ts"
import type { Checkpoint, SourceType } from "./source.ts"
import { verify } from "./verify.ts"
import type { TensorReport } from "./verify.ts"

async function packedSample(type: SourceType, quant: Quant = "auto") {
  const folder = testFolder()
  const { checkpoint, specs } = sampleCheckpoint(folder, { type })
  const path = join(folder, "model.a3b")
  await pack(checkpoint, specs, path, { quant })
  return { checkpoint, model: openPacked(path) }
}

async function reports(model: PackedModel, source?: Checkpoint): Promise<Map<string, TensorReport>> {
  const all = new Map<string, TensorReport>()
  for await (const report of verify(model, source)) all.set(report.name, report)
  return all
}

/** Changes one byte of a file. */
function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] ^= 0x55
  writeFileSync(path, bytes)
}

const bad = (all: Map<string, TensorReport>) =>
  [...all.values()].filter(({ verdict }) => verdict === "bad").map(({ name }) => name)

test("a whole file is good, tensor by tensor in the order of the file", async () => {
  const { checkpoint, model } = await packedSample("Q4_0")
  const all = await reports(model, checkpoint)
  expect([...all.keys()]).toEqual([...model.tensors.keys()])
  expect(bad(all)).toEqual([])
  expect(all.get("matrix")).toEqual({
    name: "matrix",
    source: "Q4_0",
    format: "q4_0",
    exact: true,
    hash: "same",
    maxError: 0,
    relativeRms: 0,
    verdict: "good",
  })
})

test("errors of a quantised tensor are those of its values", async () => {
  const { checkpoint, model } = await packedSample("F32", "q8_0")
  const report = (await reports(model, checkpoint)).get("matrix")!
  // Normal values of deviation 0.02: steps of about 0.05 / 127, errors evenly spread over one.
  expect(report.relativeRms).toBeGreaterThan(0.004)
  expect(report.relativeRms).toBeLessThan(0.006)
  expect(report.maxError).toBeGreaterThan(5e-5)
  expect(report.maxError).toBeLessThan(0.1 / 127)
  expect(report).toMatchObject({ exact: false, verdict: "good" })
})

test("a damaged packed tensor is bad although its source is the same", async () => {
  const { checkpoint, model } = await packedSample("Q8_0")
  flip(model.path, model.tensors.get("matrix")!.offset + 100)
  const all = await reports(model, checkpoint)
  expect(bad(all)).toEqual(["matrix"])
  expect(all.get("matrix")).toMatchObject({ hash: "same" })
  expect(all.get("matrix")!.maxError).toBeGreaterThan(0)
})

test("a changed source is told by its hash", async () => {
  const { checkpoint, model } = await packedSample("BF16")
  const { path, offset } = checkpoint.tensors.get("experts")!.parts[2]
  flip(path, offset + 10)
  const all = await reports(model, checkpoint)
  expect(bad(all)).toEqual(["experts"])
  expect(all.get("experts")!.hash).toBe("differs")
})

test("without a source the values are checked to be numbers", async () => {
  const { model } = await packedSample("BF16", "keep")
  const before = await reports(model)
  expect(bad(before)).toEqual([])
  expect(before.get("norm")).toEqual({
    name: "norm",
    source: "BF16",
    format: "f32",
    exact: true,
    hash: "no source",
    verdict: "good",
  })
  const bytes = readFileSync(model.path)
  bytes.writeUInt16LE(0x7fc0, model.tensors.get("lm_head.weight")!.offset + 6)
  writeFileSync(model.path, bytes)
  expect(bad(await reports(model))).toEqual(["lm_head.weight"])
})

test("a checkpoint of another kind is refused by the tensor that differs", async () => {
  const { model } = await packedSample("BF16")
  const { checkpoint } = await packedSample("F16")
  const { message } = await refusal(() => reports(model, checkpoint))
  expect(message).toMatch(/has embedding as F16 \[40,256\], .* was packed from BF16 \[40,256\]/)
})

test("an abort ends verifying", async () => {
  const { checkpoint, model } = await packedSample("Q4_0")
  const all = verify(model, checkpoint, { signal: AbortSignal.abort() })
  expect((await refusal(() => all.next())).code).toBe("cancelled")
})
