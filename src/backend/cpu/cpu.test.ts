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
  const rows = 35
  const [wide, narrow, q, k, v] = [768, 256, 4 * 64, 2 * 64, 2 * 64].map((columns) => noise(rows, columns))
  const rope = { frequencies: Float32Array.from({ length: 32 }, (_, i) => 1e6 ** (-i / 32)), scale: 1 }
  const batch = {
    ids: new Int32Array(rows),
    positions: Int32Array.from({ length: rows }, (_, i) => i),
    slots: Int32Array.from({ length: rows }, (_, i) => i),
    sequences: [{ firstRow: 0, numTokens: rows, contextTokens: rows, pages: Int32Array.of(0) }],
    logitRows: new Int32Array(0),
  }

  /** One step with every kernel in it; all results in one array. */
  async function run(isa: string, threads: number): Promise<Float32Array> {
    const ops = loadCpuBackend({ isa, threads })
    const kv = ops.kvCache({ layers: 1, pages: 1, kvHeads: 2, headDim: 64 })
    ops.begin(batch)
    const products = ops.tensor(wide, rows, 768)
    const results = weights.map((weight) => ops.linear(products, ops.weight(weight)))
    const [queries, keys] = [ops.tensor(q, rows, 256), ops.tensor(k, rows, 128)]
    ops.normRope(queries, ops.weight(norm), rope, 1e-6)
    ops.normRope(keys, ops.weight(norm), rope, 1e-6)
    ops.storeKv(kv, 0, keys, ops.tensor(v, rows, 128))
    const x = ops.tensor(narrow, rows, 256)
    const sum = ops.attend(queries, kv, 0)
    const [gate, up, down] = experts.map((expert) => ops.weight(expert))
    ops.addExperts(sum, x, ops.route(x, ops.weight(router), 3, true), { gate, up, down })
    await ops.submit()
    const out = [...results, sum].flatMap((tensor) => [...ops.read(tensor)])
    ops.free()
    return Float32Array.from(out)
  }

  test("give the same bits", async () => {
    const expected = await run("scalar", 1)
    for (const isa of instructionSets())
      for (const threads of [1, 2, 3]) {
        const got = await run(isa, threads)
        const different = got.findIndex((value, i) => !Object.is(value, expected[i]))
        expect({ isa, threads, different }).toEqual({ isa, threads, different: -1 })
      }
  })
})

test("an instruction set that this CPU lacks is refused by name", () => {
  expect(() => loadCpuBackend({ isa: "sse9" })).toThrow(/no sse9; it has: /)
  expect(() => loadCpuBackend({ threads: 0 })).toThrow(/threads is 0/)
})

test("a freed engine refuses work", () => {
  const addon = loadAddon()
  const engine = addon.create(1, "")
  addon.free(engine)
  expect(() => addon.isa(engine)).toThrow(/no engine/)
})
