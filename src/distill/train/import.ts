// Step 6. A Hugging Face folder in, parameters to go on training from out. Knows tensors; never whose they are.

import { UserError } from "../../util/errors.ts"
import { applyScales, dequantised } from "../../weights/dequantise.ts"
import { withFile } from "../../weights/file.ts"
import type { Checkpoint, SourcePart, SourceTensor, SourceType } from "../../weights/source.ts"
import type { Parameters } from "./parameters.ts"

/** Every parameter as the checkpoint has it, in any type that can be packed. */
export function importCheckpoint({ path, tensors }: Checkpoint, parameters: Parameters): void {
  for (const { name, shape } of parameters.specs) {
    const tensor = tensors.get(name)
    if (tensor?.shape.join() !== shape.join())
      throw new UserError(
        "bad-file",
        `${path} has ${name} of the shape [${tensor?.shape.join(", ") ?? "none"}], wanted [${shape.join(", ")}]: ` +
          'name a model of the recipe\'s shape in "from"',
      )
    parameters.value(name).set(valuesOf(tensor))
  }
}

function valuesOf({ type, shape, parts, scales }: SourceTensor): Float32Array {
  const columns = shape[shape.length - 1]
  const values = new Float32Array(shape.reduce((product, side) => product * side, 1))
  let at = 0
  for (const [i, part] of parts.entries()) {
    const read = floatsOf(type, part)
    if (scales) applyScales(read, 0, columns, floatsOf(scales.type, scales.parts[i]))
    values.set(read, at)
    at += read.length
  }
  return values
}

function floatsOf(type: SourceType, { path, offset, bytes }: SourcePart): Float32Array {
  return withFile(path, (source) => dequantised(type, source.read(offset, bytes)))
}
