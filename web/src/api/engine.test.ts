import { expect, test } from "vitest"
import { hitShare, rateBetween } from "./engine.ts"
import type { EngineReport } from "./engine.ts"

function report(atMs: number, generated: number): EngineReport {
  const kv = { tiers: { T0: 0, T1: 0, T2: 0, T3: 0 }, bytes: 0, savedBytes: 0 }
  const load = { running: 0, waiting: 0, usedPages: 0, pages: 1 }
  const attention = { scanned: 0, fellBack: 0, kept: 0, tokens: 0 }
  const tokens = { prefilled: 0, reused: 0, generated }
  return {
    model: "m",
    state: "ready",
    atMs,
    engine: { kv, load, tokens, experts: [], attention, family: "hybrid", context: 1 },
  }
}

test("two reports make a rate, by the engine's own clock", () => {
  expect(rateBetween(report(1000, 50), report(3000, 80), "generated")).toBe(15)
})

test("there is no rate before the second report, without an engine, or of one that was opened anew", () => {
  expect(rateBetween(undefined, report(1000, 50), "generated")).toBeUndefined()
  const unloaded: EngineReport = { model: "m", state: "unloaded", atMs: 0 }
  expect(rateBetween(unloaded, report(1000, 50), "generated")).toBeUndefined()
  expect(rateBetween(report(1000, 50), report(2000, 3), "generated")).toBeUndefined()
})

test("hits are a share of all tokens that prompts had", () => {
  expect(hitShare({ prefilled: 25, reused: 75 })).toBe(0.75)
  expect(hitShare({ prefilled: 0, reused: 0 })).toBeUndefined()
})
