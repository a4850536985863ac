import { existsSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, expect, test, vi } from "vitest"
import { modelFiles, testFolder, tinyTensors, writeFiles } from "../test/checkpoint-files.ts"
import { HubServer, modelId } from "../test/hub-server.ts"
import { refusal } from "../test/refusal.ts"
import { packCheckpoint, prepare } from "./prepare.ts"
import type { PullProgress } from "./weights/pull.ts"
import { listModels } from "./weights/store.ts"

beforeEach(() => vi.stubEnv("A3B_HOME", testFolder()))

const folderModel = (seed = 1) => writeFiles(testFolder(), modelFiles(tinyTensors(seed), 2))

test("a folder is packed into the store on first use, said and shown, and opened from there afterwards", async () => {
  const folder = folderModel()
  const notices: string[] = []
  const shards: number[] = []
  const options = {
    onNotice: (text: string) => notices.push(text),
    onProgress: (progress: PullProgress) => {
      if (progress.phase === "pack") shards.push(progress.shardsDone)
    },
  }
  const first = await prepare(folder, options)
  expect(first.path.startsWith(join(process.env.A3B_HOME!, "models"))).toBe(true)
  expect(notices).toEqual([`packing ${folder} into ${first.path}`])
  expect(shards.at(-1)).toBe(2)
  const { mtimeMs } = statSync(first.path)
  const second = await prepare(folder, options)
  expect(second.path).toBe(first.path)
  expect(statSync(second.path).mtimeMs).toBe(mtimeMs)
  expect(notices).toHaveLength(1)
})

test("a packed file and a stored model's name are opened where they are", async () => {
  const { path } = await prepare(folderModel())
  expect((await prepare(path)).path).toBe(path)
  const [{ name }] = listModels()
  expect((await prepare(name)).path).toBe(path)
})

test("a changed checkpoint is packed anew, an unchanged one of another quant as well", async () => {
  const folder = folderModel()
  const { path } = await prepare(folder)
  expect((await prepare(folder, { quant: "keep" })).quant).toBe("keep")
  const [shard] = ["model-00001-of-00002.safetensors"].map((name) => join(folder, name))
  utimesSync(shard, 1, 1)
  expect((await prepare(folder)).path).not.toBe(path)
  expect(listModels()).toHaveLength(3)
})

test("another tokenizer's files take the place of the checkpoint's and are part of the key", async () => {
  const folder = folderModel()
  const { path } = await prepare(folder)
  const tokenizer = writeFiles(testFolder(), { "tokenizer.json": Buffer.from('{"version":"other"}') })
  const other = await prepare(folder, { tokenizer })
  expect(other.path).not.toBe(path)
  expect(new TextDecoder().decode(other.files.get("tokenizer.json"))).toBe('{"version":"other"}')
  const { message } = await refusal(() => prepare(other.path, { tokenizer }))
  expect(message).toContain(`a3b pack ${folder} --tokenizer ${tokenizer}`)
})

test("a packed file of another quant is refused with the command that makes it", async () => {
  const { path } = await prepare(folderModel(), { quant: "keep" })
  expect((await prepare(path, { quant: "keep" })).path).toBe(path)
  expect((await refusal(() => prepare(path, { quant: "q8_0" }))).message).toContain("--quant q8_0")
})

test("packing into a named file leaves the store alone", async () => {
  const out = join(testFolder(), "mine.a3b")
  const packed = await packCheckpoint(folderModel(), { out })
  expect(packed.path).toBe(out)
  expect(existsSync(join(process.env.A3B_HOME!, "models"))).toBe(false)
})

test("packing again replaces what is stored", async () => {
  const folder = folderModel()
  const { path } = await prepare(folder)
  const before = readFileSync(path)
  writeFileSync(path, "damaged")
  expect((await packCheckpoint(folder)).path).toBe(path)
  expect(readFileSync(path).equals(before)).toBe(true)
})

test("what is neither file nor folder nor stored is not found", async () => {
  const { code, message } = await refusal(() => prepare("no-such-model"))
  expect(code).toBe("not-found")
  expect(message).toContain("a3b list")
})

test("a hub id is pulled into the store on first use and needs no hub afterwards", async () => {
  const hub = await HubServer.start(modelFiles(tinyTensors(), 2))
  vi.stubEnv("HF_ENDPOINT", hub.url)
  const notices: string[] = []
  const phases = new Set<string>()
  const options = {
    onNotice: (text: string) => notices.push(text),
    onProgress: ({ phase }: PullProgress) => phases.add(phase),
  }
  const first = await prepare(modelId, options)
  expect(notices).toEqual([`pulling ${modelId} into ${first.path}`])
  expect([...phases].sort()).toEqual(["download", "pack", "plan"])
  expect(listModels()).toMatchObject([{ source: modelId, state: "ready" }])
  const requests = hub.requests.length
  expect((await prepare(modelId)).path).toBe(first.path)
  expect(hub.requests.length).toBe(requests)
  const local = await prepare(folderModel())
  const hashes = ({ tensors }: typeof local) =>
    [...tensors.values()].map(({ sourceHash, packedHash }) => [sourceHash, packedHash])
  expect(hashes(first)).toEqual(hashes(local))
})
