// The kernels that take a model's time, each by itself, beside what the processor and memory can do in the same run:
// products of every packed format for one token from memory, and for many from memory and from cache; of prompts'
// attention bench/prefill-attention.ts says the same, of one token's bench/attention.ts. Appends a row for each to
// results/kernels-<machine>.csv. The share is of what limits: the memory's rate for one token, else products in registers.
//
//   npx tsx bench/kernels.ts [--formats q4_0,q4_s,q4_k,q6_k] [--tokens 1,32,128,512] [--rounds 5]

import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { loadCpuBackend } from "../src/backend/cpu/cpu.ts"
import { geometry, matrixBytes, panelRows } from "../src/weights/format.ts"
import type { Format, PackedTensor } from "../src/weights/format.ts"
import { seeded } from "../test/random.ts"
import { appendRow, machineName, median, today } from "./results.ts"

const { values: options } = parseArgs({
  options: {
    formats: { type: "string", default: "q4_0,q4_s,q8_0,q4_k,q5_k,q6_k" },
    tokens: { type: "string", default: "1,32,128,512" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: String(availableParallelism()) },
    machine: { type: "string", default: machineName() },
  },
})
const formats = options.formats.split(",") as Format[] // the table of geometries has no others
const [rounds, threads] = [options.rounds, options.threads].map(Number)
const columns = 2048
/** Rows of weights that the second cache of two cores holds, and so many that no cache does. */
const rowsFrom = { cache: 512, memory: 512 * 1024 }
const chunkBytes = 32 << 20

const folder = mkdtempSync(join(tmpdir(), "a3b-kernels-"))
const ops = loadCpuBackend({ threads })
const random = seeded(1)

/** Bytes below 64, of which any make finite scales; no two pages are the same. */
function writeBytes(path: string, bytes: number): void {
  const file = openSync(path, "w")
  let state = 1
  for (let at = 0; at < bytes; at += chunkBytes) {
    const words = Uint32Array.from({ length: Math.min(chunkBytes, bytes - at) / 4 }, () => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return state & 0x3f3f3f3f
    })
    writeSync(file, words)
  }
  closeSync(file)
}

function weightOf(path: string, format: Format, rows: number): PackedTensor {
  const hash = "0".repeat(64)
  const source = { source: format.toUpperCase(), sourceHash: hash, packedHash: hash, exact: true }
  const bytes = matrixBytes(format, rows, columns)
  return { name: format, format, shape: [rows, columns], path, offset: 0, bytes, ...source }
}

/** Seconds of one product, read `times` times in a step so that a step is long enough to be timed. */
async function secondsOf(weight: PackedTensor, tokens: number, times: number): Promise<number> {
  const matrix = ops.weight(weight)
  const values = Float32Array.from({ length: tokens * columns }, () => random() - 0.5)
  ops.begin({
    ids: new Int32Array(tokens),
    positions: new Int32Array(tokens),
    slots: new Int32Array(tokens),
    sequences: [
      { firstRow: 0, numTokens: tokens, contextTokens: tokens, pages: new Int32Array([0, 1, 2, 3]) },
    ],
    logitRows: new Int32Array(0),
  })
  const x = ops.tensor(values, tokens, columns)
  for (let i = 0; i < times; i++) ops.linear(x, matrix)
  ops.timings()
  await ops.submit()
  return ops.timings().linear / times
}

/** Measured anew beside each format: neighbours of a machine come and go. */
const roofsNow = async () => ({
  memory: await ops.roof("memory"),
  clock: await ops.roof("clock"),
  int8: await ops.roof("int8"),
  int16: await ops.roof("int16"),
  float32: await ops.roof("float32"),
})
const giga = (n: number, digits = 1) => (n / 1e9).toFixed(digits)

try {
  for (const format of formats) {
    const roofs = await roofsNow()
    const products = (["int8", "int16", "float32"] as const).map((of) => `${of} ${giga(roofs[of], 0)}`)
    const speeds = `memory ${giga(roofs.memory)} GB/s, ${giga(roofs.clock, 2)} GHz, GMAC/s: ${products.join(", ")}`
    console.log(`${ops.device}, ${threads} threads: ${speeds}`)
    const path = join(folder, "weights")
    writeBytes(path, matrixBytes(format, rowsFrom.memory, columns))
    for (const tokens of options.tokens.split(",").map(Number))
      for (const from of ["memory", "cache"] as const) {
        // What many tokens make of many rows would fill memory: a part of them is as far from the cache.
        const rows = from === "cache" ? rowsFrom.cache : Math.max(rowsFrom.cache, rowsFrom.memory / tokens)
        const weight = weightOf(path, format, Math.floor(rows / panelRows) * panelRows)
        const times = from === "cache" ? Math.ceil(4096 / tokens) : 1
        await secondsOf(weight, tokens, times)
        const seconds: number[] = []
        for (let round = 0; round < rounds; round++) seconds.push(await secondsOf(weight, tokens, times))
        const each = median(seconds)
        const bytesPerSecond = weight.bytes / each
        const macs = (rows * columns * tokens) / each
        const limit = tokens === 1 && from === "memory" ? "memory" : "int8"
        const share = limit === "memory" ? bytesPerSecond / roofs.memory : macs / roofs.int8
        const row = {
          date: today(),
          isa: ops.device,
          threads,
          format,
          bitsPerWeight: (8 * geometry[format].blockBytes) / (geometry[format].blockColumns * panelRows),
          tokens,
          from,
          gbs: giga(bytesPerSecond),
          gmacs: giga(macs),
          macsPerCycleAndThread: (macs / threads / roofs.clock).toFixed(1),
          shareOf: limit,
          share: share.toFixed(3),
          memoryGbs: giga(roofs.memory),
          int8Gmacs: giga(roofs.int8),
          clockGhz: giga(roofs.clock, 2),
        }
        const speed = `${row.gbs} GB/s, ${row.gmacs} GMAC/s, ${row.macsPerCycleAndThread} a cycle and thread`
        const part = `${(100 * share).toFixed(0)} % of ${limit === "memory" ? "memory" : "int8 products"}`
        console.log(`${format}, ${tokens} tokens, from ${from}: ${speed}, ${part}`)
        appendRow(`kernels-${options.machine}`, row)
      }
  }
} finally {
  ops.free()
  rmSync(folder, { recursive: true })
}
