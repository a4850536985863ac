// What every backend must do, op by op, on seeded random inputs, against the formulas in float64. Inputs are groups of
// 32 integers up to 127 times a power of two, so that a backend which quantises activations to int8 in groups of 32
// loses nothing; keys and values have eight significant bits, so that 16-bit pages lose nothing.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { pageTokens } from "../src/backend/backend.ts"
import type { Backend, Batch, KvCache, Tensor } from "../src/backend/backend.ts"
import { UserError } from "../src/util/errors.ts"
import { formats } from "../src/weights/format.ts"
import type { Format } from "../src/weights/format.ts"
import {
  attention,
  expert,
  int8Groups,
  isDecided,
  product,
  rmsNorm,
  rotate,
  route,
  rowsOf,
} from "./formulas.ts"
import type { Dense, RouteOptions } from "./formulas.ts"
import { describeKvPages } from "./kv-conformance.ts"
import { PackedFile } from "./packed-weights.ts"
import type { Choose, Made } from "./packed-weights.ts"
import { integer, seeded } from "./random.ts"

/** Largest difference allowed, as a part of the expected values' rms. */
export interface Tolerances {
  /** Embedding, norms, rotary embedding. */
  rows: number
  /** Products of inputs that int8 groups hold exactly. */
  products: number
  attention: number
  /** Experts on random weights. */
  experts: number
  /** What the backend does to activations before a quantised matrix. */
  activations: "float" | "int8"
}

interface Setting {
  file: PackedFile
  tolerances: Tolerances
  backend: () => Backend
}

const epsilon = 1e-6
const plainFormats: Format[] = ["f32", "f16", "bf16"]
const seed = 20250428
let drawn = seeded(seed)
/** Starts anew with each test, so that a test does not depend on those before it. */
const random = () => drawn()

export function describeBackend(name: string, create: () => Backend, tolerances: Tolerances): void {
  describe(`the ${name} backend`, () => {
    const folder = mkdtempSync(join(tmpdir(), "a3b-backend-"))
    let backend: Backend
    beforeAll(() => {
      backend = create()
    })
    beforeEach(() => {
      drawn = seeded(seed)
    })
    afterAll(() => {
      backend.free()
      rmSync(folder, { recursive: true })
    })
    const file = new PackedFile(join(folder, "weights"), random)
    const setting: Setting = { file, tolerances, backend: () => backend }
    describeRows(setting)
    describeProducts(setting)
    describeAttention(setting)
    describeExperts(setting)
    describeSteps(setting)
    describeKvPages(() => backend)
  })
}

// ---- embed, rmsNorm, normRope, pickRows

