import { expect, test } from "vitest"
import { aprilConfig } from "../../test/april-config.ts"
import { parseConfig } from "./config.ts"
import { parameters, tensorSpecs } from "./tensors.ts"

const config = parseConfig(aprilConfig)

test("the parameters are those that the model card states", () => {
  expect(parameters(config)).toEqual({
    total: 30_532_122_624,
    nonEmbedding: 29_909_792_768,
    active: 2_730_702_848 + 622_329_856,
    bf16Bytes: 61_064_245_248,
  })
})

test("names follow the forward pass and are all different", () => {
  const names = tensorSpecs({ ...config, layers: 2 }).map(({ name }) => name)
  expect(names).toHaveLength(1 + 2 * 12 + 2)
  expect(new Set(names).size).toBe(names.length)
  expect(names.slice(0, 3)).toEqual([
    "model.embed_tokens.weight",
    "model.layers.0.input_layernorm.weight",
    "model.layers.0.self_attn.q_proj.weight",
  ])
  expect(names.slice(-3)).toEqual([
    "model.layers.1.mlp.experts.down_proj.weight",
    "model.norm.weight",
    "lm_head.weight",
  ])
})

test("a tied model has no head of its own", () => {
  const specs = tensorSpecs({ ...config, tied: true })
  expect(specs.some(({ role }) => role === "head")).toBe(false)
  expect(parameters({ ...config, tied: true }).nonEmbedding).toBe(29_909_792_768)
})

test("projections have their outputs as rows", () => {
  const shapes = new Map(
    tensorSpecs(config).map(({ name, shape }) => [name.replace(/.*layers\.0\./, ""), shape]),
  )
  expect(shapes.get("self_attn.q_proj.weight")).toEqual([4096, 2048])
  expect(shapes.get("self_attn.v_proj.weight")).toEqual([512, 2048])
  expect(shapes.get("self_attn.o_proj.weight")).toEqual([2048, 4096])
  expect(shapes.get("mlp.experts.up_proj.weight")).toEqual([128, 768, 2048])
  expect(shapes.get("mlp.experts.down_proj.weight")).toEqual([128, 2048, 768])
  expect(shapes.get("self_attn.k_norm.weight")).toEqual([128])
})
