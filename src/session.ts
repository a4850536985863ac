// Between runs. What tells whether a saved conversation is of this model, and such a conversation to a file and back. Knows
// bytes and names; never what keys and values mean.
//
// The file: u64 length of the header, the header as JSON (`FileHeader`), the ids as int32, then each page's 16-bit values
// and codes, in order, without gaps. Numbers are little-endian.

import { createHash } from "node:crypto"
import { closeSync, openSync } from "node:fs"
import type { SavedPage, Session } from "./engine/sessions.ts"
import type { PackedSource, QkNorms } from "./model/weights.ts"
import { UserError } from "./util/errors.ts"
import { writeAll, writeWhole } from "./weights/disk.ts"
import { withFile } from "./weights/file.ts"
import type { ByteSource } from "./weights/file.ts"
import { readObject } from "./weights/json.ts"

const format = "a3b-session"
const version = 2
const maxHeaderBytes = 1 << 26

interface FileHeader {
  format: typeof format
  version: typeof version
  model: string
  cache: string
  numTokens: number
  numPinned: number
  /** Of each page: bytes in 16 bits, tier of its codes, bytes of these; 0 where it has none. */
  pages: [number, number, number][]
}

/** SHA-256 of the config, of every tensor's bytes by their own hashes, and of what is made of the norms. */
export function fingerprintOf({ config, tensors }: PackedSource, norms: QkNorms): string {
  const hashes = [...tensors.values()].map(({ name, packedHash }) => [name, packedHash])
  return createHash("sha256")
    .update(JSON.stringify([config, hashes, norms]))
    .digest("hex")
}

/** Under its name only when it is whole; readable by its owner alone, for it tells the conversation. */
export function writeSession(path: string, { model, cache, tokens, numPinned, pages }: Session): void {
  const sizes = pages.map(({ exact, codes }): [number, number, number] => [
    exact?.length ?? 0,
    codes?.tier ?? 0,
    codes?.bytes.length ?? 0,
  ])
  const header: FileHeader = {
    ...{ format, version, model, cache, numPinned },
    numTokens: tokens.length,
    pages: sizes,
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const length = new Uint8Array(8)
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true)
  const ids = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength)
  const parts = pages
    .flatMap(({ exact, codes }) => [exact, codes?.bytes])
    .filter((part) => part !== undefined)
  writeWhole(path, (part) => {
    const file = openSync(part, "w", 0o600)
    try {
      let at = 0
      for (const bytes of [length, text, ids, ...parts]) {
        writeAll(file, bytes, at)
        at += bytes.length
      }
    } finally {
      closeSync(file)
    }
  })
}

/** Throws `bad-file` where a file is no session, or is not as long as it says. */
export function readSession(path: string): Session {
  return withFile(path, (source) => {
    const { header, end } = readHeader(source)
    let at = end
    const next = (length: number) => source.read((at += length) - length, length)
    const tokens = new Int32Array(next(4 * header.numTokens).slice().buffer)
    const pages = header.pages.map(([exact, tier, codes]): SavedPage => ({
      ...(exact > 0 && { exact: next(exact) }),
      ...(codes > 0 && { codes: { tier: tier as 1 | 2 | 3, bytes: next(codes) } }), // checked with the header
    }))
    const { model, cache, numPinned } = header
    return { model, cache, tokens, numPinned, pages }
  })
}

function readHeader(source: ByteSource): { header: FileHeader; end: number } {
  const damaged = (what: string) =>
    new UserError(
      "bad-file",
      `${source.path} ${what}: it is no saved conversation, or was cut; save it again`,
    )
  if (source.bytes < 8) throw damaged("is too short")
  const start = source.read(0, 8)
  const length = Number(new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true))
  if (length > Math.min(maxHeaderBytes, source.bytes - 8)) throw damaged("ends inside its header")
  const header = readObject(source.read(8, length), `the header of ${source.path}`)
  if (header.format !== format || header.version !== version)
    throw damaged(`is no ${format} of version ${version}`)
  if (!isHeader(header)) throw damaged("has a wrong header")
  const end = 8 + length
  const wanted = header.pages.reduce(
    (sum, [exact, , codes]) => sum + exact + codes,
    end + 4 * header.numTokens,
  )
  if (wanted !== source.bytes) throw damaged(`has ${source.bytes} bytes and says ${wanted}`)
  return { header, end }
}

function isHeader(value: object): value is FileHeader {
  const { model, cache, numTokens, numPinned, pages } = value as Partial<FileHeader>
  const isCount = (count: unknown) => Number.isSafeInteger(count) && Number(count) >= 0
  return (
    typeof model === "string" &&
    typeof cache === "string" &&
    isCount(numTokens) &&
    isCount(numPinned) &&
    Array.isArray(pages) &&
    pages.every((page) => Array.isArray(page) && page.length === 3 && page.every(isCount) && page[1] <= 3) &&
    pages.every(([, tier, codes]) => codes > 0 === tier > 0)
  )
}
