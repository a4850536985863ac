import { expect, test } from "vitest"
import { aprilConfig } from "../../test/april-config.ts"
import { parseConfig } from "./config.ts"
import { packedBytes, planMemory } from "./memory.ts"

const config = parseConfig({ ...aprilConfig, max_position_embeddings: 262144 })
const GiB = 2 ** 30
const request = { config, weightBytes: 17 * GiB, contextTokens: 32768, availableBytes: 24 * GiB }

test("a token's keys and values take 96 KiB at full size", () => {
  expect(planMemory({ ...request, contextTokens: 128 }).kvBytes).toBe(128 * 98_304)
  expect(planMemory({ ...request, contextTokens: 128, kv: "f32" }).kvBytes).toBe(128 * 196_608)
})

test("a whole context of 262,144 tokens takes 24 GiB", () => {
  expect(planMemory({ ...request, contextTokens: 262144 }).kvBytes).toBe(24 * GiB)
})

test("keys and values come in whole pages, per sequence", () => {
  const { kvBytes } = planMemory({ ...request, contextTokens: 129, sequences: 3 })
  expect(kvBytes).toBe(3 * 256 * 98_304)
})

test("the parts add up and are compared with what there is", () => {
  const plan = planMemory(request)
  expect(plan.totalBytes).toBe(17 * GiB + 3 * GiB + plan.scratchBytes)
  expect(plan.fits).toBe(true)
  expect(planMemory({ ...request, availableBytes: plan.totalBytes }).fits).toBe(true)
  expect(planMemory({ ...request, availableBytes: plan.totalBytes - 1 }).fits).toBe(false)
})

test("the largest context is the last that fits", () => {
  const { largestContextTokens } = planMemory(request)
  expect(largestContextTokens % 128).toBe(0)
  expect(planMemory({ ...request, contextTokens: largestContextTokens }).fits).toBe(true)
  expect(planMemory({ ...request, contextTokens: largestContextTokens + 1 }).fits).toBe(false)
})

test("the largest context is at most the model's own, and none where the weights do not fit", () => {
  expect(planMemory({ ...request, availableBytes: 1e15 }).largestContextTokens).toBe(262_144)
  expect(planMemory({ ...request, availableBytes: 16 * GiB }).largestContextTokens).toBe(0)
})

test("a step's activations grow with its rows and end with a row of logits per sequence", () => {
  const bytes = (chunkTokens: number, sequences: number) =>
    planMemory({ ...request, chunkTokens, sequences }).scratchBytes
  // Floats per row: 2 x 2048, 2 x 32 x 128, 2 x 4 x 128, 128 experts, 8 x 768; and 151,936 logits.
  expect(bytes(1, 1)).toBe(4 * (4096 + 8192 + 1024 + 128 + 6144 + 151_936))
  expect(bytes(512, 4) - bytes(512, 3)).toBe(4 * 151_936)
  expect(bytes(513, 1) - bytes(512, 1)).toBe(4 * 19_584)
})

test("keys and values have a budget of their own", () => {
  const plan = planMemory({ ...request, kvBudgetBytes: 2 * GiB })
  expect(plan).toMatchObject({ fits: false, kvBytes: 3 * GiB, kvBudgetBytes: 2 * GiB })
  expect(plan.largestContextTokens).toBe(21_760)
  expect(planMemory({ ...request, kvBudgetBytes: 100 * GiB }).kvBudgetBytes).toBeLessThan(7 * GiB)
})

test("the packed size of a checkpoint that is not there yet follows from its config", () => {
  // Norms are float32, routers stay BF16, the head is q6_k (6.5625 bits), the rest q4_k (4.5 bits).
  const norms = 48 * (2048 + 2048 + 128 + 128) + 2048
  const routers = 48 * 128 * 2048
  const head = 151_936 * 2048
  const rest = 30_532_122_624 - norms - routers - head
  expect(packedBytes(config)).toBe(4 * norms + 2 * routers + (head * 6.5625) / 8 + (rest * 4.5) / 8)
  expect(planMemory({ ...request, weightBytes: undefined }).weightBytes).toBe(packedBytes(config))
})
