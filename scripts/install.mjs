// Gives the package its native addon: a prebuilt one for this platform if it is installed, else one built by
// node-gyp with the compiler that is here. Where neither works the reference backend still does, so this never
// fails the installation; it says in one line what is missing.
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const platform = `${process.platform}-${process.arch}`

function hasPrebuilt() {
  try {
    createRequire(import.meta.url).resolve(`@a3b/native-${platform}`)
    return true
  } catch {
    return false
  }
}

function build() {
  const result = spawnSync("node-gyp", ["rebuild"], { cwd: root, encoding: "utf8", shell: process.platform === "win32" })
  if (result.error) return result.error.message
  if (result.status === 0) return undefined
  const lines = `${result.stdout}\n${result.stderr}`.split("\n")
  return (lines.find((line) => /error[: ]|ERR! stack/i.test(line)) ?? `node-gyp ended with ${result.status}`).trim()
}

if (!hasPrebuilt()) {
  const failure = build()
  if (failure) {
    console.log(
      `a3b: no native addon for ${platform} (${failure}); the slow reference backend will be used. ` +
        "Install a C++20 compiler, make and Python 3, then run: npm rebuild a3b",
    )
  }
}
