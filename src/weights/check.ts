// A checkpoint's tensors against what the model asks for: every one there, of the right shape and a type that fits its
// use, and none left over. Knows names, shapes and types; never bytes.

import { UserError } from "../util/errors.ts"
import { scaleBlock, type Checkpoint, type SourceTensor } from "./source.ts"
import type { TensorSpec } from "./spec.ts"

const next = "check that it is a whole Qwen3-30B-A3B checkpoint and download it again"
const plainTypes: readonly string[] = ["F32", "F16", "BF16"]
/** A tied model's file may hold its head a second time. */
const spareHead = "lm_head.weight"

export function checkTensors({ path, tensors }: Checkpoint, specs: readonly TensorSpec[]): void {
  const wanted = new Set(specs.map(({ name }) => name))
  for (const name of tensors.keys())
    if (!wanted.has(name) && name !== spareHead)
      throw new UserError(
        "unsupported",
        `${path} has tensor ${name}, which the model does not know; wanted ${specs.length} tensors of ` +
          `Qwen3MoeForCausalLM: use a Qwen3-30B-A3B checkpoint`,
      )
  for (const spec of specs) {
    const tensor = tensors.get(spec.name)
    if (tensor === undefined) throw new UserError("bad-file", `${path} has no tensor ${spec.name}: ${next}`)
    checkTensor(path, tensor, spec)
  }
}

function checkTensor(path: string, { name, type, shape, scales }: SourceTensor, spec: TensorSpec): void {
  const wrong = (got: string, wanted: string) =>
    new UserError("bad-file", `${path} has tensor ${name} ${got}; wanted ${wanted}: ${next}`)
  if (shape.join() !== spec.shape.join()) throw wrong(`of shape [${shape}]`, `[${spec.shape}]`)
  const isFloats = spec.role === "vector" || spec.role === "router"
  if (isFloats && !plainTypes.includes(type))
    throw wrong(`as ${type}`, `${plainTypes.join(", ")} for a ${spec.role}`)
  if (type !== "F8_E4M3") return
  if (scales === undefined) throw wrong("as F8_E4M3 without scales", `${name}_scale_inv beside it`)
  const scaleShape = shape.map((size, i) => (i < shape.length - 2 ? size : Math.ceil(size / scaleBlock)))
  if (scales.shape.join() !== scaleShape.join())
    throw wrong(
      `with scales of shape [${scales.shape}]`,
      `[${scaleShape}], one per ${scaleBlock}x${scaleBlock} weights`,
    )
  if (!plainTypes.includes(scales.type)) throw wrong(`with scales as ${scales.type}`, plainTypes.join(", "))
}
