// The hashes of a matrix, which a piece's packer makes, and those of a stack, joined from them. Packing and verifying
// cut a tensor into the same matrices, wherever the source's parts end. Knows digests; never bytes.

import { createHash } from "node:crypto"

/** SHA-256, hex. */
export interface Hashes {
  /** Of the source's bytes. */
  readonly source: string
  /** Of the packed bytes. */
  readonly packed: string
}

/** A tensor's hash from those of its matrices: the only one, or the hash of all digests in order. */
export function joinHashes(hashes: readonly string[]): string {
  if (hashes.length === 1) return hashes[0]
  const joined = createHash("sha256")
  for (const hash of hashes) joined.update(hash, "hex")
  return joined.digest("hex")
}
