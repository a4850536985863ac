import { expect, test } from "vitest"
import { aprilConfig } from "../../test/april-config.ts"
import { parseConfig } from "./config.ts"
import { planKv } from "./kv-plan.ts"
import type { KvType } from "./kv-plan.ts"

const config = parseConfig({ ...aprilConfig, max_position_embeddings: 262_144 })
const exactBytes = 98_304
const GB = 1e9

const plan = (kv: KvType, budgetBytes = Infinity, contextTokens = 262_144) =>
  planKv({ config, kv, contextTokens, sequences: 1, chunkTokens: 512, budgetBytes })

test("a whole context takes a quarter of 16 bits at T3, under a third at T2, sinks and window included", () => {
  const exact = plan("f16").bytes
  expect(exact).toBe(262_144 * exactBytes)
  expect(plan("T3").bytes / exact).toBeLessThanOrEqual(0.25)
  expect(plan("T2").bytes / exact).toBeLessThanOrEqual(0.33)
  expect(plan("T1").bytes / exact).toBeLessThanOrEqual(0.53)
  expect(plan("T3").tiers).toEqual({ T0: 24, T1: 0, T2: 0, T3: 2024 })
})

test("auto is 16 bits where that fits", () => {
  const { kv, tiers, bytes } = plan("f16", 4 * GB, 32_768)
  expect(plan("auto", 4 * GB, 32_768)).toMatchObject({ kv, tiers, bytes })
})

test("auto lowers what is oldest no further than it must", () => {
  const { kv, tiers, bytes } = plan("auto", 9 * GB)
  expect(kv).toBe("auto")
  expect(bytes).toBeLessThanOrEqual(9 * GB)
  expect(bytes).toBeGreaterThan(7 * GB)
  expect(tiers.T0 + tiers.T1 + tiers.T2 + tiers.T3).toBe(2048)
  expect(tiers.T2).toBeGreaterThan(0)
  expect(plan("auto", 1 * GB).tiers).toEqual(plan("T3").tiers)
})

test("the largest context is the last within the budget", () => {
  for (const kv of ["f16", "T1", "T2", "T3", "auto"] as const) {
    const { largestContextTokens } = plan(kv, 3 * GB)
    expect(plan(kv, 3 * GB, largestContextTokens).bytes).toBeLessThanOrEqual(3 * GB)
    expect(plan(kv, 3 * GB, largestContextTokens + 1).bytes).toBeGreaterThan(3 * GB)
  }
  expect(plan("T3", 3 * GB).largestContextTokens).toBeGreaterThan(
    3.6 * plan("f16", 3 * GB).largestContextTokens,
  )
  expect(plan("T3", 0.1 * GB).largestContextTokens).toBe(1016 - (1016 % 128))
})

test("a short context is in 16 bits whatever is asked for", () => {
  expect(plan("T3", Infinity, 1500).tiers).toEqual({ T0: 12, T1: 0, T2: 0, T3: 0 })
})
