// Many clients at once against `a3b serve`, for minutes: streams read to the end, hang-ups while a prompt is read and
// while a reply comes, broken bodies. Every whole answer must be the one that a client alone gets; afterwards nothing may
// run, and the process may not have grown. Prints times to the first token and between tokens; exits 1 where something
// was wrong, else appends one row to results/load-<machine>.csv.
//
//   npm run build && npx tsx bench/load.ts models/nano --streams 64 --minutes 10

import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Random } from "../src/distill/world/random.ts"
import { problems, wordTasks } from "../src/distill/world/world.ts"
import { appendRow, machineName, median, today } from "./results.ts"
import { processesOf, startServer } from "./a3b.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    streams: { type: "string", default: "64" },
    minutes: { type: "string", default: "10" },
    prompts: { type: "string", default: "48" },
    machine: { type: "string", default: machineName() },
  },
})
const [model] = positionals
const [numStreams, minutes, numPrompts] = [values.streams, values.minutes, values.prompts].map(Number)
if (!model || !(numStreams > 0) || !(minutes > 0) || !(numPrompts > 0)) {
  console.error("usage: npx tsx bench/load.ts <model> [--streams 64] [--minutes 10] [--prompts 48]")
  process.exit(2)
}

interface Chunk {
  choices: { delta: { content?: string | null; reasoning_content?: string | null } }[]
}

const wrongs: string[] = []
const firstTokenMs: number[] = []
const nextTokenMs: number[] = []
const counts = { answers: 0, hangUps: 0, refusals: 0 }

function bodyOf(content: string): string {
  return JSON.stringify({
    messages: [{ role: "user", content }],
    stream: true,
    temperature: 0,
    max_tokens: 256,
  })
}

/** The whole reply, or what came of it until `stop` says to hang up. */
async function ask(
  url: string,
  body: string,
  stop: (pieces: number) => boolean = () => false,
): Promise<string> {
  const abort = new AbortController()
  const start = performance.now()
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    signal: abort.signal,
  })
  if (!response.ok || !response.body) throw new Error(`${response.status}: ${await response.text()}`)
  let [text, rest, pieces, last] = ["", "", 0, start]
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + bytes).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) {
      if (!line.startsWith("data: {")) continue
      const { choices } = JSON.parse(line.slice(6)) as Chunk
      const piece = choices
        .map(({ delta }) => (delta.reasoning_content ?? "") + (delta.content ?? ""))
        .join("")
      if (piece === "") continue
      const now = performance.now()
      if (pieces++ === 0) firstTokenMs.push(now - start)
      else nextTokenMs.push(now - last)
      last = now
      text += piece
    }
    if (!stop(pieces)) continue
    abort.abort()
    counts.hangUps++
    break
  }
  return text
}

/** What is no request must be refused with an error of its own, and not by a crash. */
async function malform(url: string, body: string, random: Random): Promise<void> {
  const broken = [
    body.slice(0, random.between(1, body.length - 2)),
    body.replace('"user"', String(random.between(0, 99))),
    "[".repeat(random.between(1, 5000)),
    body.replace("256", '"many"'),
    JSON.stringify({ messages: [] }),
  ]
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: random.pick(broken),
  })
  const text = await response.text()
  if (response.status < 400 || response.status >= 500)
    wrongs.push(`a broken body got ${response.status}: ${text}`)
  counts.refusals++
}

async function client(
  url: string,
  seed: number,
  until: number,
  answers: ReadonlyMap<string, string>,
): Promise<void> {
  const random = new Random(seed)
  const contents = [...answers.keys()]
  while (performance.now() < until) {
    const content = random.pick(contents)
    const kind = random.next()
    try {
      if (kind < 0.08) await malform(url, bodyOf(content), random)
      else if (kind < 0.16) await hangUpEarly(url, bodyOf(`${content} `.repeat(20)), random)
      else if (kind < 0.26) await ask(url, bodyOf(content), (pieces) => pieces >= 1 + (seed % 7))
      else {
        const got = await ask(url, bodyOf(content))
        counts.answers++
        if (got !== answers.get(content)) wrongs.push(`another answer to ${content}: ${got}`)
      }
    } catch (error) {
      wrongs.push(String(error))
    }
  }
}

