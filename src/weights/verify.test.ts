import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
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
    packed: "same",
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

describe.each([
  { type: "BF16", exact: false },
  { type: "Q4_K", exact: true },
] as const)("one byte changed in q4_k that came from $type", ({ type, exact }) => {
  const nibbles = 16 * 2 * 64
  test.each([
    ["its nibbles", "matrix", 100],
    ["its groups' scales", "matrix", nibbles + 3],
    ["its blocks' scales", "matrix", nibbles + 16 * 12 + 1],
    ["the first expert", "experts", 7],
    ["the last expert's scales", "experts", 3 * 3 * 2304 + nibbles + 40],
    ["padding, which no value comes from", "experts", 2 * 2304 + 15 * 128],
  ])("is found in %s, with the source and without", async (_, name, at) => {
    const { checkpoint, model } = await packedSample(type)
    expect(model.tensors.get(name)).toMatchObject({ format: "q4_k", exact })
    flip(model.path, model.tensors.get(name)!.offset + at)
    for (const [source, hash] of [
      [checkpoint, "same"],
      [undefined, "no source"],
    ] as const) {
      const all = await reports(model, source)
      expect(bad(all)).toEqual([name])
      expect(all.get(name)).toMatchObject({ packed: "differs", hash, verdict: "bad" })
    }
  })
})

test("no byte of any tensor changes unseen", async () => {
  const { model } = await packedSample("BF16")
  const byte = fc
    .constantFrom(...model.tensors.values())
    .chain(({ name, offset, bytes }) =>
      fc.record({ name: fc.constant(name), at: fc.nat(bytes - 1).map((i) => offset + i) }),
    )
  await fc.assert(
    fc.asyncProperty(byte, async ({ name, at }) => {
      flip(model.path, at)
      expect(bad(await reports(model))).toEqual([name])
      flip(model.path, at)
    }),
    { numRuns: 50 },
  )
  expect(bad(await reports(model))).toEqual([])
})

test("a matrix of several chunks is hashed as it was packed", async () => {
  const folder = testFolder()
  const { checkpoint, specs } = sampleCheckpoint(folder, {
    type: "F32",
    columns: 1024,
    rows: 272,
    experts: 2,
  })
  const path = join(folder, "model.a3b")
  await pack(checkpoint, specs, path, { quant: "keep" })
  const model = openPacked(path)
  expect(bad(await reports(model))).toEqual([])
  flip(path, model.tensors.get("experts")!.offset + 272 * 1024 * 4 * 2 - 1)
  expect(bad(await reports(model))).toEqual(["experts"])
})

test("an exact tensor with another value than its source is bad although both hashes are right", async () => {
  const { checkpoint, model } = await packedSample("Q4_0")
  const tensor = model.tensors.get("matrix")!
  flip(model.path, tensor.offset + 100)
  const bytes = readFileSync(model.path).subarray(tensor.offset, tensor.offset + tensor.bytes)
  const packedHash = createHash("sha256").update(bytes).digest("hex")
  const tensors = new Map([["matrix", { ...tensor, packedHash }]])
  const report = (await reports({ ...model, tensors }, checkpoint)).get("matrix")!
  expect(report).toMatchObject({ packed: "same", hash: "same", verdict: "bad" })
  expect(report.maxError).toBeGreaterThan(0)
})

test("a changed source is told by its hash", async () => {
  const { checkpoint, model } = await packedSample("BF16")
  const { path, offset } = checkpoint.tensors.get("experts")!.parts[2]
  flip(path, offset + 10)
  const all = await reports(model, checkpoint)
  expect(bad(all)).toEqual(["experts"])
  expect(all.get("experts")).toMatchObject({ packed: "same", hash: "differs" })
})

test("without a source the packed bytes are checked", async () => {
  const { model } = await packedSample("BF16", "keep")
  const before = await reports(model)
  expect(bad(before)).toEqual([])
  expect(before.get("norm")).toEqual({
    name: "norm",
    source: "BF16",
    format: "f32",
    exact: true,
    packed: "same",
    hash: "no source",
    verdict: "good",
  })
})

test("a checkpoint of another kind is refused by the tensor that differs", async () => {
  const { model } = await packedSample("BF16")
  const { checkpoint } = await packedSample("F16")
  const { message } = await refusal(() => reports(model, checkpoint))
  expect(message).toMatch(/has embedding as F16 \[40,256\], .* was packed from BF16 \[40,256\]/)
})

test("an abort ends verifying, with the source and without", async () => {
  const { checkpoint, model } = await packedSample("Q4_0")
  for (const source of [checkpoint, undefined]) {
    const all = verify(model, source, { signal: AbortSignal.abort() })
    expect((await refusal(() => all.next())).code).toBe("cancelled")
  }
})
