// One measurement of node-llama-cpp on a GGUF: loads, warms up, measures, prints one line of JSON, exits.
// node bench/peer.mjs <folder with node_modules/node-llama-cpp> <model.gguf> <prefill> <decode> <depth> <threads>
// Prefill and decode are numbers of tokens, depth how many the context holds before.
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const [folder, modelPath, ...numbers] = process.argv.slice(2)
const [prefill, decode, depth, threads] = numbers.map(Number)
const entry = createRequire(join(folder, "package.json")).resolve("node-llama-cpp")
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href)

const begin = performance.now()
const llama = await getLlama({
  gpu: false,
  build: "never",
  logLevel: LlamaLogLevel.error,
  maxThreads: threads,
})
const model = await llama.loadModel({ modelPath })
const context = await model.createContext({
  contextSize: depth + prefill + decode + 512,
  batchSize: Math.max(prefill, 512),
  threads,
})
const loadMs = performance.now() - begin
const sequence = context.getSequence()

let state = 1
const ids = (count) => Array.from({ length: count }, () => (state = (state * 48271) % 2147483647) % 150000)

async function fill(count) {
  await sequence.clearHistory()
  await sequence.evaluateWithoutGeneratingNewTokens(ids(count))
}

async function timePrefill(count) {
  const start = performance.now()
  await sequence.evaluateWithoutGeneratingNewTokens(ids(count))
  return count / ((performance.now() - start) / 1000)
}

async function timeDecode(count) {
  let done = 0
  let start = 0
  for await (const _ of sequence.evaluate(ids(4), { temperature: 0.7, yieldEogToken: true })) {
    if (done === 0) start = performance.now()
    if (done++ === count) break
  }
  return count / ((performance.now() - start) / 1000)
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
await fill(32)
await timeDecode(8)
const prefills = []
const decodes = []
// To fill a context takes minutes; what follows is then measured once.
for (let round = 0; round < (depth > 0 ? 1 : 3); round++) {
  await (depth > 0 ? fill(depth) : sequence.clearHistory())
  prefills.push(await timePrefill(prefill))
  await sequence.eraseContextTokenRanges([{ start: depth, end: sequence.nextTokenIndex }])
  decodes.push(await timeDecode(decode))
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