/** While the prompt is read, as likely as not. */
async function hangUpEarly(url: string, body: string, random: Random): Promise<void> {
  const headers = { "content-type": "application/json" }
  const signal = AbortSignal.timeout(random.between(1, 60))
  counts.hangUps++
  await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body, signal })
    .then((response) => response.body?.cancel())
    .catch(() => undefined)
}

/** Of the server's process and its model's, without the pages of mapped files. */
function anonymousMiB(pid: number): number {
  const sizes = processesOf(pid).map((one) => {
    const status = readFileSync(`/proc/${one}/status`, "utf8")
    return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) / 1024
  })
  return sizes.reduce((sum, size) => sum + size, 0)
}

async function gauge(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1])
}

const quantile = (numbers: readonly number[], at: number) =>
  numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(at * numbers.length))]

const { url, pid, stop } = await startServer([model, "--max-requests", "1000"])
const source = problems({ tasks: wordTasks, split: "held-out", seed: 11 })
const contents = Array.from({ length: numPrompts }, () => String(source.next().value.messages[0].content))
const answers = new Map<string, string>()
for (const content of contents) answers.set(content, await ask(url, bodyOf(content)))
const alone = { first: median(firstTokenMs), next: median(nextTokenMs) }
firstTokenMs.length = nextTokenMs.length = 0
console.log(
  `${answers.size} answers alone; first token ${alone.first.toFixed(0)} ms, next ${alone.next.toFixed(1)} ms`,
)

const begin = performance.now()
const until = begin + minutes * 60_000
const memory: number[] = []
const clients = Array.from({ length: numStreams }, (_, i) => client(url, i + 1, until, answers))
while (performance.now() < until) {
  // Thirty times, so that there are thirds to compare.
  await sleep(Math.min(minutes * 2000, Math.max(0, until - performance.now())))
  memory.push(anonymousMiB(pid))
}
await Promise.all(clients)
const seconds = (performance.now() - begin) / 1000
await sleep(1000)
const left = await Promise.all(
  ["a3b_requests_running", "a3b_requests_waiting", "a3b_kv_cache_usage_ratio"].map((name) =>
    gauge(url, name),
  ),
)
if (left.some((value) => value !== 0)) wrongs.push(`afterwards ${left.join(", ")} run, wait and hold pages`)
const code = await stop()
if (code !== 0 && code !== 130) wrongs.push(`the server ended with ${code}`)

// The first third is when caches and pools fill.
const third = Math.ceil(memory.length / 3)
const [early, late] = [median(memory.slice(third, 2 * third)), median(memory.slice(2 * third))]
if (late > 1.1 * early + 16) wrongs.push(`memory grew from ${early.toFixed(0)} to ${late.toFixed(0)} MiB`)
const row = {
  date: today(),
  model,
  streams: numStreams,
  minutes,
  answers: counts.answers,
  hang_ups: counts.hangUps,
  refusals: counts.refusals,
  wrong: wrongs.length,
  tokens_per_second: Math.round(nextTokenMs.length / seconds),
  ttft_p50_ms: Math.round(quantile(firstTokenMs, 0.5)),
  ttft_p99_ms: Math.round(quantile(firstTokenMs, 0.99)),
  itl_p50_ms: quantile(nextTokenMs, 0.5).toFixed(1),
  itl_p99_ms: quantile(nextTokenMs, 0.99).toFixed(1),
  rss_middle_mib: Math.round(early),
  rss_end_mib: Math.round(late),
}
console.log(row)
for (const wrong of wrongs.slice(0, 10)) console.error(wrong)
if (wrongs.length > 0) process.exit(1)
console.log(appendRow(`load-${values.machine}`, row))