function describeRows({ file, tolerances, backend }: Setting): void {
  test.each(formats)("embed looks up rows of %s", async (format) => {
    const table = file.add("table", format, [50, 512])
    const ids = [7, 0, 49, 7, 16, 15]
    const ops = begin(backend(), batchOf([{ tokens: ids.length }], { ids }))
    const got = await valuesOf(ops, ops.embed(ops.weight(table.tensor)))
    const rows = rowsOf(table.values, 512)
    const expected = ids.flatMap((id) => rows[id])
    expectClose(got, expected, tolerances.rows)
  })

  test.each([1, 2, 33])("rmsNorm of %i rows", async (rows) => {
    const weight = file.add("norm", "f32", [160])
    const x = activations(rows, 160)
    const ops = begin(backend(), batchOf([{ tokens: 1 }]))
    const [from, norm] = [ops.tensor(x, rows, 160), ops.weight(weight.tensor)]
    const first = ops.rmsNorm(from, norm, epsilon)
    const second = ops.rmsNorm(from, norm, epsilon)
    const expected = rowsOf(x, 160).flatMap((row) => rmsNorm(row, weight.values, epsilon))
    expectClose(await valuesOf(ops, first), expected, tolerances.rows)
    expect(ops.read(second)).toEqual(ops.read(first))
  })

  test("a vector worked out from packed ones serves as a norm", async () => {
    const [one, other] = [file.add("one", "f32", [64]), file.add("other", "f32", [64])]
    const x = activations(3, 64)
    const ops = begin(backend(), batchOf([{ tokens: 1 }]))
    const product = ops.vector([one.tensor, other.tensor], (a, b) => a.map((value, i) => value * b[i]))
    expect(product).toMatchObject({ experts: 1, rows: 1, columns: 64 })
    const got = await valuesOf(ops, ops.rmsNorm(ops.tensor(x, 3, 64), product, epsilon))
    const weight = one.values.map((value, i) => Math.fround(value * other.values[i]))
    expectClose(
      got,
      rowsOf(x, 64).flatMap((row) => rmsNorm(row, weight, epsilon)),
      tolerances.rows,
    )
  })

  test.each([64, 128])("normRope turns heads of %i by their positions", async (headDim) => {
    const weight = file.add("head norm", "f32", [headDim])
    const positions = [0, 1, 127, 40_959, 262_143]
    const tokens = positions.length
    const rope = {
      frequencies: Float32Array.from({ length: headDim / 2 }, (_, i) => 1e6 ** ((-2 * i) / headDim)),
      scale: 1.25,
    }
    const x = activations(tokens, 3 * headDim)
    const ops = begin(backend(), batchOf([{ tokens }], { positions }))
    const heads = ops.tensor(x, tokens, 3 * headDim)
    ops.normRope(heads, ops.weight(weight.tensor), rope, epsilon)
    const expected = rowsOf(x, headDim).flatMap((head, i) =>
      rotate(rmsNorm(head, weight.values, epsilon), positions[Math.floor(i / 3)], rope),
    )
    expectClose(await valuesOf(ops, heads), expected, tolerances.rows)
  })

  test.each([[[0, 3, 4]], [[4]], [[]]])("pickRows %j", async (logitRows: number[]) => {
    const x = activations(5, 96)
    const ops = begin(backend(), batchOf([{ tokens: 3 }, { tokens: 2 }], { logitRows }))
    const picked = ops.pickRows(ops.tensor(x, 5, 96))
    expect([picked.rows, picked.columns]).toEqual([logitRows.length, 96])
    const rows = rowsOf(x, 96)
    const expected = logitRows.flatMap((row) => rows[row])
    expect([...(await valuesOf(ops, picked))]).toEqual(expected)
  })

  test.each([
    [1, 40, 40, 7],
    [3, 1000, 1000, 64],
    [2, 1000, 937, 20],
    [1, 5000, 5000, 1],
  ])("largest of %i rows of %i, the first %i of them: %i", async (rows, columns, size, k) => {
    // Few different values, so that many tie.
    const x = Float32Array.from({ length: rows * columns }, () => integer(random, -40, 40) / 8)
    const ops = begin(backend(), batchOf([{ tokens: 1 }]))
    const from = ops.tensor(x, rows, columns)
    const found = ops.largest(from, size, k)
    const got = rowsOf(await valuesOf(ops, found), k)
    for (const [row, values] of rowsOf(x, columns).entries()) {
      const best = [...values.slice(0, size).keys()]
        .sort((a, b) => values[b] - values[a] || a - b)
        .slice(0, k)
      expect([...got[2 * row]]).toEqual(best)
      expect([...got[2 * row + 1]]).toEqual(best.map((column) => values[column]))
    }
    expect(ops.read(from)).toEqual(x)
  })

  test.each([NaN, Infinity, -Infinity])(
    "a row with %d has no largest, nor does it disturb others",
    async (wrong) => {
      for (const place of [0, 70, 299]) {
        const x = Float32Array.from({ length: 600 }, (_, i) => i % 7)
        x[300 + place] = wrong
        const ops = begin(backend(), batchOf([{ tokens: 1 }]))
        const [good, bad] = rowsOf(await valuesOf(ops, ops.largest(ops.tensor(x, 2, 300), 300, 2)), 4)
        expect([...good]).toEqual([6, 13, 6, 6])
        expect(bad[0]).toBe(-1)
      }
    },
  )

  test("no logit rows make no logits", async () => {
    const [norm, head] = [file.add("norm", "f32", [96]), file.add("head", "q8_0", [40, 96])]
    const ops = begin(backend(), batchOf([{ tokens: 2 }], { logitRows: [] }))
    const none = ops.rmsNorm(
      ops.pickRows(ops.tensor(activations(2, 96), 2, 96)),
      ops.weight(norm.tensor),
      epsilon,
    )
    const logits = ops.linear(none, ops.weight(head.tensor))
    expect([logits.rows, logits.columns]).toEqual([0, 40])
    expect(await valuesOf(ops, logits)).toHaveLength(0)
  })
}

