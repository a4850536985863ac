// Paging, chunks and company must not show in the numbers: the engine over a model of random weights against a plain
// loop that computes the whole context anew for every id.

import { describe, expect, test } from "vitest"
import { pageTokens } from "../src/backend/backend.ts"
import { ReferenceBackend } from "../src/backend/reference/reference.ts"
import { Engine } from "../src/engine/engine.ts"
import { parseConfig } from "../src/model/config.ts"
import { Qwen3Moe } from "../src/model/qwen3moe.ts"
import { tensorSpecs } from "../src/model/tensors.ts"
import { openCheckpoint } from "../src/weights/checkpoint.ts"
import { pack } from "../src/weights/pack.ts"
import { openPacked } from "../src/weights/packed.ts"
import type { PackedModel } from "../src/weights/packed.ts"
import { modelFiles, testFolder, tinyConfig, tinyTensors, writeFiles } from "./checkpoint-files.ts"
import { allOf, greedy, promptOf } from "./scripted-model.ts"

const context = 384

async function randomModel(): Promise<PackedModel> {
  const folder = testFolder()
  const config = { ...tinyConfig, max_position_embeddings: context }
  const checkpoint = await openCheckpoint(
    writeFiles(`${folder}/checkpoint`, modelFiles(tinyTensors(), 1, config)),
  )
  await pack(checkpoint, tensorSpecs(parseConfig(config)), `${folder}/packed`)
  return openPacked(`${folder}/packed`)
}

const idsOf = (length: number, seed: number) => promptOf(length, seed).map((id) => id % tinyConfig.vocab_size)

/** Greedy ids after the prompt, each from a batch of the whole context. */
async function computedAnew(packed: PackedModel, prompt: Int32Array, count: number): Promise<number[]> {
  const model = Qwen3Moe.load(new ReferenceBackend(), packed)
  model.kvCache(Math.ceil(context / pageTokens))
  const pages = Int32Array.from({ length: Math.ceil(context / pageTokens) }, (_, page) => page)
  const all = Array.from(prompt)
  while (all.length < prompt.length + count) {
    const positions = Int32Array.from(all.keys())
    const sequences = [{ firstRow: 0, numTokens: all.length, contextTokens: all.length, pages }]
    const logitRows = Int32Array.of(all.length - 1)
    const logits = model.forward({
      ids: Int32Array.from(all),
      positions,
      slots: positions,
      sequences,
      logitRows,
    })
    await model.backend.submit()
    const row = model.backend.read(logits)
    all.push(row.indexOf(Math.max(...row)))
  }
  return all.slice(prompt.length)
}

describe("a model of random weights", () => {
  test.each([
    [7, 16],
    [64, 16],
    [512, 4],
  ])("gives the same ids in chunks of %d over %d pages, several at once", async (chunkTokens, kvPages) => {
    const packed = await randomModel()
    const model = Qwen3Moe.load(new ReferenceBackend(), packed)
    const engine = new Engine(model, {
      maxContext: context,
      kvPages,
      chunkTokens,
      tokenizerSize: tinyConfig.vocab_size,
    })
    const prompts = [idsOf(1, 1), idsOf(130, 2), idsOf(125, 3), idsOf(40, 4)]
    const options = { sampling: { ...greedy, maxTokens: 8 }, stopIds: new Set<number>() }
    const replies = await Promise.all(prompts.map((prompt) => allOf(engine.generate(prompt, options))))
    const expected = await Promise.all(prompts.map((prompt) => computedAnew(packed, prompt, 8)))
    expect(replies).toEqual(expected)
    const followUp = Int32Array.from([...prompts[1], ...replies[1], 3, 4])
    const generation = engine.generate(followUp, options)
    expect(await allOf(generation)).toEqual(await computedAnew(packed, followUp, 8))
    await engine.free()
  })
})
