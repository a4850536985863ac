// The whole way from a GGUF file to logits, against llama.cpp's results on the same file. `X.dequantised.json` is the
// exact answer, computed on the file's weights as float32; `X.json` is llama.cpp on the file as it is, which rounds
// activations to 8 bits: its distance from the exact answer is the bar for backends that round theirs too.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Backend, Batch, Tensor, Weight } from "../src/backend/backend.ts"
import { instructionSets, loadCpuBackend } from "../src/backend/cpu/cpu.ts"
import { ReferenceBackend } from "../src/backend/reference/reference.ts"
import { parseConfig } from "../src/model/config.ts"
import { Qwen3Moe } from "../src/model/qwen3moe.ts"
import { tensorSpecs } from "../src/model/tensors.ts"
import { UserError } from "../src/util/errors.ts"
import { openCheckpoint } from "../src/weights/checkpoint.ts"
import { pack } from "../src/weights/pack.ts"
import { openPacked } from "../src/weights/packed.ts"
import type { PackedModel } from "../src/weights/packed.ts"

const data = "../shared/data/parity"

/** What the JSON files hold. */
interface Answer {
  tokens: number[]
  /** [tokens][vocab] */
  logits: number[][]
  /** By tensor name, for the last token. */
  last_position: Record<string, number[]>
  greedy: number[]
  /** Once all of `greedy` is in the context. */
  logits_after_greedy: number[]
}

