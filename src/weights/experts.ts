// Tensors as files store them in, tensors by canonical name out: one matrix per expert becomes a stack, a fused
// gate_up_proj becomes two, FP8 scales join their weights. Knows names, shapes and byte ranges; reads no bytes.

import { UserError } from "../util/errors.ts"
import { counted, quoted } from "./file.ts"
import { canonicalName } from "./names.ts"
import type { SourcePart, SourceTensor } from "./source.ts"

/** A tensor as one file stores it; `parts` is one run of bytes. */
export type StoredTensor = SourceTensor

const scaleSuffix = "_scale_inv"
const maxExperts = 1 << 16

/** Tensors by canonical name. */
export function stackExperts(stored: Iterable<StoredTensor>): Map<string, SourceTensor> {
  const whole = new Map<string, SourceTensor>()
  const stacks = new Map<string, Map<number, StoredTensor>>()
  for (const tensor of stored) {
    const { name, expert, second } = canonicalName(tensor.name)
    if (expert !== undefined) {
      const stack = stacks.get(name) ?? new Map<number, StoredTensor>()
      stacks.set(name, stack.set(expert, tensor))
    } else if (second !== undefined) {
      const [gate, up] = splitFused(tensor)
      add(whole, { ...gate, name })
      add(whole, { ...up, name: second })
    } else add(whole, { ...tensor, name })
  }
  for (const [name, stack] of stacks) add(whole, stackOf(name, stack))
  return attachScales(whole)
}

function add(tensors: Map<string, SourceTensor>, tensor: SourceTensor): void {
  if (tensors.has(tensor.name))
    throw new UserError(
      "bad-file",
      `${tensor.parts[0].path} has tensor ${tensor.name}, which the checkpoint has already: remove one of them`,
    )
  tensors.set(tensor.name, tensor)
}

/** One matrix per expert, 0 to the last, to [experts, rows, columns]. */
function stackOf(name: string, stack: ReadonlyMap<number, StoredTensor>): SourceTensor {
  const parts: SourcePart[] = []
  const [first] = stack.values()
  for (let expert = 0; expert < stack.size; expert++) {
    const tensor = stack.get(expert)
    if (tensor === undefined)
      throw new UserError(
        "bad-file",
        `${name} has ${counted(stack.size)} experts but not number ${expert}: download the checkpoint again`,
      )
    if (tensor.type !== first.type || tensor.shape.join() !== first.shape.join() || tensor.shape.length !== 2)
      throw new UserError(
        "bad-file",
        `${tensor.parts[0].path} has ${tensor.name} as ${tensor.type} [${tensor.shape}]; wanted a matrix like ` +
          `${first.name}, ${first.type} [${first.shape}]: download the checkpoint again`,
      )
    parts.push(...tensor.parts)
  }
  return { name, type: first.type, shape: [stack.size, ...first.shape], parts }
}

/** [experts, 2 * rows, columns] to gate and up, [experts, rows, columns] each with a part per expert. */
function splitFused(tensor: StoredTensor): [SourceTensor, SourceTensor] {
  const [experts, rows, columns] = tensor.shape
  const [{ path, offset, bytes }] = tensor.parts
  if (tensor.shape.length !== 3 || rows % 2 !== 0 || experts < 1 || experts > maxExperts)
    throw new UserError(
      "bad-file",
      `${path} has ${quoted(tensor.name)} as [${tensor.shape}]; wanted [experts, gate and up rows, columns]: ` +
        "check that it is a Qwen3-30B-A3B checkpoint",
    )
  const half = bytes / experts / 2
  const halfOf = (which: 0 | 1): SourceTensor => ({
    ...tensor,
    shape: [experts, rows / 2, columns],
    parts: Array.from({ length: experts }, (_, expert) => ({
      path,
      offset: offset + (2 * expert + which) * half,
      bytes: half,
    })),
  })
  return [halfOf(0), halfOf(1)]
}

/** Moves `X.weight_scale_inv` into `X.weight`. */
function attachScales(tensors: Map<string, SourceTensor>): Map<string, SourceTensor> {
  for (const scales of [...tensors.values()]) {
    if (!scales.name.endsWith(scaleSuffix)) continue
    const weight = tensors.get(scales.name.slice(0, -scaleSuffix.length))
    if (weight?.type !== "F8_E4M3") continue
    weight.scales = scales
    tensors.delete(scales.name)
  }
  return tensors
}