// ---- linear, linears, addLinear

function describeProducts({ file, tolerances, backend }: Setting): void {
  const columnsOf = (format: Format) => (format.endsWith("_k") ? [256, 768] : [32, 160, 768])
  const cases = formats.flatMap((format) => columnsOf(format).map((columns) => ({ format, columns })))
  const shapes = [
    { rows: 1, outputs: 1 },
    { rows: 1, outputs: 40 },
    { rows: 3, outputs: 16 },
    { rows: 33, outputs: 72 },
  ]

  test.each(cases)("linear over $columns columns of $format", async ({ format, columns }) => {
    for (const { rows, outputs } of shapes) {
      const weight = file.add("weight", format, [outputs, columns])
      const x = activations(rows, columns)
      const ops = begin(backend(), batchOf([{ tokens: 1 }]))
      const y = ops.linear(ops.tensor(x, rows, columns), ops.weight(weight.tensor))
      expect([y.rows, y.columns]).toEqual([rows, outputs])
      expectClose(await valuesOf(ops, y), product(x, denseOf(weight)), tolerances.products)
    }
  })

  test("linears are several products of one input", async () => {
    const weights = [
      file.add("weight", "q4_0", [48, 256]),
      file.add("weight", "q4_k", [16, 256]),
      file.add("weight", "f16", [20, 256]),
    ]
    const x = activations(4, 256)
    const ops = begin(backend(), batchOf([{ tokens: 1 }]))
    const handles = weights.map(({ tensor }) => ops.weight(tensor))
    const got = ops.linears(ops.tensor(x, 4, 256), handles)
    await ops.submit()
    expect(got).toHaveLength(3)
    for (const [i, weight] of weights.entries())
      expectClose(ops.read(got[i]), product(x, denseOf(weight)), tolerances.products)
  })

  test.each([1, 19])("addLinear adds to %i rows, one op after the other", async (rows) => {
    const [first, second] = [file.add("weight", "q8_0", [40, 128]), file.add("weight", "q4_0", [40, 128])]
    const x = activations(rows, 128)
    const y = activations(rows, 40)
    const ops = begin(backend(), batchOf([{ tokens: 1 }]))
    const [from, sum] = [ops.tensor(x, rows, 128), ops.tensor(y, rows, 40)]
    ops.addLinear(sum, from, ops.weight(first.tensor))
    ops.addLinear(sum, from, ops.weight(second.tensor))
    const seconds = product(x, denseOf(second))
    const expected = product(x, denseOf(first)).map((value, i) => y[i] + value + seconds[i])
    expectClose(await valuesOf(ops, sum), expected, tolerances.products)
  })
}

// ---- storeKv, attend

const layers = 2
const kvHeads = 2
const heads = 8

/** A sequence's pages and its queries, keys and values by position. */
interface Story {
  pages: number[]
  q: number[][]
  k: number[][]
  v: number[][]
}

/** Positions `from` up to `to` of a story. */
interface Part {
  story: Story
  from: number
  to: number
}

