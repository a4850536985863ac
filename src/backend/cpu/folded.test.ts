// Products of prompts in fast mode on AMX: scales of weights folded into codes of 8 bits (native/folded_amx-inl.h).
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { PackedFile } from "../../../test/packed-weights.ts"
import { seeded } from "../../../test/random.ts"
import { geometry } from "../../weights/format.ts"
import type { Format } from "../../weights/format.ts"
import type { Backend, PrefillMode } from "../backend.ts"
import { instructionSets, loadCpuBackend } from "./cpu.ts"

const packed = (Object.keys(geometry) as Format[]).filter((format) => geometry[format].panels)
/** Of these the bits are those of exact products. */
const unfolded = ["q8_0"]
const [numExperts, topK] = [8, 3]
/** Rows of each expert on average, from which on its weights are folded. */
const fewestOfExpert = 6

function relativeDistance(got: Float32Array, from: Float32Array): number {
  const squares = (x: Float32Array) => x.reduce((sum, value) => sum + value * value, 0)
  return Math.sqrt(squares(got.map((x, i) => x - from[i])) / squares(from))
}

/** A step of so many rows, `ofOne` of each sequence. */
function begin(ops: Backend, rows: number, ofOne: number) {
  const sequences = Array.from({ length: rows / ofOne }, (_, i) => {
    return {
      firstRow: i * ofOne,
      numTokens: ofOne,
      contextTokens: ofOne,
      pages: new Int32Array(Math.ceil(ofOne / 128)),
    }
  })
  const slots = new Int32Array(rows)
  ops.begin({ ids: slots, positions: slots, slots, sequences, logitRows: new Int32Array(0) })
}

