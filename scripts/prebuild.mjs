// Puts the addon built here into a package of its own for this platform, ready for `npm publish`: an optional
// dependency that spares users the compiler. Run after `npm ci`: node scripts/prebuild.mjs [folder]
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const platform = `${process.platform}-${process.arch}`
const out = join(process.argv[2] ?? join(root, "build", "prebuilt"), platform)
const addon = join(root, "build", "Release", "a3b.node")
if (!existsSync(addon)) {
  console.error(`no addon at ${addon}: run npm rebuild first`)
  process.exit(1)
}

const { version, license, engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const manifest = {
  name: `@a3b/native-${platform}`,
  version,
  description: `The native addon of a3b for ${platform}`,
  license,
  engines,
  os: [process.platform],
  cpu: [process.arch],
  // A Linux addon is linked to the C library of the machine that built it.
  ...(process.platform === "linux" && {
    libc: [process.report.getReport().header.glibcVersionRuntime ? "glibc" : "musl"],
  }),
  main: "a3b.node",
  files: ["a3b.node"],
}
mkdirSync(out, { recursive: true })
copyFileSync(addon, join(out, "a3b.node"))
writeFileSync(join(out, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`)
console.log(out)