function describeAttention({ tolerances, backend }: Setting): void {
  describe.each([64, 128])("attention with heads of %i", (headDim) => {
    const lengths = [1, 127, 128, 129, 300]
    const stories = lengths.map((length, i) => storyOf(length, headDim, [i, i + 5, i + 10]))
    let expected: number[][][]
    beforeAll(() => {
      expected = stories.map((story) => story.q.map((_, position) => attend(story, position, headDim)))
    })
    const newCache = () => backend().kvCache({ layers, pages: 15, kvHeads, headDim })
    const all = (story: Story): Part => ({ story, from: 0, to: story.q.length })

    test("of several sequences in one step", async () => {
      const got = await attendStep(backend(), newCache(), stories.map(all))
      expectClose(got, expected.flat(2), tolerances.attention)
    })

    test("token by token after a prefill, one of each sequence per step", async () => {
      const kv = newCache()
      const longer = stories.slice(1)
      await attendStep(
        backend(),
        kv,
        longer.map((story) => ({ story, from: 0, to: story.q.length - 3 })),
      )
      for (const left of [3, 2, 1]) {
        const at = (story: Story) => story.q.length - left
        const parts = longer.map((story) => ({ story, from: at(story), to: at(story) + 1 }))
        const due = longer.flatMap((story) => expected[stories.indexOf(story)][at(story)])
        expectClose(await attendStep(backend(), kv, parts), due, tolerances.attention)
      }
    })

    test.each([[[128, 256]], [[1, 130, 131, 259]], [[127, 129, 255]]])(
      "of a prefill cut at %j",
      async (cuts: number[]) => {
        const kv = newCache()
        const got: Float32Array[] = []
        for (const [i, to] of [...cuts, 300].entries())
          got.push(await attendStep(backend(), kv, [{ story: stories[4], from: cuts[i - 1] ?? 0, to }]))
        const values = got.flatMap((chunk) => [...chunk])
        expectClose(values, expected[4].flat(), tolerances.attention)
      },
    )
  })
}

/** Layer 0 gets other values, which must not be heard in layer 1. */
async function attendStep(backend: Backend, kv: KvCache, parts: Part[]): Promise<Float32Array> {
  const pieces = parts.map(({ story, from, to }) => ({ tokens: to - from, context: to, pages: story.pages }))
  const ops = begin(backend, batchOf(pieces))
  const made = (key: "q" | "k" | "v") => {
    const rows = parts.flatMap(({ story, from, to }) => story[key].slice(from, to))
    return ops.tensor(Float32Array.from(rows.flat()), rows.length, rows[0].length)
  }
  const [q, k, v] = [made("q"), made("k"), made("v")]
  ops.storeKv(kv, 1, k, v)
  ops.storeKv(kv, 0, v, k)
  return valuesOf(ops, ops.attend(q, kv, 1))
}

function storyOf(length: number, headDim: number, pages: number[]): Story {
  const rows = (columns: number) =>
    Array.from({ length }, () => Array.from({ length: columns }, () => integer(random, -128, 127) / 64))
  const shared = kvHeads * headDim
  return {
    pages: pages.slice(0, 1 + (length >> 7)),
    q: rows(heads * headDim),
    k: rows(shared),
    v: rows(shared),
  }
}

function attend({ q, k, v }: Story, position: number, headDim: number): number[] {
  return rowsOf(q[position], headDim).flatMap((query, head) => {
    const start = Math.floor(head / (heads / kvHeads)) * headDim
    return attention(query, k.slice(0, position + 1), v, start)
  })
}

// ---- route, addExperts

interface MadeExperts {
  gate: Made
  up: Made
  down: Made
}

