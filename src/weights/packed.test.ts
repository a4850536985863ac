import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { beforeAll, expect, test } from "vitest"
import { safetensors, testFolder, tinyTensors } from "../../test/checkpoint-files.ts"
import { refusal } from "../../test/refusal.ts"
import { sampleCheckpoint } from "../../test/sample-checkpoint.ts"
import { UserError } from "../util/errors.ts"
import { layoutVersion, tensorBytes } from "./format.ts"
import { pack } from "./pack.ts"
import { isPacked, openPacked } from "./packed.ts"
import { parseSafetensors } from "./safetensors.ts"
import { withFile } from "./file.ts"

/** A packed file; q6_k blocks and small files leave gaps that padding must fill. */
let whole: Buffer

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-test-"))
  const { checkpoint, specs } = sampleCheckpoint(join(folder, "source"), { type: "Q6_K", rows: 17 })
  const out = join(folder, "model.a3b")
  await pack(checkpoint, specs, out, { source: "org/model" })
  whole = readFileSync(out)
  rmSync(folder, { recursive: true })
})

function write(bytes: Uint8Array): string {
  const path = join(testFolder(), "model.a3b")
  writeFileSync(path, bytes)
  return path
}

/** The file with one text of its header replaced by another of the same length. */
function edited(from: string, to: string): string {
  expect(to.length).toBe(from.length)
  const at = whole.indexOf(from)
  expect(at).toBeGreaterThan(0)
  const bytes = Buffer.from(whole)
  bytes.write(to, at)
  return write(bytes)
}

test("a packed file is a safetensors file without holes whose tensors have their packed sizes", () => {
  const path = write(whole)
  const entries = new Map(withFile(path, parseSafetensors).map((entry) => [entry.name, entry]))
  const model = openPacked(path)
  for (const { name, format, shape, offset, bytes } of model.tensors.values()) {
    expect(entries.get(name)).toMatchObject({ offset, bytes, dtype: format === "f32" ? "F32" : "U8" })
    expect(bytes).toBe(tensorBytes(format, shape))
  }
  expect(entries.get("a3b.file.config.json")?.bytes).toBe(model.files.get("config.json")?.length)
  expect([...entries.keys()].filter((name) => name.startsWith("a3b.padding.")).length).toBeGreaterThan(0)
})

test("files inside are listed without being read and read when asked for", () => {
  const { files } = openPacked(write(whole))
  expect([...files.keys()]).toEqual(["config.json", "tokenizer.json"])
  expect(files.size).toBe(2)
  expect(files.has("tokenizer.json")).toBe(true)
  expect(files.has("vocab.json")).toBe(false)
  expect(files.get("vocab.json")).toBeUndefined()
  expect(new TextDecoder().decode(files.get("tokenizer.json"))).toBe('{"version":"1.0"}')
  expect([...files.values()].map(({ length }) => length)).toEqual([...files].map(([, { length }]) => length))
  const seen: string[] = []
  files.forEach((_, name) => seen.push(name))
  expect(seen).toEqual(["config.json", "tokenizer.json"])
})

test("an older layout is refused with the command that renews the file", async () => {
  const path = edited(`"layout":"${layoutVersion}"`, `"layout":"${layoutVersion - 1}"`)
  const { code, message } = await refusal(() => openPacked(path))
  expect(code).toBe("unsupported")
  expect(message).toContain(`has packed layout ${layoutVersion - 1}, this a3b reads ${layoutVersion}`)
  expect(message).toContain("a3b pack org/model")
  expect(isPacked(path)).toBe(true)
})

test("a newer layout is refused with the advice to update", async () => {
  const { message } = await refusal(() =>
    openPacked(edited(`"layout":"${layoutVersion}"`, `"layout":"${layoutVersion + 1}"`)),
  )
  expect(message).toContain("update a3b")
})

test("a file that is cut anywhere is refused with the command that renews it", async () => {
  const path = write(whole)
  for (const length of [whole.length - 1, whole.length - 4096, 9000, 4000, 200]) {
    truncateSync(path, length)
    const { code, message } = await refusal(() => openPacked(path))
    expect(code).toBe("bad-file")
    expect(message).toContain("pack it again with a3b pack")
  }
})

test("a file with something behind its end is refused", async () => {
  const { message } = await refusal(() => openPacked(write(Buffer.concat([whole, Buffer.alloc(64)]))))
  expect(message).toContain("pack it again with a3b pack org/model")
})

test.each<[string, Uint8Array]>([
  ["an empty file", new Uint8Array()],
  ["another safetensors file", safetensors(tinyTensors())],
  ["a GGUF file", Buffer.from("GGUF\x03\0\0\0".padEnd(64, "\0"))],
  ["a text", Buffer.from("a3b".repeat(100))],
])("%s is no packed model", async (_, bytes) => {
  const path = write(bytes)
  expect(isPacked(path)).toBe(false)
  expect((await refusal(() => openPacked(path))).message).toContain("is not a packed model")
})

test("a file that is not there is said to be missing", async () => {
  expect((await refusal(() => openPacked(join(testFolder(), "none.a3b")))).code).toBe("not-found")
})

test.each([
  ["a format that does not exist", '\\"format\\":\\"q6_k\\"', '\\"format\\":\\"q7_k\\"'],
  ["a shape of other size", '\\"shape\\":[17,256]', '\\"shape\\":[99,256]'],
  ["a shape of text", '\\"shape\\":[17,256]', '\\"shape\\":["12345]'],
  ["an exactness that is none", '\\"exact\\":true', '\\"exact\\":1234'],
  ["no hash of the source", '\\"hash\\":', '\\"lash\\":'],
  ["no hash of the packed bytes", '\\"packed\\":', '\\"pecked\\":'],
  ["a tensor under another name", '"router":{', '"rooter":{'],
  ["no config.json", '"a3b.file.config.json"', '"a3b.file.konfig.json"'],
])("a header with %s is refused", async (_, from, to) => {
  expect((await refusal(() => openPacked(edited(from, to)))).code).toBe("bad-file")
})

test("no damage to the header brings anything but one clear error", () => {
  const headerBytes = 8 + Number(whole.readBigUInt64LE(0))
  // Mostly characters that leave it JSON but change what it says.
  const value = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...Buffer.from("0123456789-eE.,:")) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) },
  )
  const damage = fc.array(fc.tuple(fc.nat(headerBytes - 1), value), {
    minLength: 1,
    maxLength: 4,
  })
  const path = write(whole)
  let refused = 0
  fc.assert(
    fc.property(damage, (changes) => {
      const bytes = Buffer.from(whole)
      for (const [at, value] of changes) bytes[at] = value
      writeFileSync(path, bytes)
      try {
        openPacked(path)
      } catch (error) {
        if (!(error instanceof UserError)) throw error
        refused++
      }
    }),
    { numRuns: 1000 },
  )
  expect(refused).toBeGreaterThan(100)
})
