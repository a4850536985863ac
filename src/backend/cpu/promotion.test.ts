import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { expect, onTestFinished, test } from "vitest"
import { PackedFile } from "../../../test/packed-weights.ts"
import { seeded } from "../../../test/random.ts"
import { formats } from "../../weights/format.ts"
import { loadAddon } from "./native.ts"
import type { Addon, NativeEngine } from "./native.ts"

// A file system in memory maps its files in small pages, whatever was read or written before.
const memoryFolder = "/dev/shm"
const [rows, columns] = [2048, 8192]

/** Numbers of Promotion in native/promotion.h. */
const states = { off: 0, done: 3, elsewhere: 5 }

/** 9 MB of q4_0. */
function weightsFile() {
  const folder = mkdtempSync(join(existsSync(memoryFolder) ? memoryFolder : tmpdir(), "a3b-promotion-"))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return new PackedFile(join(folder, "weights"), seeded(3)).add("w", "q4_0", [rows, columns]).tensor
}

async function ended(addon: Addon, engine: NativeEngine, file: number) {
  const numbers = new Float64Array(2)
  for (;;) {
    addon.promotion(engine, file, numbers)
    if (numbers[0] !== 1 && numbers[0] !== 2) return { state: numbers[0], bytes: numbers[1] }
    await setTimeout(5)
  }
}

/** One step: a linear op of one row. */
async function product(addon: Addon, engine: NativeEngine, weight: number): Promise<Float32Array> {
  const linear = 2
  const ops = new Int32Array(12)
  ops.set([linear, 0, 0, 1, 1, weight])
  const none = new Int32Array(0)
  const width = Int32Array.of(columns, rows)
  const shapes = [Int32Array.of(1, 1), width, width, Float64Array.of(0, columns * 4)] as const
  expect(addon.prepare(engine, ops, none, none, none, none, none, none, none, ...shapes)).toBe(true)
  addon.copy(
    engine,
    0,
    Float32Array.from({ length: columns }, (_, i) => Math.sin(i)),
    0,
  )
  await addon.run(engine)
  const out = new Float32Array(rows)
  addon.copy(engine, 1, out, 1)
  return out
}

test.runIf(process.platform === "linux" && existsSync(memoryFolder))(
  "weights that move to huge pages while they are read stay what they are, for one process",
  async () => {
    const addon = loadAddon()
    const { path, offset } = weightsFile()
    const engines = [0, 1].map(() => addon.create(2, "", "exact"))
    onTestFinished(() => engines.forEach((engine) => addon.free(engine)))
    const open = (engine: NativeEngine, promoteFrom: number) => {
      const file = addon.mapFile(engine, path, promoteFrom)
      return { file, weight: addon.weight(engine, file, offset, formats.indexOf("q4_0"), 1, rows, columns) }
    }
    const [mapped, moving] = [open(engines[0], Infinity), open(engines[1], 0)]
    const expected = await product(addon, engines[0], mapped.weight)
    const during: Float32Array[] = []
    const outcome = ended(addon, engines[1], moving.file)
    for (let i = 0; i < 20; i++) during.push(await product(addon, engines[1], moving.weight))
    const { state, bytes } = await outcome
    expect(state).toBe(states.done)
    expect(bytes).toBeGreaterThan(4e6)
    expect(await ended(addon, engines[0], mapped.file)).toEqual({ state: states.off, bytes: 0 })
    for (const out of [...during, await product(addon, engines[1], moving.weight)])
      expect(out).toEqual(expected)
    const second = open(engines[0], 0)
    expect(await ended(addon, engines[0], second.file)).toEqual({ state: states.elsewhere, bytes: 0 })
  },
)