function describeExperts({ file, tolerances, backend }: Setting): void {
  const add = (formats: Format[], experts: number, inner: number, hidden: number): MadeExperts => ({
    gate: file.add("gate", formats[0], [experts, inner, hidden]),
    up: file.add("up", formats[1], [experts, inner, hidden]),
    down: file.add("down", formats[2], [experts, hidden, inner]),
  })

  const round = ({ down }: MadeExperts) =>
    tolerances.activations === "int8" && !plainFormats.includes(down.tensor.format)
      ? int8Groups
      : (inner: number[]) => inner

  /** The op's result less what was there before, against the formulas. */
  async function check(
    made: MadeExperts,
    router: Made,
    x: Float32Array,
    options: RouteOptions,
    tolerance: number,
  ) {
    const [hidden, outputs] = [made.gate.tensor.shape[2], made.down.tensor.shape[1]]
    const rows = x.length / hidden
    expect(rowsOf(x, hidden).every((row) => isDecided(row, denseOf(router), options))).toBe(true)
    const y = activations(rows, outputs).map((value) => value / 256)
    const ops = begin(backend(), batchOf([{ tokens: 1 }]))
    const [from, sum] = [ops.tensor(x, rows, hidden), ops.tensor(y, rows, outputs)]
    const routing = ops.route(from, ops.weight(router.tensor), options.topK, options.normalise)
    const [gate, up, down] = [made.gate, made.up, made.down].map(({ tensor }) => ops.weight(tensor))
    ops.addExperts(sum, from, routing, { gate, up, down })
    const visitedBefore = ops.visits(gate)
    const added = (await valuesOf(ops, sum)).map((value, i) => value - y[i])
    const expected = rowsOf(x, hidden).flatMap((row) =>
      expertSum(row, made, denseOf(router), options, round(made)),
    )
    expectClose(added, expected, tolerance)
    const chosen = rowsOf(x, hidden).flatMap((row) => route(row, denseOf(router), options))
    const visits = [...visitedBefore.keys()].map((e) => chosen.filter(({ expert }) => expert === e).length)
    expect([...ops.visits(gate)].map((count, e) => count - visitedBefore[e])).toEqual(visits)
  }

  test.each<[Format, Format, Format]>([
    ["q4_0", "q4_0", "q4_0"],
    ["q4_k", "q4_k", "q6_k"],
    ["q5_k", "q8_0", "q5_k"],
    ["bf16", "f16", "f32"],
  ])("experts of %s, %s and %s", async (...formats) => {
    const made = add(formats, 8, 256, 256)
    const router = file.add("router", "f32", [8, 256])
    for (const rows of [1, 3, 20])
      for (const normalise of [true, false]) {
        const options = { topK: 3, normalise }
        await check(made, router, decided(rows, router, options), options, tolerances.experts)
      }
  })

  test.each<Format>(["f16", "bf16"])(
    "a router of %s, over inner widths that are no whole blocks",
    async (format) => {
      const made = add(["q4_0", "q4_0", "q8_0"], 4, 96, 160)
      const router = file.add("router", format, [4, 160])
      const options = { topK: 2, normalise: true }
      await check(made, router, decided(9, router, options), options, tolerances.experts)
    },
  )

  // gate makes 64 of every row, where silu(z) is z, and up copies integers: nothing can be rounded inside.
  test("experts whose inner activations are exact", async () => {
    const oneAt = (at: number, exponent: number) => ({
      q: Array.from({ length: 64 }, (_, k) => (k === at ? 1 : 0)),
      exponent,
    })
    const gate: Choose = () => oneAt(0, 6)
    const up: Choose = (expert, row) => oneAt(32 + ((row * 5 + expert) % 32), 0)
    const made = {
      gate: file.add("gate", "q8_0", [4, 64, 64], gate),
      up: file.add("up", "q8_0", [4, 64, 64], up),
      down: file.add("down", "q8_0", [4, 48, 64]),
    }
    const router = file.add("router", "f32", [4, 64])
    const x = activations(21, 64)
    for (let start = 0; start < x.length; start += 64) {
      for (let k = 0; k < 32; k++) x[start + k] = integer(random, -127, 127) / 64
      x[start] = 1
      x[start + 1] = 127 / 64
    }
    await check(made, router, x, { topK: 2, normalise: true }, tolerances.products)
  })

  test("equal probabilities go to the lower experts", async () => {
    const made = add(["q8_0", "q8_0", "q8_0"], 8, 64, 64)
    const router = file.add("router", "q8_0", [8, 64], () => ({ q: Array<number>(64).fill(0), exponent: 0 }))
    for (const normalise of [true, false])
      await check(made, router, activations(5, 64), { topK: 3, normalise }, tolerances.experts)
  })

  test("every row may go to every expert", async () => {
    const made = add(["q8_0", "q8_0", "q8_0"], 8, 64, 64)
    const router = file.add("router", "f32", [8, 64])
    await check(made, router, activations(5, 64), { topK: 8, normalise: true }, tolerances.experts)
  })

  test.each([0, 7])("all rows may go to expert %i alone", async (favourite) => {
    const made = add(["q4_0", "q4_0", "q4_0"], 8, 128, 64)
    const x = activations(35, 64)
    for (let start = 0; start < x.length; start += 64)
      x[start] = Math.max(...x.subarray(start, start + 32).map(Math.abs))
    const router = file.add("router", "q8_0", [8, 64], (_, row) => ({
      q: Array.from({ length: 64 }, (_, k) => (row === favourite && k === 0 ? 64 : 0)),
      exponent: 0,
    }))
    await check(made, router, x, { topK: 1, normalise: true }, tolerances.experts)
  })
}

