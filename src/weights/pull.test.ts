import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync, statfsSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test, vi } from "vitest"
import {
  fuseExperts,
  gguf,
  modelFiles,
  rawSafetensors,
  testFolder,
  tinySpecs,
  tinyTensors,
  writeFiles,
} from "../../test/checkpoint-files.ts"
import {
  chunked,
  cutAfter,
  fail,
  honestly,
  HubServer,
  instead,
  modelId,
  stallAfter,
} from "../../test/hub-server.ts"
import { refusal } from "../../test/refusal.ts"
import { tinyGguf } from "../../test/tiny-gguf.ts"
import { parseConfig } from "../model/config.ts"
import { tensorSpecs } from "../model/tensors.ts"
import { UserError } from "../util/errors.ts"
import { openCheckpoint } from "./checkpoint.ts"
import { pack } from "./pack.ts"
import { openPacked } from "./packed.ts"
import { pull, type PullOptions, type PullPlan, type PullProgress } from "./pull.ts"

const limits = { stallMs: 20_000, attempts: 3, waitMs: 1 }
const specs: PullOptions["specs"] = (config) => tensorSpecs(parseConfig(config))
const shard = (number: number) => `model-0000${number}-of-00003.safetensors`
const model = modelFiles(tinyTensors(), 3)

interface Setup {
  hub: HubServer
  folder: string
  out: string
  seen: PullProgress[]
  pull: (options?: Partial<PullOptions>, id?: string) => Promise<void>
}

async function setup(files: Record<string, Uint8Array> = model): Promise<Setup> {
  const hub = await HubServer.start(files)
  const folder = testFolder()
  const out = join(folder, "model.a3b")
  const seen: PullProgress[] = []
  const onProgress = (progress: PullProgress) => seen.push(progress)
  const run = (options: Partial<PullOptions> = {}, id = modelId) =>
    pull(id, { specs, out, endpoint: hub.url, limits, onProgress, threads: 1, ...options })
  return { hub, folder, out, seen, pull: run }
}

/** The packed file that the same model gives when it is packed from a folder. */
async function packedHere(files: Record<string, Uint8Array>, source: string): Promise<Buffer> {
  const folder = writeFiles(join(testFolder(), "model"), files)
  const [only] = Object.keys(files)
  const checkpoint = await openCheckpoint(only.endsWith(".gguf") ? join(folder, only) : folder)
  const out = join(folder, "packed.a3b")
  await pack(checkpoint, specs(checkpoint.config), out, { source })
  return readFileSync(out)
}

/** The packed file is whole and right, and nothing else is left. */
async function expectPulled(run: Setup, files = model, id = modelId): Promise<void> {
  expect(readdirSync(run.folder)).toEqual(["model.a3b"])
  expect(readFileSync(run.out).equals(await packedHere(files, id))).toBe(true)
}

const bodies = ({ hub }: Setup, file: string) =>
  hub.requestsFor(file).filter(({ range }) => !range?.startsWith("bytes=0-"))

/** The last run's. */
function planOf({ seen }: Setup): PullPlan {
  const plans = seen.filter((progress) => progress.phase === "plan")
  return plans[plans.length - 1]
}

// ---- what a pull gives

test.each([
  ["Hugging Face", modelId],
  ["Hugging Face by name", `hf:${modelId}@main`],
  ["ModelScope", `modelscope:${modelId}`],
])("a model from %s is packed as the same model on the disk", async (_, id) => {
  const run = await setup()
  await run.pull({}, id)
  await expectPulled(run, model, id)
  expect(openPacked(run.out).tensors.size).toBe(tinySpecs.length)
})

test.each([
  ["one file", modelFiles(tinyTensors())],
  ["fused experts", modelFiles(fuseExperts(tinyTensors()), 2)],
])("%s of weights is as good", async (_, files) => {
  const run = await setup(files)
  await run.pull()
  await expectPulled(run, files)
})

