// The published configs and the published checkpoint's index, against this package's own arithmetic.

import { existsSync, readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { beforeAll, describe, expect, test } from "vitest"
import { parseConfig } from "../src/model/config.ts"
import type { ModelConfig } from "../src/model/config.ts"
import { parameters, tensorSpecs } from "../src/model/tensors.ts"

const configs = "../shared/data/configs"

describe.runIf(existsSync(configs))("the published configs", () => {
  let april: ModelConfig
  let coder: ModelConfig
  // A suite's own body runs even where the suite does not.
  beforeAll(() => {
    april = parseConfig(readJson(`${configs}/Qwen3-30B-A3B.config.json`))
    coder = parseConfig(readJson(`${configs}/Qwen3-Coder-30B-A3B.config.json`))
  })

  test("both releases have the published number of parameters", () => {
    for (const config of [april, coder])
      expect(parameters(config)).toEqual({
        total: 30_532_122_624,
        nonEmbedding: 29_909_792_768,
        active: 3_353_032_704,
        bf16Bytes: 61_064_245_248,
      })
  })

  test("they differ in positions and in the base of the rotary embedding", () => {
    expect([april.maxPositions, april.ropeTheta]).toEqual([40_960, 1e6])
    expect([coder.maxPositions, coder.ropeTheta]).toEqual([262_144, 1e7])
  })

  test("the published index names exactly the tensors that the config asks for", () => {
    const index = JSON.parse(
      gunzipSync(readFileSync(`${configs}/Qwen3-Coder-30B-A3B.safetensors.index.json.gz`)).toString(),
    ) as { metadata: { total_size: number }; weight_map: Record<string, string> }
    const asked = tensorSpecs(coder).flatMap(({ name, shape }) =>
      shape.length === 3
        ? Array.from({ length: coder.experts }, (_, e) => name.replace("experts.", `experts.${e}.`))
        : [name],
    )
    const held = Object.keys(index.weight_map)
    expect(held).toHaveLength(18_867)
    expect(held.sort()).toEqual(asked.sort())
    expect(index.metadata.total_size).toBe(parameters(coder).bf16Bytes)
  })
})

function readJson(path: string) {
  return JSON.parse(readFileSync(path, "utf8")) as Parameters<typeof parseConfig>[0]
}
