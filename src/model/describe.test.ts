import { existsSync, readFileSync } from "node:fs"
import { describe as suite, expect, test } from "vitest"
import { aprilConfig } from "../../test/april-config.ts"
import type { PackedTensor } from "../weights/format.ts"
import { describe } from "./describe.ts"
import { printConfig, printFloat } from "./print-config.ts"

const article = "../shared/articles/001_2e379a92ab4c3086.txt"
const april = "../shared/data/configs/Qwen3-30B-A3B.config.json"

test("the module tree is indented as PyTorch prints it", () => {
  const { modules } = describe({ config: { ...aprilConfig, num_hidden_layers: 1, num_experts: 16 } })
  expect(modules).toBe(`Qwen3MoeForCausalLM(
  (model): Qwen3MoeModel(
    (embed_tokens): Embedding(151936, 2048)
    (layers): ModuleList(
      (0): Qwen3MoeDecoderLayer(
        (self_attn): Qwen3MoeAttention(
          (q_proj): Linear(in_features=2048, out_features=4096, bias=False)
          (k_proj): Linear(in_features=2048, out_features=512, bias=False)
          (v_proj): Linear(in_features=2048, out_features=512, bias=False)
          (o_proj): Linear(in_features=4096, out_features=2048, bias=False)
          (q_norm): Qwen3MoeRMSNorm((128,), eps=1e-06)
          (k_norm): Qwen3MoeRMSNorm((128,), eps=1e-06)
        )
        (mlp): Qwen3MoeSparseMoeBlock(
          (gate): Linear(in_features=2048, out_features=16, bias=False)
          (experts): ModuleList(
            (0-15): 16 x Qwen3MoeMLP(
              (gate_proj): Linear(in_features=2048, out_features=768, bias=False)
              (up_proj): Linear(in_features=2048, out_features=768, bias=False)
              (down_proj): Linear(in_features=768, out_features=2048, bias=False)
              (act_fn): SiLU()
            )
          )
        )
        (input_layernorm): Qwen3MoeRMSNorm((2048,), eps=1e-06)
        (post_attention_layernorm): Qwen3MoeRMSNorm((2048,), eps=1e-06)
      )
    )
    (norm): Qwen3MoeRMSNorm((2048,), eps=1e-06)
    (rotary_emb): Qwen3MoeRotaryEmbedding()
  )
  (lm_head): Linear(in_features=2048, out_features=151936, bias=False)
)`)
})

suite.runIf(existsSync(article) && existsSync(april))("the published print-outs of the first release", () => {
  // The page lost the line breaks and indents, so white space is left out of the comparison.
  const squeezed = (text: string) => text.replace(/\s+/g, "")
  const published = existsSync(article) ? readFileSync(article, "utf8") : ""

  test("the module tree is the same", () => {
    const { modules } = describe({ config: aprilConfig })
    expect(squeezed(published)).toContain(squeezed(modules))
  })

  test("the config is the same, but for the version of transformers that printed it", () => {
    const text = readFileSync(april, "utf8").replace(/4\.51\.0/, "4.55.2")
    const { config } = describe({ config: aprilConfig, configText: text })
    expect(squeezed(published)).toContain(squeezed(config))
    expect(config.split("\n").slice(0, 5)).toEqual([
      "Qwen3MoeConfig {",
      '  "architectures": [',
      '    "Qwen3MoeForCausalLM"',
      "  ],",
      '  "attention_bias": false,',
    ])
  })
})

test("a config is printed sorted, with numbers as Python spells them", () => {
  const json = `{"b": 1e-6, "a": {"rope_theta": 1000000.0, "n": -3, "é\\"1": "1.0 \\\\"}, "c": [], "d": {}, "e": null}`
  expect(printConfig(json)).toBe(`Qwen3MoeConfig {
  "a": {
    "n": -3,
    "rope_theta": 1000000.0,
    "\\u00e9\\"1": "1.0 \\\\"
  },
  "b": 1e-06,
  "c": [],
  "d": {},
  "e": null
}`)
})

// python3 -c "print([repr(x) for x in (0.0, 1e-4, 1.5e-5, 0.02, 123456.75, 1e15, 1e16, 1.25e22, -2.5e-7)])"
test.each([
  [0, "0.0"],
  [1e-4, "0.0001"],
  [1.5e-5, "1.5e-05"],
  [0.02, "0.02"],
  [123456.75, "123456.75"],
  [1e15, "1000000000000000.0"],
  [1e16, "1e+16"],
  [1.25e22, "1.25e+22"],
  [-2.5e-7, "-2.5e-07"],
])("%d is printed as %s", (value, text) => {
  expect(printFloat(value)).toBe(text)
})

test("tensors are summed by format and source", () => {
  const packed = (name: string, format: "q4_k" | "f32", shape: number[], bytes: number, exact: boolean) =>
    [
      name,
      {
        name,
        format,
        shape,
        bytes,
        exact,
        path: "",
        offset: 0,
        source: "BF16",
        sourceHash: "",
        packedHash: "",
      },
    ] as const
  const tensors = new Map<string, PackedTensor>([
    packed("norm", "f32", [256], 1024, true),
    packed("q", "q4_k", [16, 256], 2304, false),
    packed("gate", "q4_k", [4, 16, 256], 9216, false),
  ])
  const { tensorTypes, parameters } = describe({ config: aprilConfig, tensors })
  expect(tensorTypes).toEqual([
    { format: "q4_k", source: "BF16", tensors: 2, parameters: 20480, bytes: 11520, exact: 0 },
    { format: "f32", source: "BF16", tensors: 1, parameters: 256, bytes: 1024, exact: 1 },
  ])
  expect(parameters.total).toBe(30_532_122_624)
})
