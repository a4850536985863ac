// The tensors of a GGUF file in, tensors by canonical name out: ggml's type numbers become types, sizes become shapes,
// and every range is checked against the file. Knows one file; reads no weights.

import { UserError } from "../util/errors.ts"
import { counted, quoted, type ByteSource } from "./file.ts"
import type { GgufTensor } from "./gguf.ts"
import { canonicalGgufName } from "./names.ts"
import { sourceGeometry, sourceTypes, typeBytes, type SourceTensor, type SourceType } from "./source.ts"

/** ggml's names of its types, by number; a gap is a type that no longer exists. */
const ggmlTypes: readonly (string | undefined)[] = [
  ...["F32", "F16", "Q4_0", "Q4_1", undefined, undefined, "Q5_0", "Q5_1", "Q8_0", "Q8_1"],
  ...["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S"],
  ...["IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M"],
  ...["BF16", undefined, undefined, undefined, "TQ1_0", "TQ2_0", undefined, undefined, undefined, "MXFP4"],
]

const readable: readonly SourceType[] = sourceTypes.filter((type) => ggmlTypes.includes(type))

export function tensorsOf(source: ByteSource, stored: readonly GgufTensor[]): Map<string, SourceTensor> {
  const tensors = new Map<string, SourceTensor>()
  for (const tensor of stored) {
    const name = canonicalGgufName(tensor.name)
    if (tensors.has(name)) throw damaged(source, tensor, "twice, under two names", "it once")
    tensors.set(name, tensorOf(source, tensor, name))
  }
  checkOverlap(source, stored, [...tensors.values()])
  return tensors
}

function tensorOf(source: ByteSource, tensor: GgufTensor, name: string): SourceTensor {
  const type = typeOf(source, tensor)
  const [columns] = tensor.sizes
  const { blockValues } = sourceGeometry[type]
  if (columns % blockValues !== 0)
    throw damaged(
      source,
      tensor,
      `with rows of ${counted(columns)}`,
      `a multiple of ${blockValues} for ${type}`,
    )
  const bytes = typeBytes(
    type,
    tensor.sizes.reduce((product, size) => product * size, 1),
  )
  if (tensor.offset + bytes > source.bytes)
    throw damaged(
      source,
      tensor,
      `up to byte ${counted(tensor.offset + bytes)}`,
      `no more than the file's ${counted(source.bytes)} bytes`,
    )
  const shape = [...tensor.sizes].reverse()
  return { name, type, shape, parts: [{ path: source.path, offset: tensor.offset, bytes }] }
}

function typeOf(source: ByteSource, tensor: GgufTensor): SourceType {
  const name = ggmlTypes[tensor.type]
  const type = readable.find((known) => known === name)
  if (type !== undefined) return type
  throw new UserError(
    "unsupported",
    `${source.path} has ${quoted(tensor.name)} as ${name ?? `a type of number ${tensor.type}`}; wanted ` +
      `${readable.join(", ")}: get another quantisation, such as Q4_K_M`,
  )
}

/** Both lists are in the same order. */
function checkOverlap(
  source: ByteSource,
  stored: readonly GgufTensor[],
  tensors: readonly SourceTensor[],
): void {
  const ranges = stored
    .map((tensor, i) => ({ tensor, begin: tensor.offset, end: tensor.offset + tensors[i].parts[0].bytes }))
    .sort((a, b) => a.begin - b.begin)
  for (let i = 1; i < ranges.length; i++) {
    const before = ranges[i - 1]
    if (ranges[i].begin < before.end)
      throw damaged(
        source,
        ranges[i].tensor,
        `at byte ${counted(ranges[i].begin)}`,
        `none before the end of ${quoted(before.tensor.name)}, ${counted(before.end)}`,
      )
  }
}

function damaged(source: ByteSource, tensor: GgufTensor, got: string, wanted: string): UserError {
  return new UserError(
    "bad-file",
    `${source.path} has tensor ${quoted(tensor.name)} ${got}; wanted ${wanted}: ` +
      "the file is cut short or damaged, download it again",
  )
}
