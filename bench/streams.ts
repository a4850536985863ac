// Several replies at once, ours and node-llama-cpp's in turns on the same GGUF: tokens per second of all streams
// together, from when every stream has its first token to when each has as many as asked for. Appends one row for each
// number of streams to results/streams-<machine>.csv.
//
//   npx tsx bench/streams.ts model.gguf model.a3b --peer /tmp/peer --streams 1,4,8 --rounds 3

import { execFile } from "node:child_process"
import { createRequire } from "node:module"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { parseArgs, promisify } from "node:util"
import { load } from "../src/index.ts"
import { appendRow, machineName, median, today } from "./results.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peer: { type: "string" },
    streams: { type: "string", default: "1,4,8" },
    tokens: { type: "string", default: "48" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: String(availableParallelism()) },
    machine: { type: "string", default: machineName() },
    between: { type: "string", default: "true" },
    /** Set for the processes that this one starts. */
    turn: { type: "string" },
  },
})
const [gguf, packed] = positionals
const { peer } = values
if (!gguf || !packed || !peer) {
  console.error(
    "usage: bench/streams.ts <model.gguf> <model.a3b> --peer <folder with node_modules/node-llama-cpp>",
  )
  process.exit(2)
}
const streams = values.streams.split(",").map(Number)
const [numTokens, threads] = [Number(values.tokens), Number(values.threads)]
const promptTokens = 16

/** A stream's prompt, the same for both. */
function promptOf(stream: number): number[] {
  let state = stream + 1
  return Array.from({ length: promptTokens }, () => (state = (state * 48271) % 2147483647) % 150_000)
}

/** Tokens per second of all replies together once each has begun. */
async function rate(replies: readonly AsyncIterable<unknown>[]): Promise<number> {
  let waiting = replies.length
  let begin = 0
  let counted = 0
  await Promise.all(
    replies.map(async (reply) => {
      let own = 0
      for await (const _ of reply) {
        if (own === 0 && --waiting === 0) begin = performance.now()
        else if (begin > 0) counted++
        if (own++ === numTokens) break
      }
    }),
  )
  return (1000 * counted) / (performance.now() - begin)
}

async function ours(): Promise<number[]> {
  const llm = await load(packed, { threads, context: 4096, kv: "f16" })
  const reply = (stream: number) =>
    llm.generate(Int32Array.from(promptOf(stream)), {
      sampling: { temperature: 0.7, topK: 40, topP: 0.95, maxTokens: numTokens + 1 },
      stopIds: new Set(),
    })
  return measure((count) => Array.from({ length: count }, (_, i) => reply(i)))
}

interface LlamaSequence {
  evaluate(tokens: readonly number[], options: object): AsyncIterable<unknown>
  clearHistory(): Promise<void>
}

async function theirs(folder: string): Promise<number[]> {
  const entry = createRequire(join(folder, "package.json")).resolve("node-llama-cpp")
  const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href)
  const llama = await getLlama({
    gpu: false,
    build: "never",
    logLevel: LlamaLogLevel.error,
    maxThreads: threads,
  })
  const model = await llama.loadModel({ modelPath: gguf })
  const most = Math.max(...streams)
  const context = await model.createContext({ contextSize: 512, sequences: most, batchSize: 512, threads })
  const sequences: LlamaSequence[] = Array.from({ length: most }, () => context.getSequence())
  const sampling = { temperature: 0.7, topK: 40, topP: 0.95, yieldEogToken: true }
  return measure(async (count) => {
    for (const sequence of sequences) await sequence.clearHistory()
    return sequences.slice(0, count).map((sequence, i) => sequence.evaluate(promptOf(i), sampling))
  })
}

/** The first measurement warms up: with the most streams it reads nearly all experts from the disk. */
async function measure(
  replies: (count: number) => Promise<AsyncIterable<unknown>[]> | AsyncIterable<unknown>[],
): Promise<number[]> {
  await rate(await replies(Math.max(...streams)))
  const rates: number[] = []
  for (const count of streams) rates.push(await rate(await replies(count)))
  return rates
}

async function turn(whose: string): Promise<number[]> {
  const run = promisify(execFile)
  await run("sh", ["-c", values.between])
  const { stdout } = await run(process.execPath, [
    ...process.execArgv,
    ...[import.meta.filename, gguf, packed, "--peer", peer ?? "", "--turn", whose],
    ...["--streams", values.streams, "--tokens", values.tokens, "--threads", values.threads],
  ])
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as number[]
}

if (values.turn) {
  console.log(JSON.stringify(await (values.turn === "ours" ? ours() : theirs(peer))))
  process.exit(0)
}

const rounds: { a: number[]; b: number[] }[] = []
for (let round = 0; round < Number(values.rounds); round++) {
  const pair = { a: await turn("ours"), b: await turn("theirs") }
  rounds.push(pair)
  const cells = streams.map(
    (count, i) =>
      `${count}: ${pair.a[i].toFixed(1)} / ${pair.b[i].toFixed(1)} = ${(pair.a[i] / pair.b[i]).toFixed(2)}x`,
  )
  console.log(`round ${round + 1}   ${cells.join("   ")}`)
}
for (const [i, count] of streams.entries()) {
  const row = {
    date: today(),
    threads: values.threads,
    rounds: values.rounds,
    streams: count,
    tokens: values.tokens,
    tps: median(rounds.map(({ a }) => a[i])).toFixed(2),
    peer_tps: median(rounds.map(({ b }) => b[i])).toFixed(2),
    ratio: median(rounds.map(({ a, b }) => a[i] / b[i])).toFixed(2),
  }
  console.log(appendRow(`streams-${values.machine}`, row))
}