describe.skipIf(!instructionSets().includes("amx"))("products with folded scales", () => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-folded-"))
  afterAll(() => rmSync(folder, { recursive: true }))
  const random = seeded(11)
  const file = new PackedFile(join(folder, "weights"), random)
  // Three blocks and five panels, of which one has eight rows; one block and an odd number of panels.
  const shapes = [
    [72, 768],
    [48, 256],
  ] as const
  const weights = packed.flatMap((format) =>
    shapes.map((shape) => file.add(`${format} ${shape}`, format, [...shape]).tensor),
  )
  // Of one block and a half between gate and down, and of more panels than are summed up at once.
  const hidden = 288
  const experts = packed.map((format) => {
    const [gate, up, down] = ["gate", "up", "down"].map(
      (part) =>
        file.add(`${format} ${part}`, format, [numExperts, ...(part === "down" ? [hidden, 400] : [400, 256])])
          .tensor,
    )
    return { gate, up, down }
  })
  const router = file.add("router", "f32", [numExperts, 256]).tensor
  const most = 600
  const noise = (columns: number) =>
    Float32Array.from({ length: most * columns }, () => random() + random() + random() - 1.5)
  const inputs = new Map([768, 256].map((columns) => [columns, noise(columns)]))

  /** What every matrix gives of the first so many rows. */
  async function run(
    prefillMode: PrefillMode,
    rows: number,
    { threads = 2, ofOne = rows } = {},
  ): Promise<Float32Array[]> {
    const ops = loadCpuBackend({ isa: "amx", threads, prefillMode })
    begin(ops, rows, ofOne)
    const tensors = new Map(
      [...inputs].map(([columns, x]) => [columns, ops.tensor(x.subarray(0, rows * columns), rows, columns)]),
    )
    const results = weights.map((weight) => ops.linear(tensors.get(weight.shape[1])!, ops.weight(weight)))
    const x = tensors.get(256)!
    for (const { gate, up, down } of experts) {
      const sum = ops.tensor(new Float32Array(rows * hidden), rows, hidden)
      ops.addExperts(sum, x, ops.route(x, ops.weight(router), topK, true), {
        gate: ops.weight(gate),
        up: ops.weight(up),
        down: ops.weight(down),
      })
      results.push(sum)
    }
    await ops.submit()
    const out = results.map((tensor) => Float32Array.from(ops.read(tensor)))
    ops.free()
    return out
  }

  const names = [...weights.map((weight) => weight.name), ...packed.map((format) => `${format} experts`)]
  const isFolded = (name: string, rows: number) =>
    !unfolded.includes(name.split(" ")[0]) &&
    (!name.endsWith("experts") || rows * topK >= fewestOfExpert * numExperts)

  test.each([16, 35, 150, most])("are near exact ones of %i rows", async (rows) => {
    const [exact, fast] = [await run("exact", rows), await run("fast", rows)]
    for (const [i, name] of names.entries()) {
      const distance = relativeDistance(fast[i], exact[i])
      // Each factor is rounded to a 127th of the largest of 256 at most: 0.3 steps in the root mean square, of values whose
      // root mean square is 20 to 60 steps. Experts have three products one after another, whose errors are multiplied.
      expect({ name, isNear: distance < (name.endsWith("experts") ? 0.06 : 0.02) }).toEqual({
        name,
        isNear: true,
      })
      // Folded products that did not run would leave nothing, but of experts what routers' products differ by: 2^-16.
      const least = name.endsWith("experts") ? 1e-4 : 0
      expect({ name, differ: distance > least }).toEqual({ name, differ: isFolded(name, rows) })
    }
  })

  test("have the same bits whatever the threads and the rows beside them", async () => {
    const expected = await run("fast", most)
    for (const [rows, threads] of [
      [most, 1],
      [most, 3],
      [35, 2],
      [16, 2],
    ])
      for (const [i, got] of (await run("fast", rows, { threads })).entries())
        if (isFolded(names[i], rows) === isFolded(names[i], most))
          expect({
            name: names[i],
            rows,
            threads,
            same: got.every((x, j) => Object.is(x, expected[i][j])),
          }).toEqual({ name: names[i], rows, threads, same: true })
  })

  // Of 416 columns, of which three times 128 and a rest are cut at once, and of more experts than fit 32. Theirs are exact
  // here. Terms are 2^-16 from exact; single products of bfloat16 would be 2^-9, and an expert more or less half the sum.
  test.each(["f32", "f16", "bf16"] as const)("of routers in %s choose as exact ones do", async (format) => {
    const [count, columns] = [40, 416]
    const more = new PackedFile(join(folder, `routers-${format}`), random)
    const weight = more.add("router", format, [count, columns]).tensor
    const [gate, up] = ["gate", "up"].map((name) => more.add(name, "q8_0", [count, 64, columns]).tensor)
    const down = more.add("down", "q8_0", [count, 32, 64]).tensor
    const x = Float32Array.from({ length: 150 * columns }, () => random() + random() + random() - 1.5)
    const summed = async (prefillMode: PrefillMode, rows: number) => {
      const ops = loadCpuBackend({ isa: "amx", threads: 2, prefillMode })
      begin(ops, rows, rows)
      const [input, sum] = [
        ops.tensor(x.subarray(0, rows * columns), rows, columns),
        ops.tensor(new Float32Array(rows * 32), rows, 32),
      ]
      const parts = { gate: ops.weight(gate), up: ops.weight(up), down: ops.weight(down) }
      ops.addExperts(sum, input, ops.route(input, ops.weight(weight), topK, true), parts)
      await ops.submit()
      const out = Float32Array.from(ops.read(sum))
      ops.free()
      return out
    }
    for (const rows of [16, 33, 150]) {
      const distance = relativeDistance(await summed("fast", rows), await summed("exact", rows))
      expect(distance).toBeGreaterThan(0)
      expect(distance).toBeLessThan(2 ** -12)
    }
  })

  test("are not used where replies are made", async () => {
    const [exact, fast] = [await run("exact", 48, { ofOne: 4 }), await run("fast", 48, { ofOne: 4 })]
    expect(fast).toEqual(exact)
  })
})
