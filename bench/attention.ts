// Attention of one token over a long compressed context, by itself: all of it, and what choosing queries read, in turns.
// Keys are made up: topics of 32 tokens, and queries that ask for the topic of one of them, as sharply as --spread says.
// Prints what choosing came to; appends a row for each depth to results/attention-<machine>.csv. A layer takes, at T3,
// 128 MB for 262,144 tokens; the caches of as many layers as fit in memory make the reads come from memory. In 16 bits,
// tier 0, nothing is chosen.
//
//   npx tsx bench/attention.ts --depths 32768,131072,262144 --layers 8 --rounds 5
//   npx tsx bench/attention.ts --tier 0 --depths 4096,16384 --layers 24

import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { kvWindow, pagesBehind, pageTokens } from "../src/backend/backend.ts"
import type { Attention, Batch, KvCache, KvTier, Tensor } from "../src/backend/backend.ts"
import { loadCpuBackend } from "../src/backend/cpu/cpu.ts"
import { Random } from "../src/engine/random.ts"
import { appendRow, machineName, median, today } from "./results.ts"

const { values } = parseArgs({
  options: {
    depths: { type: "string", default: "32768,131072,262144" },
    layers: { type: "string", default: "8" },
    tier: { type: "string", default: "3" },
    /** How far the logit that is asked for lies above the median. */
    spread: { type: "string", default: "20" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: String(availableParallelism()) },
    machine: { type: "string", default: machineName() },
  },
})
const depths = values.depths.split(",").map(Number)
const [layers, rounds, spread, threads] = [values.layers, values.rounds, values.spread, values.threads].map(
  Number,
)
const tier = Number(values.tier) as KvTier
const ways: readonly Attention[] = tier === 0 ? ["exact"] : ["exact", "selective"]
const [kvHeads, group, headDim] = [4, 8, 128]
const columns = kvHeads * headDim
const [chunk, topicTokens, numTopics] = [512, 32, 64]

const random = Random.seeded(1)
/** Of variance 1, near enough to normal: the rotation mixes 128 of them. */
const noise = () => (random.next() + random.next() + random.next() - 1.5) * 2
/** Rows begin anywhere in it: drawing all of their values would take longer than the measurement. */
const pool = Float32Array.from({ length: 1 << 20 }, noise)
const vector = () => Float32Array.from({ length: headDim }, noise)
const topics = Array.from({ length: kvHeads * numTopics }, vector)

/** Rows of keys [tokens, columns] from a token on; which topic is whose is a function of its place. */
function keysOf(first: number, tokens: number): Float32Array {
  const keys = new Float32Array(tokens * columns)
  for (let at = 0; at < keys.length; at += headDim) {
    const head = (at / headDim) % kvHeads
    const topic = topics[head * numTopics + topicAt(first + Math.floor(at / columns))]
    const begin = Math.floor(random.next() * (pool.length - headDim))
    for (let i = 0; i < headDim; i++) keys[at + i] = 0.8 * topic[i] + pool[begin + i]
  }
  return keys
}

function topicAt(token: number): number {
  return Math.imul(Math.floor(token / topicTokens) + 1, 0x9e3779b1) >>> 26
}

/** Each head asks for one of the topics, and for one direction more, which tells its tokens apart. */
function queries(): Float32Array {
  const q = new Float32Array(kvHeads * group * headDim)
  for (let head = 0; head < kvHeads * group; head++) {
    const topic = topics[Math.floor(head / group) * numTopics + Math.floor(random.next() * numTopics)]
    const raw = vector().map((x, i) => x + 0.8 * topic[i])
    const logit = raw.reduce((sum, x, i) => sum + 0.8 * x * topic[i], 0) / Math.sqrt(headDim)
    q.set(
      raw.map((x) => (x * spread) / logit),
      head * headDim,
    )
  }
  return q
}

const ops = loadCpuBackend({ threads })
const most = Math.max(...depths)
const kv: KvCache = ops.kvCache({ layers, pages: Math.ceil(most / pageTokens) + 1, kvHeads, headDim })
const pages = Int32Array.from({ length: kv.shape.pages }, (_, page) => page)

function batchOf(first: number, numTokens: number): Batch {
  const contextTokens = first + numTokens
  const held = pages.subarray(0, Math.ceil(contextTokens / pageTokens))
  const positions = Int32Array.from({ length: numTokens }, (_, row) => first + row)
  const tiers = Uint8Array.from(held, (page) => (page === 0 ? 0 : tier))
  return {
    ids: new Int32Array(numTokens),
    positions,
    slots: positions,
    sequences: [{ firstRow: 0, numTokens, contextTokens, pages: held, tiers, selectiveFrom: 0 }],
    logitRows: new Int32Array(0),
  }
}

/** The same keys in all layers, their codes as soon as no window has them, and nothing else of those. */
async function fill(from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += chunk) {
    const tokens = Math.min(chunk, to - first)
    ops.begin(batchOf(first, tokens))
    const k = ops.tensor(keysOf(first, tokens), tokens, columns)
    const v = ops.tensor(pool.subarray(0, tokens * columns), tokens, columns)
    for (let layer = 0; layer < layers; layer++) ops.storeKv(kv, layer, k, v)
    await ops.submit()
    if (tier === 0) continue
    const last = first + tokens - 1
    for (let page = Math.max(1, pagesBehind(first - 1, kvWindow)); page < pagesBehind(last, kvWindow); page++)
      ops.trimKv(kv, page, tier)
  }
}

/** Milliseconds a layer. */
async function time(depth: number, attention: Attention): Promise<number> {
  ops.begin(batchOf(depth - 1, 1))
  const q: Tensor = ops.tensor(queries(), 1, kvHeads * group * headDim)
  for (let layer = 0; layer < layers; layer++) ops.attend(q, kv, layer, attention)
  const start = performance.now()
  await ops.submit()
  return (performance.now() - start) / layers
}

let filled = 0
for (const depth of depths.toSorted((a, b) => a - b)) {
  await fill(filled, depth)
  filled = depth
  for (const attention of ways) await time(depth, attention)
  const before = ops.selections(kv)
  const times: Record<Attention, number[]> = { exact: [], selective: [] }
  for (let round = 0; round < rounds; round++)
    for (const attention of ways) times[attention].push(await time(depth, attention))
  const after = ops.selections(kv)
  const scanned = after.scanned - before.scanned
  const chosen = scanned - (after.fellBack - before.fellBack)
  const row = {
    date: today(),
    isa: ops.device,
    threads,
    tier: `T${tier}`,
    depth,
    exactMsPerLayer: median(times.exact).toFixed(3),
    selectiveMsPerLayer: scanned && median(times.selective).toFixed(3),
    fellBack: scanned && ((scanned - chosen) / scanned).toFixed(3),
    kept: chosen && ((after.kept - before.kept) / chosen).toFixed(4),
    tokens: chosen && Math.round((after.tokens - before.tokens) / chosen),
  }
  console.log(row)
  appendRow(`attention-${values.machine}`, row)
}
ops.free()