describe.runIf(existsSync(data)).each(["q8_0", "q4_0", "q4_k_m"])("the %s parity model", (quant) => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-parity-"))
  let packed: PackedModel
  let exact: Answer
  let rounded: Answer
  /** Of the reference backend, for the prompt and along the exact answer's greedy tokens. */
  let whole: number[][]
  let along: number[][]
  beforeAll(async () => {
    exact = readAnswer(`parity-${quant}.dequantised.json`)
    rounded = readAnswer(`parity-${quant}.json`)
    const checkpoint = await openCheckpoint(`${data}/parity-${quant}.gguf`)
    await pack(checkpoint, tensorSpecs(parseConfig(checkpoint.config)), join(folder, "packed"))
    packed = openPacked(join(folder, "packed"))
    whole = await logitsOf(load(new ReferenceBackend(), packed), exact.tokens, [24])
    along = await alongGreedy(new ReferenceBackend(), packed, exact)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test("every tensor is packed exactly", () => {
    const inexact = [...packed.tensors.values()].filter((tensor) => !tensor.exact)
    expect(inexact).toEqual([])
  })

  describe("on the reference backend", () => {
    test("logits differ from the exact answer by at most 1e-4 of their rms", () => {
      expect(largestDifference(whole, exact.logits)).toBeLessThanOrEqual(1e-4 * rms(exact.logits.flat()))
    })

    test("a prefill in pieces gives the same logits", async () => {
      const pieces = await logitsOf(load(new ReferenceBackend(), packed), exact.tokens, [1, 10, 11, 24])
      expect(pieces).toEqual(whole)
    })

    test("so do the tensors inside every layer", async () => {
      const backend = new TracingBackend()
      await logitsOf(load(backend, packed), exact.tokens, [24])
      const traced = backend.lastRows()
      expect([...traced.keys()]).toHaveLength(4 * 4 + 1)
      for (const [name, got] of traced) {
        const expected = exact.last_position[name]
        expect(largestDifference([got], [expected]), name).toBeLessThanOrEqual(1e-4 * rms(expected))
      }
    })

    test("greedy decoding goes the exact answer's way", () => {
      expect(along.slice(0, 16).map(argmax)).toEqual(exact.greedy)
      const bar = 1e-4 * rms(exact.logits_after_greedy)
      expect(largestDifference(along.slice(16), [exact.logits_after_greedy])).toBeLessThanOrEqual(bar)
    })
  })

  describe.each(setsOfThisMachine())("on the cpu backend with %s", (isa) => {
    // Fast prefill rounds weights and activations once more where the set has tiles: the rounding of llama.cpp's
    // activations and as much again of each factor, which add up to less than twice.
    test.each([
      ["exact", 1.1],
      ["fast", isa === "amx" ? 2 : 1.1],
    ] as const)(
      "logits are, %s, at most %d times as far from the exact answer as llama.cpp's",
      async (prefillMode, times) => {
        const llama = distance(rounded.logits, exact.logits)
        for (const steps of [[24], [1, 10, 11, 24]]) {
          const model = load(loadCpuBackend({ isa, threads: 2, prefillMode }), packed)
          const got = await logitsOf(model, exact.tokens, steps)
          expect(distance(got, exact.logits) / llama).toBeLessThanOrEqual(times)
        }
      },
    )

    test("greedy decoding agrees wherever the answer is clear", async () => {
      const clear = 2 * largestDifference(rounded.logits, exact.logits)
      const got = await alongGreedy(loadCpuBackend({ isa, threads: 2 }), packed, exact)
      const decided = [...along.keys()].filter((i) => topGap(along[i]) > clear)
      expect(decided.length).toBeGreaterThan(0)
      const choices = (logits: number[][]) => decided.map((i) => argmax(logits[i]))
      expect(choices(got)).toEqual(choices(along))
    })
  })
})

/** None where the addon is not built. */
function setsOfThisMachine(): string[] {
  try {
    return instructionSets()
  } catch (error) {
    if (error instanceof UserError) return []
    throw error
  }
}

function readAnswer(name: string): Answer {
  return JSON.parse(readFileSync(`${data}/${name}`, "utf8")) as Answer
}

function load(backend: Backend, packed: PackedModel): Qwen3Moe {
  const model = Qwen3Moe.load(backend, packed)
  model.kvCache(4)
  return model
}

/** Logits of every position; a step ends at each of `steps`. */
async function logitsOf(model: Qwen3Moe, tokens: number[], steps: number[]): Promise<number[][]> {
  const logits: number[][] = []
  for (const [i, end] of steps.entries()) {
    const made = model.forward(stepOf(tokens, i === 0 ? 0 : steps[i - 1], end))
    await model.backend.submit()
    const values = model.backend.read(made)
    for (let row = 0; row < made.rows; row++)
      logits.push([...values.subarray(row * made.columns, (row + 1) * made.columns)])
  }
  model.backend.free()
  return logits
}

/** Logits of the last token of the prompt and of the 16 that the exact answer goes on with. */
async function alongGreedy(
  backend: Backend,
  packed: PackedModel,
  { tokens, greedy }: Answer,
): Promise<number[][]> {
  const all = [...tokens, ...greedy]
  const steps = [...greedy.keys(), greedy.length].map((i) => tokens.length + i)
  const logits = await logitsOf(load(backend, packed), all, steps)
  return logits.slice(tokens.length - 1)
}

/** Positions `start` up to `end` of one sequence, on page 2. */
function stepOf(tokens: number[], start: number, end: number): Batch {
  const positions = Int32Array.from({ length: end - start }, (_, i) => start + i)
  return {
    ids: Int32Array.from(tokens.slice(start, end)),
    positions,
    slots: positions.map((position) => 2 * 128 + position),
    sequences: [{ firstRow: 0, numTokens: end - start, contextTokens: end, pages: Int32Array.of(2) }],
    logitRows: positions.map((_, i) => i),
  }
}

/** Keeps hold of what the forward pass makes, under llama.cpp's names; the reference backend keeps the values. */
class TracingBackend extends ReferenceBackend {
  readonly #norms: Tensor[] = []
  readonly #values: Tensor[] = []
  readonly #attended: Tensor[] = []

  override rmsNorm(...args: Parameters<Backend["rmsNorm"]>): Tensor {
    return kept(this.#norms, super.rmsNorm(...args))
  }

  override linears(x: Tensor, weights: readonly Weight[]): Tensor[] {
    const made = super.linears(x, weights)
    kept(this.#values, made[2])
    return made
  }

  override attend(...args: Parameters<Backend["attend"]>): Tensor {
    return kept(this.#attended, super.attend(...args))
  }

  override free(): void {}

  lastRows(): Map<string, number[]> {
    const rows = new Map<string, number[]>()
    const add = (name: string, x: Tensor) => rows.set(name, [...this.read(x).slice(-x.columns)])
    for (const [i, x] of this.#norms.entries()) {
      const name =
        i === this.#norms.length - 1 ? "result_norm" : `${i % 2 === 0 ? "attn" : "ffn"}_norm-${i >> 1}`
      add(name, x)
    }
    for (const [i, x] of this.#values.entries()) add(`Vcur-${i}`, x)
    for (const [i, x] of this.#attended.entries()) add(`kqv_out-${i}`, x)
    return rows
  }
}

function kept(list: Tensor[], x: Tensor): Tensor {
  list.push(x)
  return x
}

function rms(values: number[]): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)
}

function largestDifference(a: number[][], b: number[][]): number {
  const differences = differencesOf(a, b)
  return differences.reduce((largest, d) => Math.max(largest, Math.abs(d)), 0)
}

/** Relative L2. */
function distance(got: number[][], exact: number[][]): number {
  return rms(differencesOf(got, exact)) / rms(exact.flat())
}

function differencesOf(a: number[][], b: number[][]): number[] {
  const [x, y] = [a.flat(), b.flat()]
  expect(x).toHaveLength(y.length)
  return x.map((value, i) => value - y[i])
}

function argmax(logits: number[]): number {
  return logits.indexOf(Math.max(...logits))
}

function topGap(logits: number[]): number {
  const [first, second] = logits.toSorted((a, b) => b - a)
  return first - second
}