test("a GGUF repository with one file gives that file", async () => {
  const files = { "sub/tiny.gguf": gguf(tinyGguf()) }
  const run = await setup(files)
  await run.pull()
  await expectPulled(run, { "tiny.gguf": files["sub/tiny.gguf"] })
})

test("of several GGUF files one must be named", async () => {
  const files = { "a.gguf": new Uint8Array(9), "tiny.gguf": gguf(tinyGguf()) }
  const run = await setup(files)
  const { code, message } = await refusal(() => run.pull())
  expect([code, message]).toEqual([
    "bad-argument",
    expect.stringContaining(`name one, as in hf:${modelId}/a.gguf`),
  ])
  const missing = await refusal(() => run.pull({}, `${modelId}/b.gguf`))
  expect(missing).toEqual({
    code: "not-found",
    message: expect.stringContaining("choose one of a.gguf, tiny.gguf"),
  })
  await run.pull({}, `${modelId}/tiny.gguf`)
  await expectPulled(run, { "tiny.gguf": files["tiny.gguf"] }, `${modelId}/tiny.gguf`)
})

test("another folder's tokenizer takes the place of the model's own", async () => {
  const tokenizer = writeFiles(testFolder(), { "tokenizer.json": new TextEncoder().encode(`{"own":1}`) })
  const run = await setup()
  await run.pull({ tokenizer })
  expect(new TextDecoder().decode(openPacked(run.out).files.get("tokenizer.json"))).toBe(`{"own":1}`)
})

// ---- what is said and done on the way

test("before any weights come it says which, how large, and what room is needed and there", async () => {
  const run = await setup()
  let bodiesBefore = -1
  const onProgress = (progress: PullProgress) => {
    run.seen.push(progress)
    if (progress.phase === "plan") bodiesBefore = [1, 2, 3].flatMap((i) => hub(shard(i))).length
  }
  const hub = (file: string) => bodies(run, file)
  await run.pull({ onProgress })
  expect(bodiesBefore).toBe(0)
  const plan = planOf(run)
  const sizes = [1, 2, 3].map((i) => model[shard(i)].length)
  expect(plan.files).toEqual([1, 2, 3].map((i) => ({ path: shard(i), bytes: model[shard(i)].length })))
  expect(plan.downloadBytes).toBe(sizes[0] + sizes[1] + sizes[2])
  expect(plan.packedBytes).toBe(readFileSync(run.out).length)
  const largestTwo = sizes.sort((a, b) => b - a).slice(0, 2)
  expect(plan.neededBytes).toBeLessThanOrEqual(plan.packedBytes + largestTwo[0] + largestTwo[1])
  expect(plan.neededBytes).toBeGreaterThanOrEqual(largestTwo[0] + largestTwo[1])
  expect(plan.freeBytes).toBeGreaterThan(plan.neededBytes)
})

test("progress of downloads only grows and ends at everything", async () => {
  const run = await setup()
  run.hub.fault(
    shard(2),
    (...args) => args[0].destroy(),
    instead(({ body }) => ({ body })),
    cutAfter(900),
  )
  await run.pull()
  const downloads = run.seen.filter((progress) => progress.phase === "download")
  const done = downloads.map(({ bytesDone }) => bytesDone)
  expect(done).toEqual([...done].sort((a, b) => a - b))
  expect(downloads.at(-1)).toMatchObject({
    filesDone: 3,
    filesTotal: 3,
    bytesDone: planOf(run).downloadBytes,
  })
  expect(downloads.at(-1)?.bytesDone).toBe(downloads.at(-1)?.bytesTotal)
  expect(run.seen.at(-1)).toMatchObject({ phase: "pack", shardsDone: 3 })
})

test("a file with weights is dropped once it is packed: never are more than two there", async () => {
  const run = await setup()
  const most = { files: 0 }
  const onProgress = () => {
    const folder = `${run.out}.download`
    const files = existsSync(folder)
      ? readdirSync(folder).filter((name) => /\.safetensors(\.part)?$/.test(name))
      : []
    most.files = Math.max(most.files, files.length)
  }
  await run.pull({ onProgress })
  expect([1, 2]).toContain(most.files)
})

