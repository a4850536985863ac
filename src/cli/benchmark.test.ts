import { join } from "node:path"
import { expect, test } from "vitest"
import { aprilConfig } from "../../test/april-config.ts"
import { tinyConfig, tinyTensors, testFolder, modelFiles, writeFiles } from "../../test/checkpoint-files.ts"
import { refusal } from "../../test/refusal.ts"
import type { Batch } from "../backend/backend.ts"
import { ReferenceBackend } from "../backend/reference/reference.ts"
import { parseConfig } from "../model/config.ts"
import { Qwen3Moe } from "../model/qwen3moe.ts"
import { tensorSpecs } from "../model/tensors.ts"
import { openCheckpoint } from "../weights/checkpoint.ts"
import type { Format } from "../weights/format.ts"
import { pack } from "../weights/pack.ts"
import { openPacked } from "../weights/packed.ts"
import { checkLengths, longestContext, measure, weightBytesPerToken } from "./benchmark.ts"

const config = parseConfig(aprilConfig)

/** Every matrix in one format, norms in f32. */
function formats(matrix: Format, router: Format = matrix) {
  return new Map(
    tensorSpecs(config).map(({ name, role }) => {
      const format: Format = role === "vector" ? "f32" : role === "router" ? router : matrix
      return [name, { format }]
    }),
  )
}

// Per layer: attention 18,874,368, eight experts of 4,718,592, router 262,144, norms 4,352; head 311,164,928.
const linear = 48 * (18_874_368 + 8 * 4_718_592) + 311_164_928 + 2048 // one row of the embedding
const routers = 48 * 262_144
const norms = 48 * 4352 + 2048

test("a token reads all but the experts it is not routed to, and one row of the embedding", () => {
  expect(weightBytesPerToken(config, formats("f32"))).toBe(4 * (linear + routers + norms))
  expect(weightBytesPerToken(config, formats("q4_0", "f32"))).toBe((linear * 4.5) / 8 + 4 * (routers + norms))
})

test("a tied head is read whole, beside the embedding's row", () => {
  const tied = { ...config, tied: true }
  expect(weightBytesPerToken(tied, formats("f32"))).toBe(4 * (linear + routers + norms))
})

test("padding is not counted", () => {
  const tiny = parseConfig(tinyConfig)
  const tensors = new Map(tensorSpecs(tiny).map(({ name }) => [name, { format: "q8_0" as const }]))
  const values = 2 * (2 * 8 * 8 + 2 * 4 * 8 + 2 * 3 * 6 * 8 + 3 * 8 + 16 + 8) + 16 * 8 + 8 + 8
  expect(weightBytesPerToken(tiny, tensors)).toBeCloseTo((values * 8.5) / 8, 6)
})

test("lengths beyond the model's positions are refused with both numbers", async () => {
  const lengths = { prefill: [512, 2048], decode: 64, depths: [0, 40_000] }
  const { code, message } = await refusal(() => checkLengths(config, lengths))
  expect(code).toBe("context-exceeded")
  expect(message).toMatch(/40,960.*42,048/)
  expect(longestContext(lengths)).toBe(42_048)
  checkLengths(config, { ...lengths, depths: [38_912] })
})

/** A tiny model that keeps a list of the batches it ran. */
async function watched(): Promise<{ model: Qwen3Moe; batches: Batch[] }> {
  const folder = writeFiles(join(testFolder(), "tiny"), modelFiles(tinyTensors()))
  const out = join(folder, "tiny.a3b")
  await pack(await openCheckpoint(folder), tensorSpecs(parseConfig(tinyConfig)), out, { threads: 1 })
  const model = Qwen3Moe.load(new ReferenceBackend(), openPacked(out))
  const batches: Batch[] = []
  const forward = model.forward.bind(model)
  model.forward = (batch) => {
    batches.push(batch)
    return forward(batch)
  }
  return { model, batches }
}

test("the measurement runs every length at every depth, each as often as asked", async () => {
  const { model, batches } = await watched()
  const steps: string[] = []
  const lengths = { prefill: [5, 8], decode: 3, depths: [0, 7] }
  const onStep = (step: string) => {
    steps.push(step)
    batches.length = 0
  }
  const speeds = await measure(model, 1e9, { ...lengths, chunkTokens: 6, rounds: 2, onStep })
  expect(steps).toEqual([
    "warming up",
    "reading 5 tokens at depth 0",
    "reading 8 tokens at depth 0",
    "making 3 tokens at depth 0",
    "reading 5 tokens at depth 7",
    "reading 8 tokens at depth 7",
    "making 3 tokens at depth 7",
  ])
  // Since the last step began: three tokens from position 7 on, twice.
  expect(batches.map(({ positions }) => [...positions])).toEqual([[7], [8], [9], [7], [8], [9]])
  expect(batches.every(({ logitRows }) => logitRows.length === 1)).toBe(true)
  const places = speeds.prefill.map(({ tokens, depth }) => [tokens, depth])
  expect(places).toEqual([
    [5, 0],
    [8, 0],
    [5, 7],
    [8, 7],
  ])
  for (const { tokensPerSecond } of speeds.prefill) expect(tokensPerSecond).toBeGreaterThan(0)
  expect(speeds.decode.map(({ depth }) => depth)).toEqual([0, 7])
  for (const { gbPerSecond, tokensPerSecond } of speeds.decode)
    expect(gbPerSecond).toBeCloseTo(tokensPerSecond, 9)
})

test("a prompt is read in chunks, and only its last token's logits are asked for", async () => {
  const { model, batches } = await watched()
  const onStep = () => void (batches.length = 0)
  await measure(model, 1, { prefill: [14], decode: 0, depths: [3], chunkTokens: 6, rounds: 1, onStep })
  expect(
    batches.map(({ positions, logitRows }) => [positions.length, positions[0], logitRows.length]),
  ).toEqual([
    [6, 3, 0],
    [6, 9, 0],
    [2, 15, 1],
  ])
})

test("an abort ends the measurement", async () => {
  const { model } = await watched()
  const signal = AbortSignal.abort()
  const lengths = { prefill: [4], decode: 1, depths: [0] }
  const measured = measure(model, 1, { ...lengths, chunkTokens: 6, rounds: 1, signal })
  await expect(measured).rejects.toMatchObject({ code: "cancelled" })
})
