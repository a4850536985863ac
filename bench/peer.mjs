// One measurement of node-llama-cpp on a GGUF: loads, warms up, measures, prints one line of JSON, exits.
// node bench/peer.mjs <folder with node_modules/node-llama-cpp> <model.gguf> <prefill tokens> <decode tokens> <threads>
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const [folder, modelPath, prefill, decode, threads] = process.argv.slice(2)
const entry = createRequire(join(folder, "package.json")).resolve("node-llama-cpp")
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href)

const begin = performance.now()
const llama = await getLlama({
  gpu: false,
  build: "never",
  logLevel: LlamaLogLevel.error,
  maxThreads: Number(threads),
})
const model = await llama.loadModel({ modelPath })
const numPrefill = Number(prefill)
const context = await model.createContext({
  contextSize: numPrefill + 512,
  batchSize: numPrefill,
  threads: Number(threads),
})
const loadMs = performance.now() - begin
const sequence = context.getSequence()

let state = 1
const ids = (count) => Array.from({ length: count }, () => (state = (state * 48271) % 2147483647) % 150000)

async function timePrefill(count) {
  await sequence.clearHistory()
  const tokens = ids(count)
  const start = performance.now()
  await sequence.evaluateWithoutGeneratingNewTokens(tokens)
  return count / ((performance.now() - start) / 1000)
}

async function timeDecode(count) {
  await sequence.clearHistory()
  let done = 0
  let start = 0
  for await (const _ of sequence.evaluate(ids(4), { temperature: 0.7, yieldEogToken: true })) {
    if (done === 0) start = performance.now()
    if (done++ === count) break
  }
  return count / ((performance.now() - start) / 1000)
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
await timePrefill(32)
await timeDecode(8)
const prefills = []
const decodes = []
for (let round = 0; round < 3; round++) {
  prefills.push(await timePrefill(numPrefill))
  decodes.push(await timeDecode(Number(decode)))
}
console.log(
  JSON.stringify({
    prefill: median(prefills),
    decode: median(decodes),
    loadMs,
    rssBytes: process.memoryUsage().rss,
  }),
)
process.exit(0)