test("a file is packed while the next one comes in", async () => {
  const run = await setup()
  // The second file hangs until the first one's packing was reported.
  let isPacked = false
  let held: (() => void) | undefined
  const release = () => {
    if (!isPacked) return
    held?.()
    held = undefined
  }
  run.hub.fault(
    shard(2),
    instead(({ body }) => ({ body })),
    (...answer) => {
      held = () => honestly(...answer)
      release()
    },
  )
  const onProgress = (progress: PullProgress) => {
    isPacked ||= progress.phase === "pack" && progress.shardsDone === 1
    release()
  }
  await run.pull({ onProgress })
  await expectPulled(run)
})

// ---- networks and runs that fail

test("a server that cuts and stalls all the time gives the same file", async () => {
  const run = await setup()
  const lose = [cutAfter(200), stallAfter(300), fail(502), chunked((body) => body.slice(0, 150))]
  for (const file of Object.keys(model)) run.hub.fault(file, lose[file.length % 4], ...lose.slice(0, 2))
  await run.pull({ limits: { ...limits, stallMs: 300, attempts: 6 } })
  await expectPulled(run)
})

test("a cancelled pull goes on where it stopped, and what is packed is not downloaded again", async () => {
  const run = await setup()
  const abort = new AbortController()
  run.hub.fault(
    shard(3),
    instead(({ body }) => ({ body })),
    stallAfter(400),
  )
  const running = refusal(() => run.pull({ signal: abort.signal }))
  await vi.waitFor(() => {
    expect(run.seen).toContainEqual(expect.objectContaining({ phase: "pack", shardsDone: 2 }))
    expect(statSync(join(`${run.out}.download`, `${shard(3)}.part`)).size).toBe(400)
  }, 20_000)
  abort.abort()
  const { code } = await running
  expect(code).toBe("cancelled")
  expect(existsSync(run.out)).toBe(false)
  run.hub.requests.length = 0
  await run.pull()
  await expectPulled(run)
  expect([1, 2].flatMap((i) => bodies(run, shard(i)))).toEqual([])
  expect(bodies(run, shard(3)).map(({ range }) => range)).toEqual(["bytes=400-"])
  expect(planOf(run).files).toEqual([{ path: shard(3), bytes: model[shard(3)].length }])
})

/** Begins a pull in a process of its own, to be killed. */
function beginPull({ hub, folder, out }: Setup): ChildProcess {
  const source = (file: string) => JSON.stringify(new URL(file, import.meta.url).href)
  const script = join(testFolder(), "pull.mjs")
  const lines = [
    `import { pull } from ${source("./pull.ts")}`,
    `import { parseConfig } from ${source("../model/config.ts")}`,
    `import { tensorSpecs } from ${source("../model/tensors.ts")}`,
    "const specs = (config) => tensorSpecs(parseConfig(config))",
    `await pull("${modelId}", { specs, out: ${JSON.stringify(out)}, endpoint: "${hub.url}" })`,
  ]
  writeFileSync(script, lines.join("\n"))
  return spawn(process.execPath, ["--import", import.meta.resolve("tsx"), script], {
    cwd: folder,
    stdio: "inherit",
  })
}

test("a pull that is killed goes on where it stopped", async () => {
  const run = await setup()
  run.hub.fault(
    shard(3),
    instead(({ body }) => ({ body })),
    (...answer) => {
      stallAfter(400)(...answer)
      child.kill("SIGKILL")
    },
  )
  const child = beginPull(run)
  const [, signal] = await once(child, "exit")
  expect(signal).toBe("SIGKILL")
  expect(existsSync(run.out)).toBe(false)
  run.hub.requests.length = 0
  await run.pull()
  await expectPulled(run)
  expect(bodies(run, shard(1))).toEqual([])
})

