import { createHash } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import type { Tolerances } from "../../../test/backend-conformance.ts"
import { describeBackend } from "../../../test/backend-conformance.ts"
import { PackedFile } from "../../../test/packed-weights.ts"
import { seeded } from "../../../test/random.ts"
import { formats } from "../../weights/format.ts"
import type { Format } from "../../weights/format.ts"
import { instructionSets, loadCpuBackend } from "./cpu.ts"
import { loadAddon } from "./native.ts"

// Sums are float32 over 16 lanes. An inner activation of an expert that lies between two int8 codes may fall to the
// other one: a step is 1/127 of its group's largest value.
const tolerances: Tolerances = {
  rows: 2e-6,
  products: 4e-6,
  attention: 1e-5,
  experts: 0.02,
  activations: "int8",
}

/** Any change of these is a change of the arithmetic, and must be meant. */
const bitsOfTheStep = "72607c6ffc8e794e839a6b8a8968d027d22c09791b18a8aa510cb23e2c14f50f"

for (const isa of instructionSets())
  describeBackend(`cpu (${isa})`, () => loadCpuBackend({ isa, threads: 2 }), tolerances)

describe("every instruction set and number of threads", () => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-cpu-"))
  afterAll(() => rmSync(folder, { recursive: true }))
  const random = seeded(7)
  const file = new PackedFile(join(folder, "weights"), random)
  const weights = formats.map((format) => file.add(format, format, [72, 768]).tensor)
  const experts = ["q4_0", "q4_k", "q6_k"].map(
    (format) => file.add(format, format as Format, [8, 256, 256]).tensor,
  )
  const norm = file.add("norm", "f32", [64]).tensor
  const router = file.add("router", "f32", [8, 256]).tensor
  const noise = (rows: number, columns: number) =>
    Float32Array.from({ length: rows * columns }, () => random() * random() * 8 - 2)
  const most = 35
  const noises = [768, 256, 4 * 64, 2 * 64, 2 * 64].map((columns) => ({
    columns,
    values: noise(most, columns),
  }))
  const rope = { frequencies: Float32Array.from({ length: 32 }, (_, i) => 1e6 ** (-i / 32)), scale: 1 }
  const batchOf = (rows: number) => ({
    ids: new Int32Array(rows),
    positions: Int32Array.from({ length: rows }, (_, i) => i),
    slots: Int32Array.from({ length: rows }, (_, i) => i),
    sequences: [{ firstRow: 0, numTokens: rows, contextTokens: rows, pages: Int32Array.of(0) }],
    logitRows: new Int32Array(0),
  })

  /** One step with every kernel in it; all results in one array. */
  async function run(isa: string, threads: number, rows = most): Promise<Float32Array> {
    const ops = loadCpuBackend({ isa, threads })
    const kv = ops.kvCache({ layers: 1, pages: 1, kvHeads: 2, headDim: 64 })
    ops.begin(batchOf(rows))
    const [wide, x, queries, keys, values] = noises.map((noise) =>
      ops.tensor(noise.values.subarray(0, rows * noise.columns), rows, noise.columns),
    )
    const results = weights.map((weight) => ops.linear(wide, ops.weight(weight)))
    ops.normRope(queries, ops.weight(norm), rope, 1e-6)
    ops.normRope(keys, ops.weight(norm), rope, 1e-6)
    ops.storeKv(kv, 0, keys, values)
    const sum = ops.attend(queries, kv, 0)
    const [gate, up, down] = experts.map((expert) => ops.weight(expert))
    ops.addExperts(sum, x, ops.route(x, ops.weight(router), 3, true), { gate, up, down })
    await ops.submit()
    const out = [...results, sum].flatMap((tensor) => [...ops.read(tensor)])
    ops.free()
    return Float32Array.from(out)
  }

  // A product of one row takes other ways through the kernels than one of many, and tiles have sixteen rows at most.
  test.each([1, 8, 17, most])("give the same bits of %i rows", async (rows) => {
    const expected = await run("scalar", 1, rows)
    for (const isa of instructionSets())
      for (const threads of [1, 2, 3]) {
        const got = await run(isa, threads, rows)
        const different = got.findIndex((value, i) => !Object.is(value, expected[i]))
        expect({ isa, threads, different }).toEqual({ isa, threads, different: -1 })
      }
  })

  test("give these bits on x64 and arm64", async () => {
    const bytes = new Uint8Array((await run("", 2)).buffer)
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(bitsOfTheStep)
  })

  test("take denormals for zeros", async () => {
    const tiny = Float32Array.from({ length: 64 }, (_, i) => 2 ** -140 * (i - 32))
    for (const isa of instructionSets()) {
      const ops = loadCpuBackend({ isa, threads: 2 })
      ops.begin(batchOf(1))
      const normed = ops.rmsNorm(ops.tensor(tiny, 1, 64), ops.weight(norm), 2 ** -126)
      await ops.submit()
      expect({ isa, sum: ops.read(normed).reduce((sum, x) => sum + Math.abs(x)) }).toEqual({ isa, sum: 0 })
      ops.free()
    }
  })
})

test("an instruction set that this CPU lacks is refused by name", () => {
  expect(() => loadCpuBackend({ isa: "sse9" })).toThrow(/no sse9; it has: /)
  expect(() => loadCpuBackend({ threads: 0 })).toThrow(/threads is 0/)
})

test("a freed engine refuses work", () => {
  const addon = loadAddon()
  const engine = addon.create(1, "", "exact")
  addon.free(engine)
  expect(() => addon.isa(engine)).toThrow(/no engine/)
})
