// Runs the kernels' tests with the tiles of AMX as loops (native/tiles_soft.h), on a machine that has none: shows that the
// code around them is exact and asks nothing of them that the instructions would refuse. Needs AVX-512 with bfloat16, and
// GCC or Clang. npm run test:amx [-- files and names, as for vitest run]
import { spawnSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseCLI, startVitest } from "vitest/node"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const folder = join(root, "build", "amx")
const tests = ["src/backend/cpu", "src/distill/train/ops.test.ts", "src/distill/train/gradients.test.ts"]

function fail(message) {
  console.error(`test-amx: ${message}`)
  process.exit(1)
}

mkdirSync(folder, { recursive: true })
for (const name of ["native", "binding.gyp"])
  if (!existsSync(join(folder, name))) symlinkSync(join(root, name), join(folder, name))
const { error, status, stderr } = spawnSync("node-gyp", ["configure", "build", "--jobs=max"], {
  cwd: folder,
  env: { ...process.env, CXXFLAGS: `${process.env.CXXFLAGS ?? ""} -DA3B_SOFT_TILES` },
  encoding: "utf8",
  maxBuffer: 2 ** 26,
})
if (error || status !== 0) fail(error?.message ?? `node-gyp: exit ${status}\n${stderr}`)

// As a prebuilt package, so that the addon built for this machine stays as it is.
const name = `@a3b/native-${process.platform}-${process.arch}`
const place = join(folder, "node_modules", name)
mkdirSync(place, { recursive: true })
copyFileSync(join(folder, "build", "Release", "a3b.node"), join(place, "index.node"))
const sets = createRequire(join(folder, "index.js"))(name).sets()
if (!sets.startsWith("amx "))
  fail(`this machine gets the instruction sets "${sets}": tiles need AVX-512 with bfloat16`)

process.env.NODE_PATH = join(folder, "node_modules")
const { filter, options } = parseCLI(["vitest", "run", ...process.argv.slice(2)])
const vitest = await startVitest("test", filter.length > 0 ? filter : tests, {
  ...options,
  root,
  testTimeout: 600_000,
})
await vitest.exit()
