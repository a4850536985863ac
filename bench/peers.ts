// Ours and node-llama-cpp in turns on the same GGUF: each loads, warms up, measures, exits. The read bandwidth is
// measured in each of our turns, so that every pair has its roofline. Appends one row to results/<machine>.csv.
//
//   npm install --prefix /tmp/peer node-llama-cpp@3.22.1
//   npx tsx bench/peers.ts model.gguf model.a3b --peer /tmp/peer --rounds 3
//
// Where memory does not hold both files, what one leaves in the page cache slows the other down; then let a command
// run before each turn: --between "sync; echo 3 > /proc/sys/vm/drop_caches"

import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { availableParallelism, loadavg } from "node:os"
import { join } from "node:path"
import { parseArgs, promisify } from "node:util"
import { bench } from "./a3b.ts"
import { appendRow, machineName, median, today } from "./results.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peer: { type: "string" },
    rounds: { type: "string", default: "3" },
    prefill: { type: "string", default: "512" },
    decode: { type: "string", default: "64" },
    /** Tokens that the context holds before. */
    depth: { type: "string", default: "0" },
    threads: { type: "string", default: String(availableParallelism()) },
    machine: { type: "string", default: machineName() },
    between: { type: "string", default: "true" },
  },
})
const [gguf, packed] = positionals
if (!gguf || !packed || !values.peer) {
  console.error(
    "usage: bench/peers.ts <model.gguf> <model.a3b> --peer <folder with node_modules/node-llama-cpp>",
  )
  process.exit(2)
}
const root = join(import.meta.dirname, "..")
const run = promisify(execFile)

interface Turn {
  prefill: number
  decode: number
  loadMs: number
  rssBytes: number
}

interface OurTurn extends Turn {
  isa: string
  bandwidthGBs: number
  weightBytes: number
}

async function ours(): Promise<OurTurn> {
  await run("sh", ["-c", values.between])
  const { prefill, decode, depth, threads } = values
  const result = await bench(
    ...[packed, "--prefill", prefill, "--decode", decode, "--depth", depth, "--threads", threads],
  )
  return {
    prefill: result.prefill[0].tokensPerSecond,
    decode: result.decode[0].tokensPerSecond,
    loadMs: result.loadMs,
    rssBytes: result.rssBytes,
    isa: result.isa,
    bandwidthGBs: result.readBandwidthGBs ?? NaN, // only the cpu measures it
    weightBytes: result.weightBytesPerToken,
  }
}

async function peer(): Promise<Turn> {
  await run("sh", ["-c", values.between])
  const args = [values.peer ?? "", gguf, values.prefill, values.decode, values.depth, values.threads]
  const { stdout } = await run(process.execPath, [join(root, "bench/peer.mjs"), ...args])
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "")
}

const pairs: { a: OurTurn; b: Turn }[] = []
for (let round = 0; round < Number(values.rounds); round++) {
  const a = await ours()
  const b = await peer()
  pairs.push({ a, b })
  const line = [
    `round ${round + 1}`,
    `decode ${a.decode.toFixed(2)} / ${b.decode.toFixed(2)} = ${(a.decode / b.decode).toFixed(2)}x`,
    `prefill ${a.prefill.toFixed(1)} / ${b.prefill.toFixed(1)} = ${(a.prefill / b.prefill).toFixed(2)}x`,
    `bandwidth ${a.bandwidthGBs.toFixed(1)} GB/s`,
    `share ${((100 * a.decode * a.weightBytes) / 1e9 / a.bandwidthGBs).toFixed(0)} %`,
    `load ${(a.loadMs / 1000).toFixed(1)} s / ${(b.loadMs / 1000).toFixed(1)} s`,
    `other jobs ${loadavg()[0].toFixed(1)}`,
  ]
  console.log(line.join("   "))
}

const { version } = JSON.parse(
  readFileSync(join(values.peer, "node_modules/node-llama-cpp/package.json"), "utf8"),
)
const of = (pick: (pair: { a: OurTurn; b: Turn }) => number, digits: number) =>
  median(pairs.map(pick)).toFixed(digits)
const row = {
  date: today(),
  isa: pairs[0].a.isa,
  threads: values.threads,
  rounds: values.rounds,
  weight_bytes_per_token: pairs[0].a.weightBytes,
  read_bandwidth_gbs: of(({ a }) => a.bandwidthGBs, 1),
  decode_tps: of(({ a }) => a.decode, 2),
  peer_decode_tps: of(({ b }) => b.decode, 2),
  decode_ratio: of(({ a, b }) => a.decode / b.decode, 2),
  prefill_tokens: values.prefill,
  prefill_tps: of(({ a }) => a.prefill, 1),
  peer_prefill_tps: of(({ b }) => b.prefill, 1),
  prefill_ratio: of(({ a, b }) => a.prefill / b.prefill, 2),
  load_ms: of(({ a }) => a.loadMs, 0),
  peer_load_ms: of(({ b }) => b.loadMs, 0),
  rss_bytes: of(({ a }) => a.rssBytes, 0),
  peer_rss_bytes: of(({ b }) => b.rssBytes, 0),
  peer: `node-llama-cpp ${version}`,
  depth: values.depth,
}
console.log(appendRow(values.machine, row))
