// Step 6. Tensors in, one safetensors file out, under its name only when every byte is on the disk. Knows bytes; never
// what they mean.

import { closeSync, openSync } from "node:fs"
import { writeAll, writeWhole } from "../../weights/disk.ts"

export interface WrittenTensor {
  name: string
  dtype: "F64" | "F32" | "BF16" | "F8_E4M3"
  shape: readonly number[]
  bytes: Uint8Array
}

export function writeSafetensors(
  path: string,
  tensors: readonly WrittenTensor[],
  metadata: Record<string, string>,
): void {
  writeWhole(path, (part) => {
    const file = openSync(part, "w")
    try {
      let at = writeHeader(file, tensors, metadata)
      for (const { bytes } of tensors) {
        writeAll(file, bytes, at)
        at += bytes.length
      }
    } finally {
      closeSync(file)
    }
  })
}

/** The memory of an array. */
export function bytesOf(array: Float64Array | Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

function writeHeader(
  file: number,
  tensors: readonly WrittenTensor[],
  metadata: Record<string, string>,
): number {
  const header: Record<string, unknown> = { __metadata__: metadata }
  let end = 0
  for (const { name, dtype, shape, bytes } of tensors)
    header[name] = { dtype, shape, data_offsets: [end, (end += bytes.length)] }
  const text = JSON.stringify(header)
  // Spaces at the end let the data begin at a multiple of 8.
  const bytes = new TextEncoder().encode(text + " ".repeat(7 - ((Buffer.byteLength(text) + 7) % 8)))
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(bytes.length), true)
  writeAll(file, length, 0)
  writeAll(file, bytes, 8)
  return 8 + bytes.length
}
