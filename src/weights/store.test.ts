import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { testFolder } from "../../test/checkpoint-files.ts"
import { refusal } from "../../test/refusal.ts"
import { sampleCheckpoint } from "../../test/sample-checkpoint.ts"
import { Packer, pack } from "./pack.ts"
import { findModel, listModels, modelsFolder, removeModel, storedPath } from "./store.ts"

/** A store with a ready model, one whose packing stopped, and a file that is none. */
async function store(): Promise<string> {
  const folder = testFolder()
  const models = join(folder, "models")
  const { checkpoint, specs } = sampleCheckpoint(join(folder, "source"), { type: "Q4_0", shards: 2 })
  await pack(checkpoint, specs, join(models, "ready.a3b"), { source: "org/model" })
  const packer = Packer.open(checkpoint, specs, join(models, "stopped.a3b"))
  await packer.packFrom(packer.sources.slice(0, 1))
  packer.close()
  mkdirSync(join(models, "stopped.a3b.download"))
  writeFileSync(join(models, "stopped.a3b.download", "shard.part"), Buffer.alloc(200_000, 1))
  writeFileSync(join(models, "other.a3b"), "not a model")
  writeFileSync(join(models, "notes.txt"), "mine")
  return models
}

test("models are listed by name with size, source, date and state", async () => {
  const folder = await store()
  const [other, ready, stopped, ...more] = listModels(folder)
  expect(more).toEqual([])
  expect(other).toMatchObject({
    name: "other",
    state: "unreadable",
    problem: expect.stringContaining("not a packed"),
  })
  expect(ready).toMatchObject({
    name: "ready",
    state: "ready",
    source: "org/model",
    path: join(folder, "ready.a3b"),
  })
  expect(ready.bytes).toBeGreaterThan(10_000)
  expect(Math.abs(Date.now() - ready.created.getTime())).toBeLessThan(60_000)
  expect(stopped).toMatchObject({ name: "stopped", state: "incomplete" })
  expect(stopped.bytes).toBeGreaterThan(200_000)
})

test("a folder that does not exist has no models", () => {
  expect(listModels(join(testFolder(), "none"))).toEqual([])
})

test("removing a model removes what an unfinished run left of it, and nothing else", async () => {
  const folder = await store()
  expect(removeModel("stopped", folder).state).toBe("incomplete")
  expect(removeModel("ready", folder).source).toBe("org/model")
  expect(listModels(folder).map(({ name }) => name)).toEqual(["other"])
  expect(readdirSync(folder).sort()).toEqual(["notes.txt", "other.a3b"])
})

test.each(["", "..", "../outside", "/etc/passwd", "ready.a3b", "a\0b", "notes.txt"])(
  "%j is no model's name and removes nothing",
  async (name) => {
    const folder = await store()
    mkdirSync(join(folder, "..", "outside.a3b"))
    expect((await refusal(() => removeModel(name, folder))).code).toBe("not-found")
    expect(existsSync(join(folder, "..", "outside.a3b"))).toBe(true)
    expect(listModels(folder)).toHaveLength(3)
  },
)

test("a model that is being made is not removed", async () => {
  const folder = testFolder()
  const { checkpoint, specs } = sampleCheckpoint(join(folder, "source"), { type: "Q4_0" })
  const packer = Packer.open(checkpoint, specs, join(folder, "busy.a3b"))
  expect((await refusal(() => removeModel("busy", folder))).message).toContain("is writing this file")
  expect(findModel("busy", folder)?.state).toBe("incomplete")
  packer.close()
})

test("A3B_HOME moves the store", () => {
  expect(modelsFolder({ A3B_HOME: "/data/a3b" })).toBe(join("/data/a3b", "models"))
})

test.runIf(process.platform !== "win32")("the store is in the user's cache folder", () => {
  expect(modelsFolder({})).toBe(join(homedir(), ".cache", "a3b", "models"))
  expect(modelsFolder({ XDG_CACHE_HOME: "/var/cache/me" })).toBe("/var/cache/me/a3b/models")
})

test.each([
  ["/home/me/models/Qwen3 30B.gguf", /^models-Qwen3-30B-[0-9a-f]{8}\.a3b$/],
  ["Qwen/Qwen3-30B-A3B", /^Qwen-Qwen3-30B-A3B-[0-9a-f]{8}\.a3b$/],
  ["C:\\models\\..\\x", /^x-[0-9a-f]{8}\.a3b$/],
  ["/", /^model-[0-9a-f]{8}\.a3b$/],
])("%s is packed to a readable name inside the store", (source, name) => {
  const path = storedPath(source, [], "/store")
  expect(path.slice("/store/".length)).toMatch(name)
  expect(join(path)).toBe(path)
})

test("a different key makes a different name", () => {
  const names = [[], [1], [1, "q8_0"]].map((key) => storedPath("org/model", key, "/store"))
  expect(new Set(names).size).toBe(3)
  expect(storedPath("org/model", [1], "/store")).toBe(names[1])
})
