// Step 0. Mutated and generated headers of safetensors files, indexes and GGUF files: whatever they say, they parse or
// end in a UserError, without long reads and without hanging. 110,000 headers by default; A3B_FUZZ=10 runs ten times
// as many, and each run draws new ones. fast-check prints the seed of a failure.

import fc from "fast-check"
import { expect, test } from "vitest"
import { parseConfig } from "../src/model/config.ts"
import { tensorSpecs } from "../src/model/tensors.ts"
import { UserError } from "../src/util/errors.ts"
import { checkTensors } from "../src/weights/check.ts"
import { stackExperts } from "../src/weights/experts.ts"
import type { ByteSource } from "../src/weights/file.ts"
import { parseIndex, storedTensors } from "../src/weights/folder.ts"
import { readGguf } from "../src/weights/gguf-checkpoint.ts"
import type { SourceTensor } from "../src/weights/source.ts"
import {
  concat,
  fuseExperts,
  gguf,
  little,
  modelFiles,
  rawSafetensors,
  tinySpecs,
  tinyTensors,
} from "./checkpoint-files.ts"
import { tinyGguf } from "./tiny-gguf.ts"

const factor = Number(process.env.A3B_FUZZ ?? 1)
const minutes = 60_000 * Math.max(1, factor)

/** A file of `size` bytes that begins with `bytes` and goes on with zeros; a read outside it is a bug. */
function source(bytes: Uint8Array, size: number): ByteSource {
  const read = (offset: number, length: number) => {
    const inside = offset >= 0 && length >= 0 && length <= 100_000_000 && offset + length <= size
    if (!inside) throw new Error(`read of ${length} bytes at ${offset} in a file of ${size}`)
    const out = new Uint8Array(length)
    out.set(bytes.subarray(offset, offset + length))
    return out
  }
  return { path: "fuzz", bytes: size, read }
}

/** Counts what was accepted, refuses every error but a UserError with a message of sane length. */
class Tally {
  accepted = 0
  refused = 0

  run(use: () => void): void {
    try {
      use()
      this.accepted++
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      expect(error.message.length).toBeLessThan(2000)
      this.refused++
    }
  }
}

function fuzz<T>(arbitrary: fc.Arbitrary<T>, runs: number, use: (value: T) => void): Tally {
  const tally = new Tally()
  fc.assert(
    fc.property(arbitrary, (value) => tally.run(() => use(value))),
    { numRuns: runs * factor },
  )
  expect(tally.accepted + tally.refused).toBe(runs * factor)
  return tally
}

/** Ranges that a reader promises, whatever it read: inside the file, and as many bytes as the parts say. */
function checkRanges(tensors: Iterable<SourceTensor>, size: number): void {
  for (const { name, parts } of tensors)
    for (const { offset, bytes } of parts)
      if (!(offset >= 0 && bytes >= 0 && offset + bytes <= size))
        throw new Error(`${name} at ${offset}, ${bytes} bytes, in a file of ${size}`)
}

// ---- mutations: where (as a part of the length), what, and how far

const place = fc.nat({ max: 0xffff })
const numbers = [
  0n,
  1n,
  2n,
  3n,
  7n,
  32n,
  255n,
  2n ** 16n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
]
const number = fc.constantFrom(...numbers)

type Mutation = (bytes: Uint8Array, at: number) => Uint8Array

const flip = fc.nat({ max: 7 }).map(
  (bit): Mutation =>
    (bytes, at) =>
      bytes.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte)),
)
const overwrite = fc.tuple(number, fc.constantFrom(8 as const, 32 as const, 64 as const)).map(
  ([value, bits]): Mutation =>
    (bytes, at) =>
      concat(bytes.subarray(0, at), little(value, bits), bytes.subarray(at + bits / 8)),
)
const remove = fc.nat({ max: 40 }).map(
  (length): Mutation =>
    (bytes, at) =>
      concat(bytes.subarray(0, at), bytes.subarray(at + length)),
)
const repeat = fc.nat({ max: 40 }).map(
  (length): Mutation =>
    (bytes, at) =>
      concat(bytes.subarray(0, at + length), bytes.subarray(at)),
)
const cut = fc.constant<Mutation>((bytes, at) => bytes.slice(0, at))

