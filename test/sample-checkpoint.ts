// A small checkpoint of any source type for tests of packing: one tensor per role and a stack of experts, spread over
// shards. Only the bytes matter: names are few and the files have no headers.

import { appendFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { toBfloat, toHalf } from "../src/weights/half.ts"
import { scaleBlock, storedBytes, typeBytes } from "../src/weights/source.ts"
import type { Checkpoint, SourcePart, SourceTensor, SourceType } from "../src/weights/source.ts"
import type { TensorSpec } from "../src/weights/spec.ts"
import { concat, randomBytes } from "./checkpoint-files.ts"
import { seeded } from "./random.ts"

export interface Sample {
  checkpoint: Checkpoint
  specs: TensorSpec[]
}

interface SampleOptions {
  type: SourceType
  /** Of every matrix. */
  columns?: number
  /** Of embedding, head and each expert. */
  rows?: number
  experts?: number
  /** Experts go to the shards in turn; FP8 scales to the shard after that of their weights. */
  shards?: number
  seed?: number
}

export function sampleCheckpoint(folder: string, options: SampleOptions): Sample {
  const { type, columns = 256, rows = 40, experts = 4, shards = 1, seed = 1 } = options
  mkdirSync(folder, { recursive: true })
  const paths = Array.from({ length: shards }, (_, i) => join(folder, `shard-${i}.bin`))
  for (const path of paths) writeFileSync(path, "")
  const files = new ShardFiles(paths, seeded(seed))
  const specs: TensorSpec[] = [
    { name: "embedding", shape: [rows, columns], role: "embedding" },
    { name: "norm", shape: [columns], role: "vector" },
    { name: "matrix", shape: [48, columns], role: "matrix" },
    { name: "router", shape: [experts, columns], role: "router" },
    { name: "experts", shape: [experts, rows, columns], role: "matrix" },
    { name: "lm_head.weight", shape: [rows, columns], role: "head" },
  ]
  const plain = type === "F32" || type === "F16" || type === "BF16" ? type : "F32"
  const tensors = new Map<string, SourceTensor>()
  for (const { name, shape, role } of specs) {
    const isFloat = role === "vector" || role === "router"
    tensors.set(name, files.add(name, isFloat ? plain : type, [...shape]))
  }
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
  const config = { model_type: "qwen3_moe", hidden_size: columns }
  return {
    checkpoint: {
      kind: "folder",
      path: folder,
      config,
      files: new Map([
        ["config.json", json(config)],
        ["tokenizer.json", json({ version: "1.0" })],
      ]),
      tensors,
      bytes: storedBytes(tensors.values()),
    },
    specs,
  }
}

/** Appends tensors to the shards in turn. */
class ShardFiles {
  readonly #paths: readonly string[]
  readonly #sizes: number[]
  readonly #random: () => number
  #next = 0

  constructor(paths: readonly string[], random: () => number) {
    this.#paths = paths
    this.#sizes = paths.map(() => 0)
    this.#random = random
  }

  add(name: string, type: SourceType, shape: number[]): SourceTensor {
    const experts = shape.length === 3 ? shape[0] : 1
    const values = shape.reduce((product, size) => product * size, 1) / experts
    const parts = Array.from({ length: experts }, () =>
      this.#append(randomWeights(type, values, this.#random)),
    )
    if (type !== "F8_E4M3") return { name, type, shape, parts }
    const scaleShape = shape.map((size, i) => (i < shape.length - 2 ? size : Math.ceil(size / scaleBlock)))
    const scales = this.add(`${name}_scale_inv`, "F32", scaleShape)
    return { name, type, shape, parts, scales }
  }

  #append(bytes: Uint8Array): SourcePart {
    const shard = this.#next++ % this.#paths.length
    appendFileSync(this.#paths[shard], bytes)
    const offset = this.#sizes[shard]
    this.#sizes[shard] += bytes.length
    return { path: this.#paths[shard], offset, bytes: bytes.length }
  }
}

/** Normal values of deviation 0.02 for floats; any bits for quantised blocks; FP8 without NaN. */
export function randomWeights(type: SourceType, values: number, random: () => number): Uint8Array {
  if (type === "F8_E4M3") return randomBytes(random, values).map((byte) => ((byte & 127) === 127 ? 0 : byte))
  if (type !== "F32" && type !== "F16" && type !== "BF16") return randomBytes(random, typeBytes(type, values))
  const floats = Float32Array.from({ length: values }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()))
    return 0.02 * radius * Math.cos(2 * Math.PI * random())
  })
  if (type === "F32") return new Uint8Array(floats.buffer)
  const halves = Uint16Array.from(floats, (x) => (type === "F16" ? toHalf(x) : toBfloat(x)))
  return concat(new Uint8Array(halves.buffer))
}
