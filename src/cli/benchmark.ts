// Step 5, measured: how fast a model reads prompts and makes tokens at chosen depths of context. Drives the forward
// pass batch by batch on seeded random ids; sampling and text are not in the numbers.

import { monitorEventLoopDelay } from "node:perf_hooks"
import { pageTokens } from "../backend/backend.ts"
import type { Backend, Batch, KvCache, Tensor } from "../backend/backend.ts"
import { Random } from "../engine/random.ts"
import type { ModelConfig } from "../model/config.ts"
import { tensorSpecs } from "../model/tensors.ts"
import { UserError } from "../util/errors.ts"
import { geometry, panelRows } from "../weights/format.ts"
import type { Format, PackedTensor } from "../weights/format.ts"
import { count } from "./units.ts"

export interface Lengths {
  /** Of the prompts that are read. */
  prefill: readonly number[]
  /** Tokens that are made, one by one. */
  decode: number
  /** Tokens that the context holds already. */
  depths: readonly number[]
}

export interface BenchmarkOptions extends Lengths {
  /** Most tokens of one batch. */
  chunkTokens: number
  /** How often each is measured; the median counts. */
  rounds: number
  signal?: AbortSignal
  /** Seconds per op since its last call. */
  timings?: () => Record<string, number>
  onStep?: (what: string) => void
  /** Called when all is measured: whether tokens at depth 0 are made once more, for something has changed. */
  changed?: () => Promise<boolean>
}

/** Seconds of a measurement's last round, by op, where they were asked for. */
interface Profiled {
  opSeconds?: Record<string, number>
}

export interface PrefillSpeed extends Profiled {
  tokens: number
  depth: number
  tokensPerSecond: number
}

export interface DecodeSpeed extends Profiled {
  depth: number
  tokensPerSecond: number
  /** Weight bytes read per second. */
  gbPerSecond: number
  /** What 99 of 100 timers are late by at most while tokens are made. */
  eventLoopDelayP99Ms: number
}

/** What is measured: `Qwen3Moe`. */
export interface BenchmarkModel {
  readonly config: ModelConfig
  readonly backend: Backend
  kvCache(pages: number): KvCache
  forward(batch: Batch): Tensor
}

const warmUpTokens = 512
const warmUpSteps = 4

export async function measure(
  model: BenchmarkModel,
  weightBytesPerToken: number,
  options: BenchmarkOptions,
): Promise<{ prefill: PrefillSpeed[]; decode: DecodeSpeed[]; decodeAgain?: DecodeSpeed }> {
  const { prefill, decode, depths, chunkTokens, rounds, signal, timings, onStep, changed } = options
  const track = new Track(model, longestContext(options), { chunkTokens, signal })
  const timed = async (tokens: number, work: () => Promise<void>) => {
    const speeds: number[] = []
    for (let round = 0; round < rounds; round++) {
      timings?.()
      const start = performance.now()
      await work()
      speeds.push((1000 * tokens) / (performance.now() - start))
    }
    return { tokensPerSecond: median(speeds), ...(timings && { opSeconds: timings() }) }
  }
  const decodeAt = async (depth: number): Promise<DecodeSpeed> => {
    onStep?.(`making ${count(decode)} tokens at depth ${count(depth)}`)
    const delay = new EventLoopDelay()
    const speed = await timed(decode, () => track.decode(depth, decode))
    const gbPerSecond = (weightBytesPerToken * speed.tokensPerSecond) / 1e9
    return { depth, gbPerSecond, eventLoopDelayP99Ms: delay.end(), ...speed }
  }
  onStep?.("warming up")
  // Enough tokens that nearly every expert is read once: the measurement meets no cold pages.
  await track.prefill(0, Math.min(warmUpTokens, model.config.maxPositions))
  await track.decode(0, warmUpSteps)
  const result = { prefill: [] as PrefillSpeed[], decode: [] as DecodeSpeed[] }
  for (const depth of depths) {
    await track.fill(depth)
    for (const tokens of prefill) {
      onStep?.(`reading ${count(tokens)} tokens at depth ${count(depth)}`)
      const speed = await timed(tokens, () => track.prefill(depth, tokens))
      result.prefill.push({ tokens, depth, ...speed })
    }
    if (decode > 0) result.decode.push(await decodeAt(depth))
  }
  return decode > 0 && (await changed?.()) ? { ...result, decodeAgain: await decodeAt(0) } : result
}

class EventLoopDelay {
  readonly #resolutionMs = 1
  readonly #histogram = monitorEventLoopDelay({ resolution: this.#resolutionMs })

  constructor() {
    this.#histogram.enable()
  }

