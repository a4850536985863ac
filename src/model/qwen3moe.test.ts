import { expect, test } from "vitest"
import { aprilConfig } from "../../test/april-config.ts"
import type { Attention, Backend, Batch, KvShape, Tensor, Weight } from "../backend/backend.ts"
import type { PackedTensor } from "../weights/format.ts"
import { parseConfig } from "./config.ts"
import type { RawConfig } from "./config.ts"
import { Qwen3Moe } from "./qwen3moe.ts"
import { tensorSpecs } from "./tensors.ts"
import type { QkNorms } from "./weights.ts"

const raw: RawConfig = { ...aprilConfig, num_hidden_layers: 3, num_experts: 16, vocab_size: 100 }

function packed(config = raw) {
  const tensors = new Map<string, PackedTensor>()
  for (const { name, shape } of tensorSpecs(parseConfig(config))) {
    const note = {
      format: "f32",
      path: "",
      offset: 0,
      bytes: 0,
      source: "F32",
      sourceHash: "",
      packedHash: "",
      exact: true,
    } as const
    tensors.set(name, { name, shape, ...note })
  }
  return { path: "tiny.a3b", config, tensors }
}

const batch: Batch = {
  ids: Int32Array.of(5, 6, 7),
  positions: Int32Array.of(0, 1, 2),
  slots: Int32Array.of(0, 1, 2),
  sequences: [{ firstRow: 0, numTokens: 3, contextTokens: 3, pages: Int32Array.of(0) }],
  logitRows: Int32Array.of(2),
}

/** Runs nothing: writes down each op with the short names of its weights and the shape of what it makes. */
class Scribe implements Backend {
  readonly name = "reference"
  readonly device = "paper"
  readonly threads = 1
  readonly lines: string[] = []
  #names: string[] = []

  #made(line: string, rows: number, columns: number): Tensor {
    this.lines.push(`${line} [${rows}, ${columns}]`)
    return { id: this.lines.length, rows, columns }
  }
  #name(weight: Weight): string {
    return this.#names[weight.id]
  }
  weight({ name, shape }: PackedTensor): Weight {
    const id = this.#names.push(name.replace(/^model\.|\.weight$/g, "")) - 1
    return { id, experts: shape.length === 3 ? shape[0] : 1, rows: shape.at(-2) ?? 1, columns: shape.at(-1)! }
  }
  vector(tensors: readonly PackedTensor[]): Weight {
    return this.weight({ ...tensors[0], name: tensors.map(({ name }) => name.split(".").at(-2)).join("+") })
  }
  trimKv() {}
  writeKv() {}
  readKv(): never {
    throw new Error("paper has no keys")
  }
  exportPage(): never {
    throw new Error("paper has no pages")
  }
  importPage() {}
  kvCache(shape: KvShape) {
    return { id: 0, shape }
  }
  begin() {
    this.lines.length = 0
  }
  embed(table: Weight) {
    return this.#made(`embed ${this.#name(table)}`, batch.ids.length, table.columns)
  }
  rmsNorm(x: Tensor, weight: Weight, epsilon: number) {
    return this.#made(`rmsNorm ${this.#name(weight)} ${epsilon}`, x.rows, x.columns)
  }
  linear(x: Tensor, weight: Weight) {
    return this.#made(`linear ${this.#name(weight)}`, x.rows, weight.rows)
  }
  linears(x: Tensor, weights: readonly Weight[]) {
    return weights.map((weight) => this.linear(x, weight))
  }
  addLinear(y: Tensor, _x: Tensor, weight: Weight) {
    this.#made(`addLinear ${this.#name(weight)}`, y.rows, y.columns)
  }
  normRope(x: Tensor, weight: Weight) {
    this.#made(`normRope ${this.#name(weight)}`, x.rows, x.columns)
  }
  storeKv(_kv: unknown, layer: number, k: Tensor) {
    this.#made(`storeKv ${layer}`, k.rows, k.columns)
  }
  attend(q: Tensor, _kv: unknown, layer: number, attention: Attention) {
    return this.#made(`attend ${layer} ${attention}`, q.rows, q.columns)
  }
  selections() {
    return { scanned: 0, fellBack: 0, kept: 0, tokens: 0 }
  }
  route(x: Tensor, router: Weight, topK: number, normalise: boolean) {
    this.#made(
      `route ${this.#name(router)} top ${topK} ${normalise ? "normalised" : "as is"}`,
      x.rows,
      router.rows,
    )
    return { id: 0, rows: x.rows, topK }
  }
  addExperts(y: Tensor) {
    this.#made("addExperts", y.rows, y.columns)
  }
  visits(gate: Weight) {
    return Float64Array.of(gate.id)
  }
  pickRows(x: Tensor) {
    return this.#made("pickRows", batch.logitRows.length, x.columns)
  }
  largest(x: Tensor, _size: number, k: number) {
    return this.#made(`largest ${k}`, x.rows, 2 * k)
  }
  async submit() {}
  read() {
    return new Float32Array()
  }
  tensor(_values: Float32Array, rows: number, columns: number) {
    return { id: 0, rows, columns }
  }
  free() {}
}