function expertSum(
  x: number[],
  { gate, up, down }: MadeExperts,
  router: Dense,
  options: RouteOptions,
  round: (inner: number[]) => number[],
): number[] {
  const sum = new Array<number>(down.tensor.shape[1]).fill(0)
  for (const { expert: e, weight } of route(x, router, options))
    for (const [i, value] of expert(x, denseOf(gate, e), denseOf(up, e), denseOf(down, e), round).entries())
      sum[i] += weight * value
  return sum
}

// ---- steps: lifetimes, cancelling, refusals

function describeSteps({ file, backend }: Setting): void {
  test("what no op has read since keeps its values to the end of the step", async () => {
    const table = file.add("table", "f32", [4, 64])
    const weight = file.add("weight", "q8_0", [64, 64])
    const ops = begin(backend(), batchOf([{ tokens: 2 }], { ids: [3, 1] }))
    const kept = ops.embed(ops.weight(table.tensor))
    const x = ops.tensor(activations(2, 64), 2, 64)
    const made = Array.from({ length: 20 }, () => ops.linear(x, ops.weight(weight.tensor)))
    await ops.submit()
    const rows = rowsOf(table.values, 64)
    expect([...ops.read(kept)]).toEqual([...rows[3], ...rows[1]])
    for (const y of made) expect(ops.read(y)).toEqual(ops.read(made[0]))
    const out = new Float32Array(2 * 64)
    expect(ops.read(kept, out)).toBe(out)
    expect(out).toEqual(ops.read(kept))
  })

  test("an abort ends a long step early and the next step runs", async () => {
    const weight = file.add("weight", "q4_0", [1024, 1024])
    const handle = backend().weight(weight.tensor)
    const delays: number[] = []
    // The whole step takes seconds. A busy machine may spoil one attempt; a backend that does not listen, all three.
    for (let attempt = 0; attempt < 3; attempt++) {
      const ops = begin(backend(), batchOf([{ tokens: 1 }]))
      const x = ops.tensor(activations(256, 1024), 256, 1024)
      const y = ops.tensor(new Float32Array(256 * 1024), 256, 1024)
      for (let i = 0; i < 8000; i++) ops.addLinear(y, x, handle)
      delays.push(await abortDelayMs(ops))
    }
    expect(Math.min(...delays)).toBeLessThan(1000)
    const ops = begin(backend(), batchOf([{ tokens: 1 }]))
    const x = activations(1, 1024)
    const got = await valuesOf(ops, ops.linear(ops.tensor(x, 1, 1024), handle))
    expectClose(got, product(x, denseOf(weight)), 1e-3)
  })

  test("an abort while the largest are looked for does no harm", async () => {
    const router = file.add("router", "f32", [64, 128])
    for (let round = 0; round < 30; round++) {
      const ops = begin(backend(), batchOf([{ tokens: 64 }]))
      // What it leaves in memory between phases are no counts.
      ops.route(ops.tensor(activations(64, 128), 64, 128), ops.weight(router.tensor), 8, true)
      await ops.submit()
      begin(ops, batchOf([{ tokens: 1 }]))
      const abort = new AbortController()
      ops.largest(ops.tensor(new Float32Array(8 * 20_000).fill(1), 8, 20_000), 20_000, 20)
      const done = ops.submit(abort.signal).catch((error: unknown) => error)
      abort.abort()
      expect([undefined, "cancelled"]).toContain(((await done) as UserError | undefined)?.code)
    }
  })

  test("a step that was aborted before it began does not run", async () => {
    const ops = begin(backend(), batchOf([{ tokens: 1 }]))
    ops.tensor(activations(1, 32), 1, 32)
    await expect(ops.submit(AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" })
  })

  test("operands that do not fit are bugs, found when the op is recorded", () => {
    const weight = file.add("weight", "q8_0", [48, 64])
    const ops = begin(backend(), batchOf([{ tokens: 2 }], { ids: [0, 48] }))
    const kv = ops.kvCache({ layers: 1, pages: 1, kvHeads: 1, headDim: 64 })
    const handle = ops.weight(weight.tensor)
    const x = ops.tensor(activations(2, 32), 2, 32)
    const wide = ops.tensor(activations(3, 64), 3, 64)
    const bug = /^bug: /
    expect(() => ops.embed(handle)).toThrow(bug)
    expect(() => ops.linear(x, handle)).toThrow(bug)
    expect(() => ops.addLinear(x, wide, handle)).toThrow(bug)
    expect(() => ops.rmsNorm(wide, handle, epsilon)).toThrow(bug)
    expect(() => ops.route(wide, handle, 49, true)).toThrow(bug)
    expect(() => ops.storeKv(kv, 0, x, x)).toThrow(bug)
    expect(() => ops.storeKv(kv, 1, wide, wide)).toThrow(bug)
    expect(() => ops.attend(wide, kv, 0)).toThrow(bug)
    expect(() => ops.pickRows(wide)).toThrow(bug)
    expect(() => ops.largest(wide, 65, 1)).toThrow(bug)
    expect(() => ops.largest(wide, 64, 65)).toThrow(bug)
    expect(() => ops.begin(batchOf([{ tokens: 129, pages: [0] }]))).toThrow(bug)
    expect(() => ops.begin(batchOf([{ tokens: 2 }], { logitRows: [2] }))).toThrow(bug)
    const [sequence] = batchOf([{ tokens: 2 }]).sequences
    for (const tiers of [[], [4], [1, 1]])
      expect(() =>
        ops.begin({
          ...batchOf([{ tokens: 2 }]),
          sequences: [{ ...sequence, tiers: Uint8Array.from(tiers) }],
        }),
      ).toThrow(bug)
  })

  test("a tensor of an earlier step is not taken for one of this step", () => {
    const weight = file.add("weight", "q8_0", [64, 64])
    const ops = begin(backend(), batchOf([{ tokens: 1 }]))
    const x = ops.tensor(activations(1, 64), 1, 64)
    ops.begin(batchOf([{ tokens: 1 }]))
    expect(() => ops.linear(x, ops.weight(weight.tensor))).toThrow(/^bug: /)
  })

  test("weights of a file that is gone or too short are refused", () => {
    const { tensor } = file.add("weight", "q8_0", [64, 64])
    const gone = { ...tensor, path: `${tensor.path}.gone` }
    const beyond = { ...tensor, offset: tensor.offset + 64 * 1024 }
    for (const wrong of [gone, beyond]) expect(() => backend().weight(wrong)).toThrow(UserError)
  })
}

/** From the abort of a step to its rejection. */
async function abortDelayMs(ops: Backend): Promise<number> {
  const controller = new AbortController()
  const done = ops.submit(controller.signal)
  const aborted = new Promise<number>((resolve) => {
    // Counted from when the timer is due: a blocked event loop is a late abort.
    const dueMs = performance.now() + 40
    setTimeout(() => {
      controller.abort()
      resolve(dueMs)
    }, 40)
  })
  await expect(done).rejects.toMatchObject({ name: "UserError", code: "cancelled" })
  return performance.now() - (await aborted)
}

// ---- the words of these tests

interface Piece {
  tokens: number
  /** Tokens once the step is done; `tokens` if not given. */
  context?: number
  pages?: number[]
}

/** Sequences one after the other; page n * 8 on for the n-th where no pages are given. */
function batchOf(
  pieces: Piece[],
  { ids, positions, logitRows }: { ids?: number[]; positions?: number[]; logitRows?: number[] } = {},
): Batch {
  let firstRow = 0
  const sequences = pieces.map(({ tokens, context = tokens, pages }, i) => {
    const sequence = {
      firstRow,
      numTokens: tokens,
      contextTokens: context,
      pages: Int32Array.from(
        pages ?? Array.from({ length: Math.ceil(context / pageTokens) }, (_, p) => i * 8 + p),
      ),
    }
    firstRow += tokens
    return sequence
  })
  const places = sequences.flatMap(({ numTokens, contextTokens, pages }) =>
    Array.from({ length: numTokens }, (_, i) => {
      const position = contextTokens - numTokens + i
      return { position, slot: pages[position >> 7] * pageTokens + (position & 127) }
    }),
  )
  return {
    ids: Int32Array.from(ids ?? places.map(() => 0)),
    positions: Int32Array.from(positions ?? places.map(({ position }) => position)),
    slots: Int32Array.from(places.map(({ slot }) => slot)),
    sequences,
    logitRows: Int32Array.from(logitRows ?? [firstRow - 1]),
  }
}

function begin(backend: Backend, batch: Batch): Backend {
  backend.begin(batch)
  return backend
}

async function valuesOf(backend: Backend, x: Tensor): Promise<Float32Array> {
  await backend.submit()
  return backend.read(x)
}

/** Activations that the router does not send to experts by a hair. */
function decided(rows: number, router: Made, options: RouteOptions): Float32Array {
  const hidden = router.tensor.shape[1]
  const x = new Float32Array(rows * hidden)
  for (let row = 0; row < rows; row++) {
    let drawn = activations(1, hidden)
    while (!isDecided(drawn, denseOf(router), options)) drawn = activations(1, hidden)
    x.set(drawn, row * hidden)
  }
  return x
}

/** Every 32 values are integers up to 127, which one of them reaches, times a power of two. */
function activations(rows: number, columns: number): Float32Array {
  const x = new Float32Array(rows * columns)
  for (let start = 0; start < x.length; start += 32) {
    const unit = 2 ** integer(random, -10, -6)
    const group = x.subarray(start, start + 32)
    for (let i = 0; i < group.length; i++) group[i] = integer(random, -127, 127) * unit
    group[integer(random, 0, group.length - 1)] = (random() < 0.5 ? 127 : -127) * unit
  }
  return x
}

/** One matrix of a made weight. */
function denseOf({ tensor: { shape }, values }: Made, expert = 0): Dense {
  const [rows, columns] = [shape.at(-2) ?? 1, shape.at(-1)!]
  return { rows, columns, values: values.subarray(expert * rows * columns, (expert + 1) * rows * columns) }
}

function expectClose(got: ArrayLike<number>, expected: number[], tolerance: number): void {
  expect(got.length).toBe(expected.length)
  const rms = Math.sqrt(expected.reduce((sum, value) => sum + value * value, 0) / expected.length)
  let worst = 0
  for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(got[i] - value))
  expect(worst / rms).toBeLessThanOrEqual(tolerance)
}
