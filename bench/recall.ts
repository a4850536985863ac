// Recall over a whole long prompt, nothing injected: the constructed retriever reads a haystack with `key value` at even
// depths, once for each tier, and every needle is asked for from a fork of it. Appends a row for each tier to
// results/recall-<machine>.csv. Attention of three layers over 262,144 tokens is 206 TMAC: tens of minutes on two cores.
//
//   npm run build && npx tsx bench/recall.ts --length 262144 --needles 64 --tiers T1,T2,T3 --outliers 64

import { mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { haystack } from "../scripts/haystack.ts"
import { writeRetriever } from "../scripts/retriever.ts"
import { load } from "../src/index.ts"
import type { LoadOptions } from "../src/index.ts"
import { appendRow, machineName, median, today } from "./results.ts"

const { values: options } = parseArgs({
  options: {
    /** Tokens of the prompt, the question's key included. */
    length: { type: "string", default: "262144" },
    needles: { type: "string", default: "64" },
    tiers: { type: "string", default: "T1,T2,T3" },
    outliers: { type: "string", default: "64" },
    words: { type: "string", default: "20000" },
    machine: { type: "string", default: machineName() },
  },
})
const [length, needles, outliers, words] = [
  options.length,
  options.needles,
  options.outliers,
  options.words,
].map(Number)
const tiers = options.tiers.split(",") as NonNullable<LoadOptions["kv"]>[] // `load` refuses others
const greedy = { temperature: 0, maxTokens: 1 }
const none = new Set<number>()

const folder = mkdtempSync(join(tmpdir(), "a3b-recall-"))
// Room for the answer, which the model's positions have to hold too.
const { ids, values } = haystack(length - 2, needles, words)
try {
  writeRetriever(join(folder, "retriever"), { words, outliers })
  process.env.A3B_HOME = folder
  for (const kv of tiers) await measure(kv)
} finally {
  rmSync(folder, { recursive: true })
}

async function measure(kv: NonNullable<LoadOptions["kv"]>): Promise<void> {
  const llm = await load(join(folder, "retriever"), { quant: "keep", backend: "cpu", context: length, kv })
  const questionMs: number[] = []
  let found = 0
  let kept = ""
  for (const [key, value] of values.entries()) {
    const start = performance.now()
    const generation = llm.generate(Int32Array.from([...ids, key]), { sampling: greedy, stopIds: none })
    for await (const id of generation) if (id === value) found++
    questionMs.push(performance.now() - start)
    const { tiers, bytes, savedBytes } = generation.usage.kv ?? { tiers: {}, bytes: 0, savedBytes: 0 }
    kept ||= [...Object.values(tiers), (bytes / (bytes + savedBytes)).toFixed(4)].join(" ")
    if (questionMs.length === 1) console.log(`${kv}: read in ${(questionMs[0] / 1000).toFixed(0)} s`)
  }
  await llm.free()
  const [prefillMs, ...later] = questionMs
  const row = {
    date: today(),
    threads: availableParallelism(),
    tier: kv,
    tokens: length - 1,
    outliers,
    needles,
    found,
    pagesByTierAndShareOf16Bits: kept,
    prefillSeconds: (prefillMs / 1000).toFixed(1),
    tokensPerSecond: ((1000 * length) / prefillMs).toFixed(0),
    questionMs: median(later).toFixed(1),
  }
  console.log(row)
  appendRow(`recall-${options.machine}`, row)
}