  /** The timer's own period is in what the histogram holds. */
  end(): number {
    this.#histogram.disable()
    return Math.max(0, this.#histogram.percentile(99) / 1e6 - this.#resolutionMs)
  }
}

/** One sequence whose page table is the identity, so that any stretch of it can be run again. */
class Track {
  readonly #model: BenchmarkModel
  readonly #kv: KvCache
  readonly #random = Random.seeded(1)
  readonly #pages: Int32Array
  readonly #logits: Float32Array
  readonly #chunkTokens: number
  readonly #signal: AbortSignal | undefined

  constructor(
    model: BenchmarkModel,
    maxTokens: number,
    { chunkTokens, signal }: { chunkTokens: number; signal: AbortSignal | undefined },
  ) {
    this.#model = model
    this.#chunkTokens = chunkTokens
    this.#signal = signal
    this.#pages = Int32Array.from({ length: Math.ceil(maxTokens / pageTokens) }, (_, page) => page)
    this.#kv = model.kvCache(this.#pages.length)
    this.#logits = new Float32Array(model.config.vocab)
  }

  /**
   * Writes keys and values to the first `depth` slots of every layer. They are random: how fast attention reads them
   * does not depend on what they are, and a forward pass over a long context would take longer than the measurement.
   */
  async fill(depth: number): Promise<void> {
    const { backend } = this.#model
    const { layers, kvHeads, headDim } = this.#kv.shape
    const columns = kvHeads * headDim
    for (let first = 0; first < depth; first += this.#chunkTokens) {
      const tokens = Math.min(this.#chunkTokens, depth - first)
      backend.begin(this.#batch(first, tokens, "none"))
      const values = () => Float32Array.from({ length: tokens * columns }, () => 2 * this.#random.next() - 1)
      const k = backend.tensor(values(), tokens, columns)
      const v = backend.tensor(values(), tokens, columns)
      for (let layer = 0; layer < layers; layer++) backend.storeKv(this.#kv, layer, k, v)
      await backend.submit(this.#signal)
    }
  }

  /** Reads `tokens` random ids from position `depth` on, up to the logits of the last one. */
  async prefill(depth: number, tokens: number): Promise<void> {
    for (let done = 0; done < tokens; done += this.#chunkTokens) {
      const chunk = Math.min(this.#chunkTokens, tokens - done)
      await this.#step(depth + done, chunk, done + chunk === tokens ? "last" : "none")
    }
  }

  async decode(depth: number, steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await this.#step(depth + step, 1, "last")
  }

  async #step(first: number, tokens: number, wanted: "last" | "none"): Promise<void> {
    const { backend } = this.#model
    const logits = this.#model.forward(this.#batch(first, tokens, wanted))
    await backend.submit(this.#signal)
    if (wanted === "last") backend.read(logits, this.#logits)
  }

  #batch(first: number, tokens: number, wanted: "last" | "none"): Batch {
    const { vocab } = this.#model.config
    const positions = Int32Array.from({ length: tokens }, (_, row) => first + row)
    const contextTokens = first + tokens
    const pages = this.#pages.subarray(0, Math.ceil(contextTokens / pageTokens))
    return {
      ids: Int32Array.from({ length: tokens }, () => Math.floor(this.#random.next() * vocab)),
      positions,
      slots: positions,
      sequences: [{ firstRow: 0, numTokens: tokens, contextTokens, pages }],
      logitRows: Int32Array.from(wanted === "last" ? [tokens - 1] : []),
    }
  }
}

/** Tokens that the cache must hold, those of the warm-up included. */
export function longestContext({ prefill, decode, depths }: Lengths): number {
  return Math.max(...depths) + Math.max(warmUpTokens, decode, ...prefill)
}

/** Refuses what the model's positions have no room for. */
export function checkLengths({ maxPositions }: ModelConfig, { prefill, decode, depths }: Lengths): void {
  const wanted = Math.max(...depths) + Math.max(decode, ...prefill)
  if (wanted <= maxPositions) return
  const message = `the model has ${count(maxPositions)} positions; the measurement needs ${count(wanted)}`
  throw new UserError("context-exceeded", `${message}: ask for a smaller --depth or --prefill`)
}

/**
 * Bytes of weights that one decoded token reads: all of attention, norms, router and head, topK of the experts, one
 * row of the embedding. Values times their format's size; what panels pad is not counted.
 */
export function weightBytesPerToken(
  config: ModelConfig,
  tensors: ReadonlyMap<string, Pick<PackedTensor, "format">>,
): number {
  let bytes = 0
  for (const { name, shape, role } of tensorSpecs(config)) {
    const format = tensors.get(name)?.format
    if (!format) continue
    const whole = shape.reduce((product, size) => product * size, 1) * bytesPerValue(format)
    if (shape.length === 3) bytes += (whole * config.topK) / config.experts
    else if (role === "embedding") bytes += whole / config.vocab + (config.tied ? whole : 0)
    else bytes += whole
  }
  return bytes
}

function bytesPerValue(format: Format): number {
  const { blockBytes, blockColumns, panels } = geometry[format]
  return blockBytes / (blockColumns * (panels ? panelRows : 1))
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