function mutations(...kinds: fc.Arbitrary<Mutation>[]) {
  return fc.array(fc.tuple(place, fc.oneof(...kinds)), { minLength: 1, maxLength: 3 })
}

function mutate(bytes: Uint8Array, changes: readonly [number, Mutation][]): Uint8Array {
  let changed = bytes
  for (const [where, change] of changes)
    changed = change(changed, Math.floor((where / 0x10000) * changed.length))
  return changed
}

/** The file's size: most often what is there, else more. */
const extra = fc.oneof({ weight: 19, arbitrary: fc.constant(0) }, fc.constantFrom(1, 4096, 10 ** 9, 10 ** 13))

// ---- safetensors

const words = [
  ...[
    `"`,
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "-",
    "0",
    "-1",
    "1.5",
    "1e999",
    "9007199254740993",
    "null",
    "true",
    `""`,
    "\\",
  ],
  ...[
    `"__proto__":`,
    `"shape":`,
    `"data_offsets":[0,8]`,
    `"dtype":"F32"`,
    `"I32"`,
    "_scale_inv",
    ".qweight",
    "\ud800",
  ],
].map((word) => new TextEncoder().encode(word))
const insert = fc.constantFrom(...words).map(
  (word): Mutation =>
    (bytes, at) =>
      concat(bytes.subarray(0, at), word, bytes.subarray(at)),
)
/** Puts another number where the next digits are. */
const renumber = number.map((value): Mutation => (bytes, at) => {
  let from = at
  while (from < bytes.length && (bytes[from] < 48 || bytes[from] > 57)) from++
  let to = from
  while (to < bytes.length && bytes[to] >= 48 && bytes[to] <= 57) to++
  return concat(bytes.subarray(0, from), new TextEncoder().encode(String(value)), bytes.subarray(to))
})

/** The header of a one-file model, and how many bytes follow it. */
function headerOf(file: Uint8Array): { header: Uint8Array; dataBytes: number } {
  const length = Number(new DataView(file.buffer).getBigUint64(0, true))
  return { header: file.slice(8, 8 + length), dataBytes: file.length - 8 - length }
}

const headers = [tinyTensors(), fuseExperts(tinyTensors())].map((tensors) =>
  headerOf(modelFiles(tensors)["model.safetensors"]),
)

function readSafetensors(file: Uint8Array, size: number): void {
  const tensors = stackExperts(storedTensors(source(file, size)))
  checkRanges(tensors.values(), size)
  checkTensors({ kind: "folder", path: "fuzz", config: {}, files: new Map(), tensors, bytes: 0 }, tinySpecs)
}

test("40,000 mutated safetensors headers", { timeout: minutes }, () => {
  const change = mutations(flip, insert, renumber, renumber, remove, repeat, cut)
  const length = fc.oneof({ weight: 19, arbitrary: fc.constant(undefined) }, number)
  const { accepted, refused } = fuzz(
    fc.tuple(fc.constantFrom(...headers), change, length, extra),
    40_000,
    ([{ header, dataBytes }, changes, claimed, more]) => {
      const file = rawSafetensors(mutate(header, changes), undefined, claimed)
      readSafetensors(file, file.length + dataBytes + more)
    },
  )
  // Most mutations are seen; a few fall where any byte is right, as in a format's name.
  expect(refused).toBeGreaterThan(30_000 * factor)
  expect(accepted).toBeGreaterThan(10 * factor)
})

const names = ["a", "__proto__", "lm_head.weight", "model.layers.0.mlp.experts.gate_up_proj", "x.qweight"]
const experts = fc.nat({ max: 3 }).map((expert) => `model.layers.0.mlp.experts.${expert}.up_proj.weight`)
const size = fc.oneof(fc.nat({ max: 9 }), fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 53, 1e300))
const entry = fc.record(
  {
    dtype: fc.oneof(
      fc.constantFrom("BF16", "F32", "F8_E4M3", "I32", "toString"),
      fc.jsonValue({ maxDepth: 1 }),
    ),
    shape: fc.oneof(
      { weight: 9, arbitrary: fc.array(size, { maxLength: 4 }) },
      fc.jsonValue({ maxDepth: 2 }),
    ),
    data_offsets: fc.oneof({ weight: 9, arbitrary: fc.tuple(size, size) }, fc.jsonValue({ maxDepth: 2 })),
  },
  { requiredKeys: [] },
)

