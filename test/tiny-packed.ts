// A model of two key/value heads and 1,024 positions, small enough for the reference backend, as a packed file in place.

import { join } from "node:path"
import { parseConfig } from "../src/model/config.ts"
import { tensorSpecs } from "../src/model/tensors.ts"
import type { PackedTensor } from "../src/weights/format.ts"
import { tinyConfig } from "./checkpoint-files.ts"
import { PackedFile } from "./packed-weights.ts"
import { seeded } from "./random.ts"

export const raw = {
  ...tinyConfig,
  hidden_size: 32,
  head_dim: 32,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  moe_intermediate_size: 32,
  max_position_embeddings: 1024,
}

export function tinyPacked(folder: string) {
  const file = new PackedFile(join(folder, "weights"), seeded(3))
  const tensors = new Map<string, PackedTensor>()
  for (const { name, shape } of tensorSpecs(parseConfig(raw)))
    tensors.set(name, file.add(name, "f32", [...shape]).tensor)
  return { path: file.path, config: raw, tensors }
}