function recorded(config: RawConfig, norms?: QkNorms): string[] {
  const scribe = new Scribe()
  const model = Qwen3Moe.load(scribe, packed(config), norms)
  model.kvCache(1)
  const logits = model.forward(batch)
  expect([logits.rows, logits.columns]).toEqual([1, 100])
  return scribe.lines
}

test("a step is the paper's layers, and logits of the rows that are asked for", () => {
  const layer = (i: number) => [
    `rmsNorm layers.${i}.input_layernorm 0.000001 [3, 2048]`,
    `linear layers.${i}.self_attn.q_proj [3, 4096]`,
    `linear layers.${i}.self_attn.k_proj [3, 512]`,
    `linear layers.${i}.self_attn.v_proj [3, 512]`,
    `normRope layers.${i}.self_attn.q_norm [3, 4096]`,
    `normRope layers.${i}.self_attn.k_norm [3, 512]`,
    `storeKv ${i} [3, 512]`,
    `attend ${i} ${i < 2 ? "exact" : "selective"} [3, 4096]`,
    `addLinear layers.${i}.self_attn.o_proj [3, 2048]`,
    `rmsNorm layers.${i}.post_attention_layernorm 0.000001 [3, 2048]`,
    `route layers.${i}.mlp.gate top 8 normalised [3, 16]`,
    `addExperts [3, 2048]`,
  ]
  expect(recorded(raw)).toEqual([
    "embed embed_tokens [3, 2048]",
    ...layer(0),
    ...layer(1),
    ...layer(2),
    "pickRows [1, 2048]",
    "rmsNorm norm 0.000001 [1, 2048]",
    "linear lm_head [1, 100]",
  ])
})

test("a tied model's head is its embedding", () => {
  expect(recorded({ ...raw, tie_word_embeddings: true }).at(-1)).toBe("linear embed_tokens [1, 100]")
})

test("probabilities of the chosen experts stay as they are where the config says so", () => {
  expect(recorded({ ...raw, norm_topk_prob: false })).toContain("route layers.0.mlp.gate top 8 as is [3, 16]")
})

test("balanced norms are worked out from both", () => {
  const lines = recorded(raw, "balanced")
  expect(lines.filter((line) => line.startsWith("normRope"))).toEqual(
    [0, 1, 2].flatMap(() => ["normRope q_norm+k_norm [3, 4096]", "normRope q_norm+k_norm [3, 512]"]),
  )
})

test("the cache has the model's shape", () => {
  const model = Qwen3Moe.load(new Scribe(), packed())
  expect(() => model.forward(batch)).toThrow("forward before kvCache")
  expect(model.kvCache(9).shape).toEqual({ layers: 3, pages: 9, kvHeads: 4, headDim: 128, window: 1024 })
  expect(() => model.kvCache(9)).toThrow("already")
})

test("a tensor that is missing or of another shape is named", () => {
  const name = "model.layers.1.mlp.experts.up_proj.weight"
  const lacking = packed()
  lacking.tensors.delete(name)
  expect(() => Qwen3Moe.load(new Scribe(), lacking)).toThrow(`tiny.a3b has no tensor ${name} [16, 768, 2048]`)
  const other = packed()
  other.tensors.set(name, { ...other.tensors.get(name)!, shape: [16, 768, 1024] })
  expect(() => Qwen3Moe.load(new Scribe(), other)).toThrow(/\[16, 768, 1024\]; its config asks for/)
})