test("20,000 generated safetensors headers", { timeout: minutes }, () => {
  const header = fc.dictionary(fc.oneof(fc.constantFrom(...names), experts), entry, { maxKeys: 4 })
  fuzz(fc.tuple(header, fc.nat({ max: 40 })), 20_000, ([tensors, dataBytes]) => {
    const file = rawSafetensors(JSON.stringify(tensors))
    readSafetensors(file, file.length + dataBytes)
  })
})

test("10,000 mutated indexes", { timeout: minutes }, () => {
  const index = modelFiles(tinyTensors(), 3)["model.safetensors.index.json"]
  const change = mutations(flip, insert, renumber, remove, repeat, cut)
  const { refused } = fuzz(change, 10_000, (changes) => {
    for (const shard of parseIndex(mutate(index, changes), "fuzz").values()) expect(shard).not.toContain("/")
  })
  expect(refused).toBeGreaterThan(1000 * factor)
})

// ---- GGUF

const ggufFile = gguf(tinyGguf())
/** Most mutations go to the header: behind it any byte is right. */
const ggufHeader = ggufFile.length - tinyGguf().tensors.reduce((sum, [, { bytes }]) => sum + bytes.length, 0)

function readGgufModel(file: Uint8Array, claimed: number): void {
  const checkpoint = readGguf(source(file, claimed), "own")
  checkRanges(checkpoint.tensors.values(), claimed)
  checkTensors(checkpoint, tensorSpecs(parseConfig(checkpoint.config)))
}

test("30,000 mutated GGUF headers", { timeout: minutes }, () => {
  const change = mutations(flip, overwrite, overwrite, remove, repeat, cut)
  const { accepted, refused } = fuzz(fc.tuple(change, extra), 30_000, ([changes, more]) => {
    const file = concat(mutate(ggufFile.subarray(0, ggufHeader), changes), ggufFile.subarray(ggufHeader))
    readGgufModel(file, file.length + more)
  })
  expect(refused).toBeGreaterThan(20_000 * factor)
  expect(accepted).toBeGreaterThan(10 * factor)
})

const text = fc.oneof(
  fc.constantFrom("general.architecture", "a", "token_embd.weight", ""),
  fc.string({ maxLength: 9 }),
)
const bytes = fc.uint8Array({ maxLength: 12 })
const count = fc.oneof(fc.nat({ max: 5 }).map(BigInt), number)
const value = fc.oneof(
  fc.tuple(fc.nat({ max: 14 }), bytes).map(([type, rest]) => concat(little(type, 32), rest)),
  fc
    .tuple(fc.nat({ max: 14 }), count, bytes)
    .map(([type, items, rest]) => concat(little(9, 32), little(type, 32), little(items, 64), rest)),
)
const generated = fc.record({
  metadata: fc.array(
    fc.tuple(
      text,
      value.map((raw): ["raw", Uint8Array] => ["raw", raw]),
    ),
    { maxLength: 4 },
  ),
  tensors: fc.array(
    fc.tuple(
      text,
      fc.record({
        type: fc.nat({ max: 45 }),
        sizes: fc.array(fc.oneof(fc.constantFrom(32n, 256n), count), { maxLength: 5 }),
        bytes,
        offset: fc.oneof(
          fc.constant(undefined),
          fc.nat({ max: 9 }).map((blocks) => blocks * 32),
          count,
        ),
      }),
    ),
    { maxLength: 3 },
  ),
})

test("10,000 generated GGUF headers", { timeout: minutes }, () => {
  fuzz(fc.tuple(generated, extra), 10_000, ([{ metadata, tensors }, more]) => {
    const arch: [string, ["string", string]] = ["general.architecture", ["string", "qwen3moe"]]
    const file = gguf({ metadata: [arch, ...metadata], tensors })
    readGgufModel(file, file.length + more)
  })
})
