import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { RunFolder, beginning } from "./run-folder.ts"
import type { StepRecord } from "./run-folder.ts"

let path: string
beforeEach(() => void (path = mkdtempSync(join(tmpdir(), "a3b-run-"))))
afterEach(() => rmSync(path, { recursive: true, force: true }))

function step(unit: string, step: number, loss: number): StepRecord {
  return { unit, step, tokens: step, seconds: step, loss, auxiliary: 1, gradientNorm: 1, learningRate: 1 }
}

test("the latest checkpoint is found with its place, and no other is left", async () => {
  const folder = RunFolder.open(path, "{}")
  expect(folder.placeOf("student")).toEqual(beginning)
  expect(folder.checkpointOf("student")).toBeUndefined()
  for (const steps of [1, 2]) {
    const place = { ...beginning, steps, tokens: 10 * steps }
    await folder.saveCheckpoint("student", place, (to) => writeFileSync(join(to, "weights"), String(steps)))
  }
  const again = RunFolder.open(path, "{}")
  expect(again.placeOf("student")).toEqual({ ...beginning, steps: 2, tokens: 20 })
  expect(again.checkpointOf("student")).toBe(join(path, "student/checkpoint-0-2"))
  expect(readdirSync(join(path, "student")).sort()).toEqual(["checkpoint-0-2", "place.json"])
})

test("a save that fails leaves the checkpoint before it", async () => {
  const folder = RunFolder.open(path, "{}")
  await folder.saveCheckpoint("student", { ...beginning, steps: 1 }, () => undefined)
  const failing = folder.saveCheckpoint("student", { ...beginning, steps: 2 }, () => {
    throw new Error("the disk is gone")
  })
  await expect(failing).rejects.toThrow("the disk is gone")
  expect(folder.placeOf("student").steps).toBe(1)
  expect(folder.has("student/checkpoint-0-1")).toBe(true)
})

test("the journal counts a step that was done twice once, and forgets a line that was cut off", () => {
  const folder = RunFolder.open(path, "{}")
  folder.record(step("a", 1, 3))
  folder.record(step("a", 2, 2.5))
  appendFileSync(join(path, "journal.jsonl"), '{"unit":"a","st')
  const again = RunFolder.open(path, "{}")
  expect(again.steps().map(({ loss }) => loss)).toEqual([3, 2.5])
  again.record(step("a", 2, 2.4))
  again.record(step("b", 1, 9))
  expect(again.steps().map(({ unit, step, loss }) => [unit, step, loss])).toEqual([
    ["a", 1, 3],
    ["a", 2, 2.4],
    ["b", 1, 9],
  ])
})
