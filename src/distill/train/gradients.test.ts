import { describe, expect, test } from "vitest"
import {
  randomValues,
  relativeError,
  tinyBatch,
  tinyConfig,
  tinyNetwork,
} from "../../../test/tiny-training.ts"
import { instructionSets } from "../../backend/cpu/cpu.ts"
import { embeddingName, finalNormName, headName, layerNames } from "../../model/tensors.ts"
import type { ModelConfig } from "../../model/config.ts"
import { positions } from "./batch.ts"
import type { SoftTargets } from "./head.ts"
import { forward, type Network } from "./model.ts"
import { NativeOps } from "./native.ts"
import { learn } from "./objective.ts"
import type { Ops, Values } from "./ops.ts"
import { referenceOps } from "./reference.ts"

const balance = 0.05
const batch = tinyBatch([9, 1, 6], tinyConfig.vocab, 3)
const untied = { ...tinyConfig, tied: false }
const unnormalised = { ...tinyConfig, normaliseTopK: false, topK: 3 }
const native = new NativeOps({ threads: 2 })
const fastest = new NativeOps({ threads: 2, products: "fastest" })
const otherSets = instructionSets().slice(1)

const teacherLogits = randomValues(referenceOps, batch.ids.length * tinyConfig.vocab, 5).map((x) => 3 * x)

/** Which experts every row of every layer goes to. */
function choices(network: Network): number[] {
  network.arena.reset()
  const { ids, starts } = batch
  return forward(network, { ids, starts, positions: positions(starts) }).layers.flatMap(({ routing }) => [
    ...routing.choices,
  ])
}

/** The places of a parameter whose gradients are checked: the largest, and others spread over it. */
function probes(gradient: Float64Array): number[] {
  const largest = gradient.reduce((best, x, i) => (Math.abs(x) > Math.abs(gradient[best]) ? i : best), 0)
  return [largest, ...Array.from({ length: 5 }, (_, i) => Math.floor(((i + 0.5) / 5) * gradient.length))]
}

/** Central differences to the fourth order; every moved parameter must leave the routing as it was. */
function slope(network: Network, values: Values, at: number, routing: number[], soft?: SoftTargets): number {
  const start = values[at]
  const step = 1e-3
  const moved = (steps: number) => {
    values[at] = start + steps * step
    expect(choices(network)).toEqual(routing)
    const { loss, auxiliary } = learn(network, batch, balance, soft)
    return loss + balance * auxiliary
  }
  const result = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step)
  values[at] = start
  return result
}

function expectGradient(network: Network, name: string, soft?: SoftTargets): void {
  const routing = choices(network)
  learn(network, batch, balance, soft)
  const gradient = Float64Array.from(network.parameters.gradient(name))
  const scale = gradient.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  expect(scale).toBeGreaterThan(1e-6)
  for (const at of probes(gradient)) {
    const wanted = slope(network, network.parameters.value(name), at, routing, soft)
    expect(Math.abs(wanted - gradient[at]) / scale).toBeLessThan(1e-6)
  }
}

const layer = layerNames(1)
const kinds = { embedding: embeddingName, ...layer, "final norm": finalNormName }

test.each(Object.entries(kinds))("the gradient of %s is the slope of the objective", (_, name) => {
  expectGradient(tinyNetwork(referenceOps, tinyConfig, 1), name)
})

test.each(["embedding", "head"])("with a head of its own the gradient of the %s is the slope", (part) => {
  expectGradient(tinyNetwork(referenceOps, untied, 1), part === "head" ? headName : embeddingName)
})

test.each(["router", "down"] as const)(
  "without renormalised weights the gradient of %s is the slope",
  (part) => {
    expectGradient(tinyNetwork(referenceOps, unnormalised, 1), layer[part])
  },
)

test.each([0, 0.5, 1])("towards a teacher with mix %d gradients are slopes", (mix) => {
  const network = tinyNetwork(referenceOps, tinyConfig, 1)
  for (const name of [embeddingName, layer.q, layer.down])
    expectGradient(network, name, { teacherLogits, mix })
})

function expectSame(config: ModelConfig, isa: string | undefined, soft?: SoftTargets): void {
  const ops = isa === undefined ? native : new NativeOps({ threads: 2, isa })
  const wanted = tinyNetwork(referenceOps, config, 1)
  const got = tinyNetwork(ops, config, 1)
  const outcome = learn(wanted, batch, balance, soft)
  const inFloats = soft && { ...soft, teacherLogits: Float32Array.from(soft.teacherLogits) }
  const { loss, load } = learn(got, batch, balance, inFloats)
  expect(load).toEqual(outcome.load)
  expect(loss).toBeCloseTo(outcome.loss, 5)
  for (const { name } of wanted.parameters.specs) {
    const error = relativeError(got.parameters.gradient(name), wanted.parameters.gradient(name))
    expect(error, name).toBeLessThan(1e-4)
  }
}

test.each([
  ["tied", tinyConfig],
  ["untied", untied],
  ["unnormalised", unnormalised],
])("native gradients are the reference's: %s", (_, config) => expectSame(config, undefined))

test.each(otherSets)("so they are on %s", (isa) => expectSame(tinyConfig, isa))

test.each([0, 0.5, 1])("so they are towards a teacher with mix %d", (mix) => {
  expectSame(tinyConfig, undefined, { teacherLogits, mix })
})

const long = tinyBatch([130, 70, 1], tinyConfig.vocab, 8)

function gradientsOf(ops: Ops): Values {
  const network = tinyNetwork(ops, tinyConfig, 2)
  learn(network, long, balance)
  return network.parameters.gradients
}

test("gradients have the same bits for any number of threads and any instruction set", () => {
  const bits = (threads: number, isa?: string) => gradientsOf(new NativeOps({ threads, isa }))
  const wanted = bits(1)
  for (const threads of [2, 3]) expect(bits(threads)).toEqual(wanted)
  for (const isa of otherSets) expect(bits(2, isa)).toEqual(wanted)
})

function cosine(a: Values, b: Values): number {
  const dot = (x: Values, y: Values) => Array.from(x).reduce((sum, value, i) => sum + value * y[i], 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

describe.runIf(fastest.products === "bf16")("with products in bf16 gradients", () => {
  test("point where the reference's do", () => {
    const close = cosine(gradientsOf(fastest), gradientsOf(referenceOps))
    expect(close).toBeGreaterThan(0.999)
    expect(close).toBeLessThan(1 - 1e-8)
  })

  test("have the same bits for any number of threads", () => {
    const bits = (threads: number) => gradientsOf(new NativeOps({ threads, products: "bf16" }))
    const wanted = bits(1)
    for (const threads of [2, 3]) expect(bits(threads)).toEqual(wanted)
  })
})