test("a model that changed at the hub is pulled from the start", async () => {
  const run = await setup()
  run.hub.fault(
    shard(2),
    instead(({ body }) => ({ body })),
    fail(404),
  )
  await refusal(() => run.pull())
  expect(existsSync(`${run.out}.download`)).toBe(true)
  const changed = modelFiles(tinyTensors(99), 3)
  for (const [name, bytes] of Object.entries(changed)) run.hub.files.set(name, bytes)
  await run.pull()
  await expectPulled(run, changed)
})

test("a file with the wrong checksum ends the pull with one error and no packed file", async () => {
  const run = await setup()
  run.hub.fault(
    shard(2),
    instead(({ body }) => ({ body })),
    instead(({ body }) => ({ body: body.map((byte) => byte ^ 255) })),
  )
  const { code, message } = await refusal(() => run.pull())
  expect([code, message]).toEqual(["network", expect.stringContaining("sent sha256")])
  expect(existsSync(run.out)).toBe(false)
  expect(existsSync(join(`${run.out}.download`, shard(2)))).toBe(false)
})

test("a header that lies about its weights is refused before they are downloaded", async () => {
  const run = await setup({ ...model, [shard(3)]: rawSafetensors(`{"a":1}`) })
  const { code } = await refusal(() => run.pull())
  expect(code).toBe("bad-file")
  expect([1, 2, 3].flatMap((i) => bodies(run, shard(i)))).toEqual([])
})

test("a config that the model refuses ends the pull before any weights", async () => {
  const run = await setup()
  const refuse = () => {
    throw new UserError("unsupported", "another model: use this one")
  }
  expect((await refusal(() => run.pull({ specs: refuse }))).code).toBe("unsupported")
  expect([1, 2, 3].flatMap((i) => bodies(run, shard(i)))).toEqual([])
})

test("a model without its shards, or without weights, is not found", async () => {
  const { [shard(2)]: _, ...rest } = model
  const run = await setup(rest)
  const { code, message } = await refusal(() => run.pull())
  expect([code, message]).toEqual(["not-found", expect.stringContaining(`the first is ${shard(2)}`)])
})

test("a listing with a tokenizer of 1 TB is refused", async () => {
  const run = await setup()
  run.hub.relist = (entries) =>
    entries.map((entry) => (entry.path === "tokenizer.json" ? { ...entry, size: 1e12 } : entry))
  expect((await refusal(() => run.pull())).message).toContain("1,000,000,000,000 bytes")
})

test("too little room is told with both numbers before any weights come", async () => {
  const { bavail, bsize } = statfsSync(testFolder())
  // Two such files are more than is free; packed to 4 bits they would fit.
  const rows = Math.ceil((bavail * bsize * 0.6) / 512)
  const big = (name: string) => {
    const entry = { dtype: "BF16", shape: [rows, 256], data_offsets: [0, rows * 512] }
    const file = rawSafetensors(JSON.stringify({ [name]: entry }), new Uint8Array(1 << 20))
    return { file, spec: { name, shape: [rows, 256], role: "matrix" as const } }
  }
  const [a, b] = [big("a"), big("b")]
  const map = { weight_map: { a: "a.safetensors", b: "b.safetensors" } }
  const { "config.json": config } = model
  const index = new TextEncoder().encode(JSON.stringify(map))
  const run = await setup({
    "config.json": config,
    "model.safetensors.index.json": index,
    "a.safetensors": a.file,
    "b.safetensors": b.file,
  })
  run.hub.relist = (entries) =>
    entries.map((entry) => {
      const lfs = entry.lfs as { oid: string; size: number } | undefined // made by the server
      return lfs ? { ...entry, lfs: { ...lfs, size: lfs.size - (1 << 20) + rows * 512 } } : entry
    })
  const { code, message } = await refusal(() => run.pull({ specs: () => [a.spec, b.spec] }))
  expect(code).toBe("disk-full")
  expect(message).toContain(`needs ${planOf(run).neededBytes.toLocaleString("en-US")} bytes`)
  expect(bodies(run, "a.safetensors")).toEqual([])
})

test("what is no hub id is refused", async () => {
  const run = await setup()
  expect((await refusal(() => run.pull({}, "./model"))).code).toBe("bad-argument")
})
