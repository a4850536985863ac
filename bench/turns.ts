// An agent's turns against `a3b serve`: a long prompt, the next turn that goes on from its reply, a client that hangs up
// while another long prompt is read, and a reply that goes on meanwhile. Prints times to the first token, how long the
// processor works on after the hang-up, and how long that reply's tokens wait; appends one row to
// results/turns-<machine>.csv.
//
//   npm run build && npx tsx bench/turns.ts model.a3b --tokens 4000 --rounds 3

import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { appendRow, machineName, median, today } from "./results.ts"
import { processesOf, startServer } from "./a3b.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: "string", default: "4000" },
    rounds: { type: "string", default: "3" },
    machine: { type: "string", default: machineName() },
  },
})
const [model] = positionals
const [numTokens, rounds] = [values.tokens, values.rounds].map(Number)
if (!model || !(numTokens > 0) || !(rounds > 0)) {
  console.error("usage: npx tsx bench/turns.ts <model> [--tokens 4000] [--rounds 3]")
  process.exit(2)
}

interface Message {
  role: "user" | "assistant"
  content: string
}

/** Of about so many tokens, each text another. */
function longText(seed: number): string {
  const words = Array.from({ length: numTokens / 2 }, (_, i) => `word${(seed * 7919 + i * 104729) % 10}`)
  return words.join(" ")
}

function post(messages: readonly Message[], signal?: AbortSignal, more: object = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      ...{ messages, stream: true, max_tokens: 16, temperature: 0 },
      ...{ stream_options: { include_usage: true }, chat_template_kwargs: { enable_thinking: false } },
      ...more,
    }),
    signal,
  })
}

interface Turn {
  firstMs: number
  text: string
  prompt: number
  cached: number
}

async function turn(messages: readonly Message[]): Promise<Turn> {
  const start = performance.now()
  const response = await post(messages)
  if (!response.ok || !response.body) throw new Error(`${response.status}: ${await response.text()}`)
  const done: Turn = { firstMs: 0, text: "", prompt: 0, cached: 0 }
  let rest = ""
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines.filter((one) => one.startsWith("data: {"))) {
      const { choices, usage } = JSON.parse(line.slice(6))
      const text = choices[0]?.delta.content ?? ""
      if (text !== "" && done.firstMs === 0) done.firstMs = performance.now() - start
      done.text += text
      if (!usage) continue
      done.prompt = usage.prompt_tokens
      done.cached = usage.prompt_tokens_details?.cached_tokens ?? 0
    }
  }
  return done
}

/** Seconds of processor time so far, of the server and its model. */
function processorSeconds(): number {
  const ticks = processesOf(pid).flatMap((one) => {
    const fields = readFileSync(`/proc/${one}/stat`, "utf8").split(") ")[1].split(" ")
    return [Number(fields[11]), Number(fields[12])]
  })
  return ticks.reduce((sum, tick) => sum + tick, 0) / 100
}

/** Milliseconds after the hang-up from which on the processor works less than a tenth of one core. */
async function hangUp(seed: number): Promise<number> {
  const abort = new AbortController()
  const reply = post([{ role: "user", content: longText(seed) }], abort.signal).catch(() => undefined)
  await sleep(5000)
  const before = processorSeconds()
  await sleep(500)
  if (processorSeconds() - before < 0.25) throw new Error("the prompt was read before the client hung up")
  abort.abort()
  const start = performance.now()
  await reply
  let [last, busyUntil] = [processorSeconds(), 0]
  for (let at = 0; at < 2000; at = performance.now() - start) {
    await sleep(50)
    const now = processorSeconds()
    if (now - last > 0.01) busyUntil = performance.now() - start
    last = now
  }
  return busyUntil
}

/** Until its form is compiled a reply waits for that. */
const tokensBefore = 16

/** Milliseconds between the tokens of a reply, while the server reads a long prompt for so many seconds. */
async function gapsBeside(seed: number, seconds: number): Promise<number[]> {
  const abort = new AbortController()
  // Broken characters, which random weights would say, and spaces at the end are held back: each token is to be seen.
  const plain = { max_tokens: 4096, structured_outputs: { regex: "[a-z]*" } }
  const reply = await post([{ role: "user", content: `Count from ${seed} on.` }], abort.signal, plain)
  if (!reply.body) throw new Error(`${reply.status}: no body`)
  const gaps: number[] = []
  let [numSeen, lastAt, begunAt] = [0, 0, Infinity]
  try {
    for await (const _ of reply.body) {
      const now = performance.now()
      if (now > begunAt) gaps.push(now - lastAt)
      lastAt = now
      if (++numSeen === tokensBefore) {
        begunAt = now
        void post([{ role: "user", content: longText(seed) }], abort.signal).catch(() => undefined)
      }
      if (now - begunAt > 1000 * seconds) break
    }
  } finally {
    abort.abort()
  }
  return gaps
}

const { url, pid, stop } = await startServer([model, "--context", String(2 * numTokens + 512)])
const firsts: number[] = []
const seconds: number[] = []
const idles: number[] = []
const gaps: number[] = []
try {
  await turn([{ role: "user", content: "Hello" }]) // opens the model
  for (let round = 0; round < rounds; round++) {
    const asked: Message[] = [{ role: "user", content: longText(2 * round) }]
    const first = await turn(asked)
    const next = await turn([
      ...asked,
      { role: "assistant", content: first.text },
      { role: "user", content: "Go on." },
    ])
    const idle = await hangUp(2 * round + 1)
    const waits = await gapsBeside(2 * round + 1, 20)
    gaps.push(...waits)
    firsts.push(first.firstMs)
    seconds.push(next.firstMs)
    idles.push(idle)
    console.log(
      `round ${round + 1}   ${first.prompt} tokens: first token after ${(first.firstMs / 1000).toFixed(1)} s; ` +
        `next turn, ${next.cached} of ${next.prompt} kept: ${(next.firstMs / 1000).toFixed(2)} s ` +
        `(${((100 * next.firstMs) / first.firstMs).toFixed(1)} %); idle ${idle.toFixed(0)} ms after a hang-up; ` +
        `${waits.length} tokens beside a prompt, after ${median(waits).toFixed(0)} ms, at most ${Math.max(...waits).toFixed(0)}`,
    )
  }
} finally {
  await stop()
}
const row = {
  date: today(),
  model: model.split("/").at(-1) ?? model,
  rounds,
  tokens: numTokens,
  first_turn_ms: Math.round(median(firsts)),
  next_turn_ms: Math.round(median(seconds)),
  idle_after_hang_up_ms: Math.round(median(idles)),
  reply_gap_p50_ms: Math.round(median(gaps)),
  reply_gap_max_ms: Math.round(Math.max(...gaps)),
}
console.log(appendRow(`turns-${values.machine}`, row))
