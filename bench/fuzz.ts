// Requests that nobody should send, as many as asked for: values of the wrong kind, broken JSON, odd headers, heads that
// are no HTTP, clients that leave at any moment. One of 20 goes over a socket, another to the model's real weights. No
// answer may be a 500 or have a shape of its own, nothing that a client sent may be logged. Ends at the first that is
// wrong, with its number: `--first <number> --runs 1` tries that one again.
//
//   npm run build && npx tsx bench/fuzz.ts models/nano --runs 100000

import { parseArgs } from "node:util"
import { load } from "../src/llm.ts"
import { LocalModel } from "../src/server/local-model.ts"
import { Brief } from "../test/brief-model.ts"
import { ServerFuzz } from "../test/fuzz-server.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "100000" }, first: { type: "string", default: "0" } },
})
const [runs, first] = [values.runs, values.first].map(Number)
const [model] = positionals
if (!(runs > 0) || !(first >= 0)) {
  console.error("usage: npx tsx bench/fuzz.ts [model] [--runs 100000] [--first 0]")
  process.exit(2)
}

const real = model === undefined ? undefined : new Brief(new LocalModel(await load(model)), 4)
const fuzz = new ServerFuzz(real)
const start = performance.now()
for (let number = first; number < first + runs; number++) {
  await fuzz.try(number)
  if ((number + 1 - first) % 10_000 !== 0) continue
  const [seconds, memory] = [(performance.now() - start) / 1000, process.memoryUsage().rss / 2 ** 20]
  console.log(`${number + 1 - first} requests, ${seconds.toFixed(0)} s, ${memory.toFixed(0)} MiB`)
}
await fuzz.end()
await real?.free()
console.log(Object.fromEntries([...fuzz.counts].sort(([a], [b]) => a - b)))
