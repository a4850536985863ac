import { describe, expect, test } from "vitest"
import { seeded } from "../../../test/random.ts"
import { tinyConfig } from "../../../test/tiny-training.ts"
import type { ModelConfig } from "../../model/config.ts"
import { NativeOps } from "./native.ts"
import type { Start } from "./parameters.ts"
import { Trainer } from "./trainer.ts"

const config: ModelConfig = {
  ...tinyConfig,
  layers: 4,
  hidden: 256,
  heads: 8,
  kvHeads: 1,
  headDim: 128,
  experts: 8,
  expertHidden: 256,
  vocab: 1024,
  maxPositions: 1024,
  ropeTheta: 1e6,
}
const ops = new NativeOps({ threads: 2 })

/** Share of the tokens of a random text's second half, which repeats the first, that are the likeliest to follow. */
function copied(start: Start, length: number): number {
  const { vocab } = config
  const random = seeded(3)
  const half = Array.from({ length }, () => Math.floor(random() * vocab))
  const ids = Int32Array.from([...half, ...half])
  const logits = Trainer.create(config, { seed: 1, ops, start }).logits({
    ids,
    starts: Int32Array.of(0, ids.length),
  })
  const isCopied = (at: number) => {
    const row = logits.subarray(at * vocab, (at + 1) * vocab)
    return row.indexOf(row.reduce((most, logit) => Math.max(most, logit))) === ids[at + 1]
  }
  const repeated = Array.from({ length: length - 1 }, (_, i) => length + i)
  return repeated.filter(isCopied).length / repeated.length
}

describe("a model that begins with an induction head", () => {
  // One of 1,024 tokens would be right by chance.
  test.each([30, 300])("copies from %i tokens back before any training", (length) => {
    expect(copied("copying", length)).toBeGreaterThan(0.35)
    expect(copied("random", length)).toBeLessThan(0.05)
  })

  test("needs two layers for it", () => {
    const single = () => Trainer.create({ ...config, layers: 1 }, { seed: 1, ops, start: "copying" })
    expect(single).toThrow(/two layers/)
  })
})
