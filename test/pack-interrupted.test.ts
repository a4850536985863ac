// Packing as users run it, in a process of its own with threads, against what ends such a process: kill, a full disk,
// missing rights. Whatever happens, the final name holds a whole file or none, and the next run finishes the work.

import { spawn, spawnSync } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { openPacked } from "../src/weights/packed.ts"
import { compileWeights } from "./compiled.ts"
import { integer, seeded } from "./random.ts"
import { sampleCheckpoint } from "./sample-checkpoint.ts"

/** Packs the checkpoint written down in job.json; prints a line per finished chunk, or the error. */
const script = `
import { readFileSync } from "node:fs"
import { pack } from "./weights/pack.js"
const [, , path, out, threads] = process.argv
const job = JSON.parse(readFileSync(path, "utf8"))
const checkpoint = { ...job, files: new Map([["config.json", Buffer.from("{}")]]), tensors: new Map(job.tensors) }
const onProgress = ({ bytesDone }) => process.stdout.write(bytesDone + "\\n")
try {
  await pack(checkpoint, job.specs, out, { threads: Number(threads), syncMs: 0, onProgress })
} catch (error) {
  process.stdout.write(JSON.stringify({ code: error.code, message: error.message }) + "\\n")
  process.exitCode = 1
}
`

let folder = ""
let job = ""
let whole: Buffer
const isRoot = process.getuid?.() === 0

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "a3b-test-"))
  chmodSync(folder, 0o755)
  compileWeights(folder)
  writeFileSync(join(folder, "pack.mjs"), script)
  // 6 million weights in 61 pieces: about a second of work.
  const options = { type: "BF16", columns: 1024, rows: 96, experts: 56, shards: 4 } as const
  const { checkpoint, specs } = sampleCheckpoint(join(folder, "source"), options)
  job = join(folder, "job.json")
  writeFileSync(job, JSON.stringify({ ...checkpoint, tensors: [...checkpoint.tensors], specs }))
  const { status } = packSync(join(folder, "whole.a3b"))
  expect(status).toBe(0)
  whole = readFileSync(join(folder, "whole.a3b"))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const command = (out: string, threads: number) => [join(folder, "pack.mjs"), job, out, String(threads)]

function packSync(out: string, threads = 2) {
  const { status, stdout } = spawnSync(process.execPath, command(out, threads), { encoding: "utf8" })
  return { status, lines: stdout.trim().split("\n") }
}

/** Starts packing and kills it once its journal names that many pieces. */
async function packAndKill(out: string, pieces: number): Promise<void> {
  const child = spawn(process.execPath, command(out, 2), { stdio: "ignore" })
  const ended = new Promise((resolve) => child.on("exit", resolve))
  while (child.exitCode === null && piecesIn(`${out}.part.journal`) < pieces) await sleep(1)
  child.kill("SIGKILL")
  await ended
}

/** Finished pieces in a journal; -1 before there is one. */
function piecesIn(journal: string): number {
  return existsSync(journal) ? readFileSync(journal, "utf8").split("\n").length - 2 : -1
}

const isWhole = (path: string) => readFileSync(path).equals(whole)

describe("a run that is killed", () => {
  test.each([1, 2, 3, 4])(
    "at any moment leaves a whole file or none, and the next goes on (%i)",
    async (seed) => {
      const random = seeded(seed)
      const out = join(folder, `killed-${seed}.a3b`)
      for (let kills = 0; kills < 3 && !existsSync(out); kills++) {
        await packAndKill(out, integer(random, 1, 5))
        if (existsSync(out)) expect(isWhole(out)).toBe(true)
      }
      expect(packSync(out, integer(random, 1, 3)).status).toBe(0)
      expect(isWhole(out)).toBe(true)
      for (const rest of [".part", ".part.journal", ".part.lock"]) expect(existsSync(out + rest)).toBe(false)
    },
  )

  test("does not do its work twice", async () => {
    const out = join(folder, "resumed.a3b")
    await packAndKill(out, 30)
    expect(existsSync(out)).toBe(false)
    const finished = piecesIn(`${out}.part.journal`)
    expect(finished).toBeGreaterThanOrEqual(30)
    // The first report counts what was there before.
    const [bytesDone] = packSync(out).lines.map(Number)
    expect(bytesDone).toBeGreaterThan(finished * 96 * 1024)
    expect(isWhole(out)).toBe(true)
  })
})

test.each([1, 2, 3])("%i threads give the same file", (threads) => {
  const out = join(folder, `threads-${threads}.a3b`)
  expect(packSync(out, threads).status).toBe(0)
  expect(isWhole(out)).toBe(true)
})

describe("a full disk", () => {
  test("met midway ends with one error, and the run after it goes on", () => {
    const out = join(folder, "limited.a3b")
    // The shell's limit counts blocks of 512 bytes.
    const blocks = Math.floor(whole.length / 2 / 512)
    const limited = `ulimit -f ${blocks}; exec "$0" "$@"`
    const { status, stdout } = spawnSync("sh", ["-c", limited, process.execPath, ...command(out, 2)], {
      encoding: "utf8",
    })
    expect(status).toBe(1)
    const error = JSON.parse(stdout.trim().split("\n").at(-1) ?? "")
    expect(error.code).toBe("disk-full")
    expect(error.message).toContain("make room and run the command again")
    expect(existsSync(out)).toBe(false)
    expect(packSync(out).status).toBe(0)
    expect(isWhole(out)).toBe(true)
  })

  test.runIf(isRoot && process.platform === "linux")(
    "is refused before anything is written, with both numbers",
    () => {
      const disk = join(folder, "disk")
      mkdirSync(disk)
      expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]).status).toBe(0)
      try {
        const { status, lines } = packSync(join(disk, "model.a3b"))
        expect(status).toBe(1)
        const error = JSON.parse(lines.at(-1) ?? "")
        expect(error.code).toBe("disk-full")
        expect(error.message).toContain(`needs ${whole.length.toLocaleString("en-US")} bytes`)
        expect(error.message).toMatch(/[\d,]+ are free/)
        expect(existsSync(join(disk, "model.a3b.part"))).toBe(false)
      } finally {
        spawnSync("umount", [disk])
      }
    },
  )
})

describe("an unprivileged user", () => {
  /** A process of a user without rights; root becomes nobody. */
  const asUser = isRoot ? { uid: 65534, gid: 65534 } : {}

  function packAsUser(out: string) {
    const { status, stdout } = spawnSync(process.execPath, command(out, 2), { encoding: "utf8", ...asUser })
    return { status, error: JSON.parse(stdout.trim().split("\n").at(-1) ?? "") }
  }

  test("who may not read a shard is told so", () => {
    const open = join(folder, "open")
    mkdirSync(open)
    chmodSync(open, 0o777)
    const shard = join(folder, "source", "shard-2.bin")
    const { mode } = statSync(shard)
    chmodSync(shard, 0)
    try {
      const { status, error } = packAsUser(join(open, "model.a3b"))
      expect(status).toBe(1)
      expect(error).toMatchObject({ code: "permission", message: expect.stringContaining("shard-2.bin") })
    } finally {
      chmodSync(shard, mode)
    }
  })

  test("who may not write the folder is told so", () => {
    const shut = join(folder, "shut")
    mkdirSync(shut, { mode: 0o555 })
    const { status, error } = packAsUser(join(shut, "model.a3b"))
    expect(status).toBe(1)
    expect(error).toMatchObject({
      code: "permission",
      message: expect.stringContaining("no permission to write"),
    })
  })
})

test("what another process packed opens here", () => {
  expect(openPacked(join(folder, "whole.a3b")).tensors.size).toBe(6)
})
