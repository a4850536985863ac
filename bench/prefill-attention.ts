// Speed of prefill attention alone, at the model's full size, one layer of it: seconds that 512 tokens take at chosen
// depths, by tier of the pages behind the window and by mode, the modes in turns. Prints products a second and how far
// fast is from exact; appends rows to results/prefill-attention-<machine>.csv.
//
//   npx tsx bench/prefill-attention.ts [--depths 0,4096,16384,32768] [--tiers 0,2,3] [--modes exact,fast] [--rounds 3]

import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { pageTokens } from "../src/backend/backend.ts"
import type { Batch, KvCache, PrefillMode } from "../src/backend/backend.ts"
import { loadCpuBackend } from "../src/backend/cpu/cpu.ts"
import type { CpuBackend } from "../src/backend/cpu/cpu.ts"
import { Random } from "../src/engine/random.ts"
import { appendRow, machineName, median, today } from "./results.ts"

const { values: options } = parseArgs({
  options: {
    tokens: { type: "string", default: "512" },
    depths: { type: "string", default: "0,4096,16384,32768" },
    tiers: { type: "string", default: "0,2,3" },
    modes: { type: "string", default: "exact,fast" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: String(availableParallelism()) },
    machine: { type: "string", default: machineName() },
  },
})
const numbersOf = (list: string) => list.split(",").map(Number)
const [tokens, rounds, threads] = [options.tokens, options.rounds, options.threads].map(Number)
const modes = options.modes.split(",") as PrefillMode[] // the backend refuses others

const [heads, kvHeads, headDim] = [32, 4, 128]
const chunk = 512

function batchOf(first: number, numTokens: number, tier: number): Batch {
  const contextTokens = first + numTokens
  const pages = Int32Array.from({ length: Math.ceil(contextTokens / pageTokens) }, (_, page) => page)
  const positions = Int32Array.from({ length: numTokens }, (_, row) => first + row)
  const sequence = {
    firstRow: 0,
    numTokens,
    contextTokens,
    pages,
    tiers: new Uint8Array(pages.length).fill(tier),
  }
  return {
    ids: new Int32Array(numTokens),
    positions,
    slots: positions,
    sequences: [sequence],
    logitRows: new Int32Array(0),
  }
}

const random = Random.seeded(1)
/** About unit variance, so that scores are as spread as a model's. */
const noise = (columns: number, rows: number) =>
  Float32Array.from({ length: rows * columns }, () => Math.sqrt(12) * (random.next() - 0.5))
const keys = noise(kvHeads * headDim, chunk)
const values = noise(kvHeads * headDim, chunk)
const queries = noise(heads * headDim, tokens)

interface Track {
  ops: CpuBackend
  kv: KvCache
}

async function trackOf(mode: PrefillMode, depth: number, tier: number): Promise<Track> {
  const ops = loadCpuBackend({ threads, prefillMode: mode })
  const kv = ops.kvCache({ layers: 1, pages: Math.ceil((depth + tokens) / pageTokens), kvHeads, headDim })
  for (let first = 0; first < depth + tokens; first += chunk) {
    const rows = Math.min(chunk, depth + tokens - first)
    ops.begin(batchOf(first, rows, tier))
    const part = (x: Float32Array) =>
      ops.tensor(x.subarray(0, rows * kvHeads * headDim), rows, kvHeads * headDim)
    ops.storeKv(kv, 0, part(keys), part(values))
    await ops.submit()
  }
  return { ops, kv }
}

/** Milliseconds of one layer's attention, and what it gives. */
async function round({ ops, kv }: Track, depth: number, tier: number) {
  ops.timings()
  ops.begin(batchOf(depth, tokens, tier))
  const out = ops.attend(ops.tensor(queries, tokens, heads * headDim), kv, 0)
  await ops.submit()
  return { ms: 1000 * ops.timings().attend, out: ops.read(out) }
}

function distance(got: Float32Array, from: Float32Array): number {
  let [off, all] = [0, 0]
  for (const [i, value] of from.entries()) {
    off += (got[i] - value) ** 2
    all += value ** 2
  }
  return Math.sqrt(off / all)
}

for (const depth of numbersOf(options.depths))
  for (const tier of numbersOf(options.tiers)) {
    const tracks: Track[] = []
    for (const mode of modes) tracks.push(await trackOf(mode, depth, tier))
    const times = modes.map((): number[] => [])
    const outs: Float32Array[] = []
    for (let i = 0; i < rounds; i++)
      for (const [m, track] of tracks.entries()) {
        const { ms, out } = await round(track, depth, tier)
        times[m].push(ms)
        outs[m] = out
      }
    // Exact products with codes are of 16-bit integers, others of floats; of what registers give of those, beside it.
    const roof = (await tracks[0].ops.roof(tier === 0 ? "float32" : "int16")) / 1e9
    for (const { ops } of tracks) ops.free()
    const products = 2 * heads * headDim * tokens * (depth + (tokens + 1) / 2)
    for (const [m, mode] of modes.entries()) {
      const ms = median(times[m])
      const gmacs = products / ms / 1e6
      const away = mode === "fast" && modes[0] === "exact" ? distance(outs[m], outs[0]) : 0
      console.log(
        `depth ${depth}, T${tier}, ${mode}: ${ms.toFixed(1)} ms a layer, ${(gmacs / threads).toFixed(1)} GMAC/s a thread, ${((100 * gmacs) / roof).toFixed(0)} % of ${roof.toFixed(0)}` +
          (away > 0 ? `, ${away.toExponential(1)} from exact` : ""),
      )
      appendRow(`prefill-attention-${options.machine}`, {
        date: today(),
        threads,
        tokens,
        depth,
        tier: `T${tier}`,
        mode,
        msPerLayer: ms.toFixed(2),
        gmacsPerThread: (gmacs / threads).toFixed(2),
        shareOfPeak: (gmacs / roof).toFixed(3),
      })
    }
  }
