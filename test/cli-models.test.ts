// The commands that get, keep and check models, as a user runs them.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { openPacked } from "../src/weights/packed.ts"
import { modelFiles, tinyTensors, writeFiles } from "./checkpoint-files.ts"
import { HubServer, modelId } from "./hub-server.ts"
import { Installed } from "./installed.ts"

const files = modelFiles(tinyTensors(), 3)

let installed: Installed
let checkpoint: string
let home: string
let runs = 0
beforeAll(() => {
  installed = new Installed()
  checkpoint = writeFiles(join(installed.folder, "owner", "tiny"), files)
})
afterAll(() => installed.remove())
beforeEach(() => void (home = join(installed.folder, `home-${++runs}`)))

const a3b = (args: string[], env: Record<string, string> = {}) =>
  installed.run(args, { env: { A3B_HOME: home, ...env } })

/** Packs the tiny checkpoint among the stored models; returns its name and path. */
async function packed(): Promise<{ name: string; path: string }> {
  const { code, stdout } = await a3b(["pack", checkpoint])
  expect(code).toBe(0)
  const path = stdout.trim()
  return { name: path.slice(path.lastIndexOf("/") + 1, -".a3b".length), path }
}

describe("pack", () => {
  test("prints the packed file's path, and how it went on stderr", async () => {
    const out = join(installed.folder, "out", "tiny.a3b")
    const { code, stdout, stderr } = await a3b(["pack", checkpoint, "--out", out])
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${out}\n` })
    const lines = stderr.split("\n")
    expect(lines[0]).toBe(`packing ${checkpoint} into ${out}`)
    expect(lines[1]).toMatch(/^Loading checkpoint shards: 100% 3\/3 {2}/)
    expect(lines[2]).toMatch(/^packed [\d.]+ kB$/)
    expect(statSync(out).size).toBeGreaterThan(1000)
  })

  test("stores floats as asked", async () => {
    const out = join(installed.folder, "out", "kept.a3b")
    await a3b(["pack", checkpoint, "--out", out, "--quant", "keep"])
    const { tensorTypes } = JSON.parse((await a3b(["inspect", out, "--json"])).stdout)
    const types = tensorTypes.map(({ type }: { type: string }) => type)
    expect(types).toEqual(["bf16 from BF16", "f32 from BF16"])
  })

  test("refuses what is not there, and a folder that may not be written", async () => {
    const missing = await a3b(["pack", join(installed.folder, "nothing")])
    expect(missing).toMatchObject({ code: 1, stdout: "" })
    expect(missing.stderr).toMatch(/^error: .* does not exist: [^\n]+\n$/)
    const closed = join(installed.folder, "closed")
    mkdirSync(closed)
    chmodSync(closed, 0o555)
    const denied = await installed.run(["pack", checkpoint, "--out", join(closed, "tiny.a3b")], {
      rights: "none",
    })
    expect(denied.code).toBe(1)
    expect(denied.stderr).toMatch(/error: no permission to write [^\n]+\n$/)
    expect(readdirSync(closed)).toEqual([])
  })
})

describe("list and rm", () => {
  test("an empty list says where it looked and how to get a model", async () => {
    const { code, stdout, stderr } = await a3b(["list"])
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" })
    expect(stderr).toContain(`no models in ${join(home, "models")}: get one with a3b pull`)
    expect(JSON.parse((await a3b(["list", "--json"])).stdout).models).toEqual([])
  })

  test("a packed model is listed under its name, with its source", async () => {
    const { name, path } = await packed()
    const { stdout } = await a3b(["list"])
    const [head, row] = stdout.split("\n")
    expect(head).toMatch(/^name +size +date +state +source$/)
    expect(row).toMatch(new RegExp(`^${name} +[\\d.]+ kB +[\\d-]+ +ready +${checkpoint}$`))
    const { models } = JSON.parse((await a3b(["list", "--json"])).stdout)
    expect(models).toMatchObject([
      { name, path, bytes: statSync(path).size, state: "ready", source: checkpoint },
    ])
  })

  test("a model is known by its name and packed only once", async () => {
    const { name } = await packed()
    const byName = await a3b(["inspect", name, "--json"])
    expect(JSON.parse(byName.stdout).kind).toBe("packed")
    const again = await a3b(["logits", checkpoint, "--ids", "1", "--json", "--backend", "reference"])
    expect(again).toMatchObject({ code: 0, stderr: "" })
  })

  test("rm removes after --yes, and asks nobody where there is no terminal", async () => {
    const { name, path } = await packed()
    const asked = await a3b(["rm", name])
    expect(asked.code).toBe(1)
    expect(asked.stderr).toMatch(
      /^error: remove .*\.a3b \([\d.]+ kB\): there is no terminal to ask on, add --yes\n$/,
    )
    expect(existsSync(path)).toBe(true)
    const { code, stderr } = await a3b(["rm", name, "--yes"])
    expect(code).toBe(0)
    expect(stderr).toMatch(new RegExp(`^removed ${name}, [\\d.]+ kB are free again\\n$`))
    expect(existsSync(path)).toBe(false)
  })

  test("rm refuses a name that is none", async () => {
    const { code, stderr } = await a3b(["rm", "nothing", "--yes"])
    expect(code).toBe(1)
    expect(stderr).toBe(`error: no model nothing in ${join(home, "models")}: a3b list shows the names\n`)
  })
})

describe("verify", () => {
  function changeByte(path: string, tensor: string): void {
    const bytes = readFileSync(path)
    bytes[(openPacked(path).tensors.get(tensor)?.offset ?? 0) + 3] ^= 0x40
    writeFileSync(path, bytes)
  }

  test("tells the error of every tensor", async () => {
    const { name } = await packed()
    const { code, stdout } = await a3b(["verify", name])
    expect(code).toBe(0)
    const lines = stdout.trimEnd().split("\n")
    expect(lines).toHaveLength(27 + 1)
    expect(lines[0]).toMatch(
      /^model.embed_tokens.weight +BF16 +-> q8_0 +largest error [\d.e-]+, 0\.\d+% rms$/,
    )
    expect(lines[1]).toMatch(/^model.layers.0.input_layernorm.weight +BF16 +-> f32 +exact$/)
    expect(lines.at(-1)).toBe("all 27 tensors are as they were packed")
  })

  test("finds a byte that changed in the packed file", async () => {
    const { path } = await packed()
    changeByte(path, "model.norm.weight")
    const { code, stdout, stderr } = await a3b(["verify", path, "--json"])
    expect(code).toBe(1)
    const { bad, tensors } = JSON.parse(stdout)
    expect(bad).toBe(1)
    const norm = tensors.find(({ name }: { name: string }) => name === "model.norm.weight")
    expect(norm).toMatchObject({ packed: "differs", hash: "same", verdict: "bad" })
    expect(stderr).toMatch(/^error: 1 of 27 tensors of .* are not as they should be: pack it again\n$/)
  })

  test("finds a byte that changed in the packed file where the source is gone", async () => {
    const source = writeFiles(join(installed.folder, `gone-${runs}`), files)
    const path = join(installed.folder, "out", "alone.a3b")
    await a3b(["pack", source, "--out", path])
    rmSync(source, { recursive: true })
    const whole = await a3b(["verify", path])
    expect(whole.code).toBe(0)
    expect(whole.stderr).toMatch(/^the source, [^\n]+, is not here: only the packed bytes are checked\n$/)
    expect(whole.stdout).toMatch(/^model.embed_tokens.weight +BF16 +-> q8_0 +as it was packed\n/)
    changeByte(path, "model.embed_tokens.weight")
    const { code, stdout } = await a3b(["verify", path])
    expect(code).toBe(1)
    expect(stdout).toMatch(
      /^model.embed_tokens.weight .* damaged: its bytes are not those that packing wrote\n/,
    )
    expect(stdout.match(/damaged/g)).toHaveLength(1)
  })

  test("finds a source that is not the one that was packed", async () => {
    const { path } = await packed()
    const other = writeFiles(join(installed.folder, `other-${runs}`), modelFiles(tinyTensors(2)))
    const { code, stderr } = await a3b(["verify", path, "--source", other])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: 27 of 27 tensors /)
  })

  test("refuses a file that is not packed", async () => {
    const { code, stderr } = await a3b(["verify", join(checkpoint, "config.json")])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: .* is not a packed model: make one with a3b pack <checkpoint>\n$/)
  })
})

describe("pull", () => {
  test("says what it will fetch, shows how far it is, and prints where the model is", async () => {
    const hub = await HubServer.start(files)
    const { code, stdout, stderr } = await a3b(["pull", modelId], { HF_ENDPOINT: hub.url })
    expect(code).toBe(0)
    expect(existsSync(stdout.trim())).toBe(true)
    const lines = stderr.trimEnd().split("\n")
    expect(lines[0]).toBe(`pulling ${modelId} into ${stdout.trim()}`)
    expect(lines[1]).toMatch(
      /^fetching [\d.]+ kB in 3 files; packed it has [\d.]+ kB; needs [\d.]+ kB of .* free$/,
    )
    expect(lines.at(-2)).toMatch(/^Loading checkpoint shards: 100% 3\/3 /)
    expect(lines.at(-1)).toMatch(/^packed /)
  })

  test("a model is planned for at its hub, and pulled on first use", async () => {
    const hub = await HubServer.start(files)
    const env = { HF_ENDPOINT: hub.url }
    const planned = await a3b(["plan", modelId, "--json"], env)
    expect(JSON.parse(planned.stdout).fits).toBe(true)
    expect(hub.requests.some(({ path }) => path.includes("00002-of") && !path.includes("?"))).toBe(true)
    expect(existsSync(join(home, "models"))).toBe(false)
    const used = await a3b(["logits", modelId, "--ids", "1", "--json", "--backend", "reference"], env)
    expect(used.code).toBe(0)
    expect(used.stderr).toContain(`pulling ${modelId} into `)
    const again = await a3b(["logits", modelId, "--ids", "1", "--json", "--backend", "reference"], env)
    expect(again).toEqual({ ...used, stderr: "" })
  })

  test("refuses an id that is none, and says what a hub that is not there said", async () => {
    const wrong = await a3b(["pull", "no-id"])
    expect(wrong.code).toBe(1)
    expect(wrong.stderr).toMatch(/error: no-id is no hub id: give one such as [^\n]+\n$/)
    const hub = await HubServer.start(files)
    const missing = await a3b(["pull", "owner/nothing"], { HF_ENDPOINT: hub.url })
    expect(missing.code).toBe(1)
    expect(missing.stderr).toMatch(/\nerror: [^\n]+\n$/)
  })
})
