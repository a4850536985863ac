import { expect, test } from "vitest"
import { aprilConfig } from "../test/april-config.ts"
import { availableMemory, contextFor, kvPolicyFor } from "./context.ts"
import { parseConfig } from "./model/config.ts"

const GiB = 2 ** 30
const request = {
  config: parseConfig({ ...aprilConfig, max_position_embeddings: 262144 }),
  weightBytes: 16 * GiB,
  availableBytes: 24 * GiB,
}

test("the context asked for is given", () => {
  expect(contextFor(32_768, request)).toBe(32_768)
  expect(contextFor(1, request)).toBe(1)
})

test("without one it is as long as memory allows", () => {
  // 8 GiB less a step's scratch, at 96 KiB a token.
  expect(contextFor(undefined, request)).toBeGreaterThan(80_000)
  expect(contextFor(undefined, request)).toBeLessThan((8 * GiB) / (96 * 1024))
})

test("it never exceeds the model's positions", () => {
  const roomy = { ...request, availableBytes: 1024 * GiB }
  expect(contextFor(undefined, roomy)).toBe(262_144)
  const message = "context is 300,000 tokens; the model has positions for 262,144 tokens"
  expect(() => contextFor(300_000, roomy)).toThrow(message)
})

test("what memory has no room for is refused with what would fit", () => {
  const refused =
    /needs 40\.\d GiB of memory for 262,144 tokens; 24\.0 GiB are available: a context of 8\d,\d+ tokens/
  expect(() => contextFor(262_144, request)).toThrow(refused)
})

test("a context that 16 bits have no room for is kept in fewer where that is allowed", () => {
  const auto = { ...request, kv: "auto" } as const
  expect(contextFor(262_144, auto)).toBe(262_144)
  expect(kvPolicyFor(262_144, auto)).toMatchObject({ tier: 1, floor: 3, window: 1024 })
  expect(kvPolicyFor(32_768, auto)).toBeUndefined()
  expect(contextFor(undefined, auto)).toBe(contextFor(undefined, request))
  expect(() => contextFor(262_144, { ...auto, kvBudgetBytes: 2 * GiB })).toThrow(/18\.\d GiB are available/)
})

test("tokens beyond 32,768 choose what they read of compressed pages, unless all of it is asked for", () => {
  const compressed = { ...request, kv: "T2" } as const
  expect(kvPolicyFor(65_536, compressed)?.selectiveFrom).toBe(32_768)
  expect(kvPolicyFor(65_536, compressed, "exact")).not.toHaveProperty("selectiveFrom")
})

test("a tier that is asked for is kept to", () => {
  expect(kvPolicyFor(4096, { ...request, kv: "T2" })).toMatchObject({ tier: 2, floor: 2 })
  const odd = { ...request, config: { ...request.config, headDim: 80 }, kv: "T2" } as const
  expect(() => kvPolicyFor(4096, odd)).toThrow(/head_dim is 80; .* use --kv f16/)
})

test("a model larger than memory is refused", () => {
  const small = { ...request, availableBytes: 15 * GiB }
  expect(() => contextFor(undefined, small)).toThrow(
    /the model needs 16\.\d GiB .* 15\.0 GiB are available: close/,
  )
  expect(() => contextFor(undefined, small)).toThrow(expect.objectContaining({ code: "model-too-large" }))
})

test.each([0, -1, 1.5, NaN])("a context of %d is refused", (context) => {
  expect(() => contextFor(context, request)).toThrow("wanted a whole number of tokens")
})

test("available memory is a part of this machine's", () => {
  expect(availableMemory()).toBeGreaterThan(0)
})
