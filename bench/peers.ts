// Ours, node-llama-cpp and whatever has a llama-bench (llama.cpp and its kin) in turns on the same GGUF: each loads, warms
// up, measures, exits. The read bandwidth is measured in each of our turns, so that every turn of the others has its
// roofline. Appends a row for each peer to results/<machine>.csv.
//
//   npm install --prefix /tmp/peer node-llama-cpp@3.22.1
//   npx tsx bench/peers.ts model.gguf model.a3b --peer /tmp/peer --rounds 3
//   npx tsx bench/peers.ts model.gguf model.a3b --llama-bench build/bin/llama-bench --flags="-rtr 1 -fmoe 1 -fa 1"
//
// --prefill-mode fast has us read prompts so; the row's `isa` says it.
// Where memory does not hold both files, what one leaves in the page cache slows the other down; then let a command
// run before each turn: --between "sync; echo 3 > /proc/sys/vm/drop_caches"

import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { availableParallelism, loadavg } from "node:os"
import { basename, join } from "node:path"
import { parseArgs, promisify } from "node:util"
import { bench } from "./a3b.ts"
import { appendRow, machineName, median, today } from "./results.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peer: { type: "string" },
    /** A program, and what it is given beside model, lengths and threads. */
    "llama-bench": { type: "string" },
    flags: { type: "string", default: "" },
    rounds: { type: "string", default: "3" },
    prefill: { type: "string", default: "512" },
    decode: { type: "string", default: "64" },
    /** Tokens that the context holds before. */
    depth: { type: "string", default: "0" },
    threads: { type: "string", default: String(availableParallelism()) },
    "prefill-mode": { type: "string", default: "exact" },
    machine: { type: "string", default: machineName() },
    between: { type: "string", default: "true" },
  },
})
const [gguf, packed] = positionals
if (!gguf || !packed || !(values.peer || values["llama-bench"])) {
  console.error(
    "usage: bench/peers.ts <model.gguf> <model.a3b> [--peer <folder with node_modules/node-llama-cpp>] " +
      '[--llama-bench <program> --flags="..."]',
  )
  process.exit(2)
}
const root = join(import.meta.dirname, "..")
const run = promisify(execFile)

interface Turn {
  prefill: number
  decode: number
  loadMs?: number
  rssBytes?: number
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
    ...["--prefill-mode", values["prefill-mode"]],
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

interface Peer {
  name: string
  turn: () => Promise<Turn>
}

function nodeLlama(folder: string): Peer {
  const { version } = JSON.parse(
    readFileSync(join(folder, "node_modules/node-llama-cpp/package.json"), "utf8"),
  )
  const args = [folder, gguf, values.prefill, values.decode, values.depth, values.threads]
  const turn = async (): Promise<Turn> => {
    const { stdout } = await run(process.execPath, [join(root, "bench/peer.mjs"), ...args])
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "")
  }
  return { name: `node-llama-cpp ${version}`, turn }
}

function llamaBench(program: string): Peer {
  const flags = values.flags.split(" ").filter(Boolean)
  const depth = values.depth === "0" ? [] : ["-d", values.depth]
  const lengths = ["-p", values.prefill, "-n", values.decode, ...depth, "-t", values.threads, "-r", "3"]
  const turn = async (): Promise<Turn> => {
    const { stdout } = await run(program, ["-m", gguf, ...lengths, "-o", "json", ...flags])
    const tests = JSON.parse(stdout.slice(stdout.indexOf("["))) as { n_gen: number; avg_ts: number }[]
    const speed = (decodes: boolean) => tests.find(({ n_gen }) => n_gen > 0 === decodes)?.avg_ts ?? NaN
    return { prefill: speed(false), decode: speed(true) }
  }
  return { name: [basename(program), ...flags].join(" "), turn }
}

const peers: Peer[] = []
if (values.peer) peers.push(nodeLlama(values.peer))
if (values["llama-bench"]) peers.push(llamaBench(values["llama-bench"]))

const mine: OurTurn[] = []
const theirs = peers.map((): Turn[] => [])
for (let round = 0; round < Number(values.rounds); round++) {
  const a = await ours()
  mine.push(a)
  const line = [
    `round ${round + 1}`,
    `ours: decode ${a.decode.toFixed(2)}, prefill ${a.prefill.toFixed(1)}`,
    `bandwidth ${a.bandwidthGBs.toFixed(1)} GB/s`,
    `share ${((100 * a.decode * a.weightBytes) / 1e9 / a.bandwidthGBs).toFixed(0)} %`,
    `load ${((a.loadMs ?? NaN) / 1000).toFixed(1)} s`,
    `other jobs ${loadavg()[0].toFixed(1)}`,
  ]
  console.log(line.join("   "))
  for (const [i, { name, turn }] of peers.entries()) {
    await run("sh", ["-c", values.between])
    const b = await turn()
    theirs[i].push(b)
    const ratios = `${(a.decode / b.decode).toFixed(2)}x, ${(a.prefill / b.prefill).toFixed(2)}x`
    console.log(`  ${name}: decode ${b.decode.toFixed(2)}, prefill ${b.prefill.toFixed(1)}: ${ratios}`)
  }
}

const medianOf = (numbers: readonly (number | undefined)[], digits: number) =>
  numbers.every((n) => n !== undefined) ? median(numbers).toFixed(digits) : ""
for (const [i, { name }] of peers.entries()) {
  const peer = theirs[i]
  const row = {
    date: today(),
    isa: values["prefill-mode"] === "exact" ? mine[0].isa : `${mine[0].isa} ${values["prefill-mode"]}`,
    threads: values.threads,
    rounds: values.rounds,
    weight_bytes_per_token: mine[0].weightBytes,
    read_bandwidth_gbs: medianOf(
      mine.map((a) => a.bandwidthGBs),
      1,
    ),
    decode_tps: medianOf(
      mine.map((a) => a.decode),
      2,
    ),
    peer_decode_tps: medianOf(
      peer.map((b) => b.decode),
      2,
    ),
    decode_ratio: medianOf(
      mine.map((a, round) => a.decode / peer[round].decode),
      2,
    ),
    prefill_tokens: values.prefill,
    prefill_tps: medianOf(
      mine.map((a) => a.prefill),
      1,
    ),
    peer_prefill_tps: medianOf(
      peer.map((b) => b.prefill),
      1,
    ),
    prefill_ratio: medianOf(
      mine.map((a, round) => a.prefill / peer[round].prefill),
      2,
    ),
    load_ms: medianOf(
      mine.map((a) => a.loadMs),
      0,
    ),
    peer_load_ms: medianOf(
      peer.map((b) => b.loadMs),
      0,
    ),
    rss_bytes: medianOf(
      mine.map((a) => a.rssBytes),
      0,
    ),
    peer_rss_bytes: medianOf(
      peer.map((b) => b.rssBytes),
      0,
    ),
    peer: name,
    depth: values.depth,
  }
  console.log(appendRow(values.machine, row))
}
