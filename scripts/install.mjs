// Gives the package its native addon: a prebuilt one for this platform if it is installed, else one built by
// node-gyp with the compiler that is here. Where neither works the reference backend still does, so this never
// fails the installation; it says in one line what is missing.
import { spawnSync } from "node:child_process"
import { existsSync, realpathSync } from "node:fs"
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

/** Most installations of Node bring its headers along; node-gyp would download them all the same. */
function headersHere() {
  const prefix = join(dirname(realpathSync(process.execPath)), "..")
  const given = process.env.npm_config_nodedir ?? process.platform === "win32"
  return !given && existsSync(join(prefix, "include/node/node_api.h")) ? [`--nodedir=${prefix}`] : []
}

function build() {
  const { error, status, stdout, stderr } = spawnSync(
    "node-gyp",
    ["rebuild", "--jobs=max", ...headersHere()],
    {
      cwd: root,
      // Even a silent npm needs the reason of a failure.
      env: { ...process.env, npm_config_loglevel: "warn" },
      encoding: "utf8",
      maxBuffer: 2 ** 26,
      shell: process.platform === "win32",
    },
  )
  if (error) return error.message
  return status === 0 ? undefined : reasonIn(`${stdout}\n${stderr}`, status)
}

/** The one line of many that says most. */
function reasonIn(log, status) {
  if (log.includes("got an error, rolling back install")) return "Node's headers could not be downloaded"
  const [, reason] =
    /^(.*: No such file or directory)$/m.exec(log) ??
    /^(.*\berror: .*)$/m.exec(log) ??
    /ERR! stack Error: (.*)/.exec(log) ??
    []
  return reason?.trim() ?? `node-gyp ended with ${status}`
}

if (!hasPrebuilt()) {
  const failure = build()
  if (failure) {
    console.log(
      `a3b: no native addon for ${platform} (${failure}); the slow reference backend will be used. ` +
        "Install a C++20 compiler, make and Python 3, then run: npm rebuild",
    )
  }
}
