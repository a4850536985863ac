// The package as a user has it, for tests of its command line: compiled into a folder of its own and run by node.

import { execFileSync, spawn } from "node:child_process"
import type { ChildProcessWithoutNullStreams } from "node:child_process"
import { createHash } from "node:crypto"
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs"
import { readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const root = fileURLToPath(new URL("../", import.meta.url))

const compilerOptions: ts.CompilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2023,
  rewriteRelativeImportExtensions: true,
  verbatimModuleSyntax: true,
}

export interface Outcome {
  /** Exit code, or the signal's name. */
  code: number | string
  stdout: string
  stderr: string
}

export interface RunOptions {
  input?: string
  /** Left open where a test writes to it. */
  stdin?: "open"
  env?: Record<string, string>
  /** Runs without the rights of the superuser. */
  rights?: "none"
  /** Told the process once it runs. */
  during?: (child: ChildProcessWithoutNullStreams) => void
}

/** The tester's environment without what would change the output: a CI service's and colour settings, ours. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const changesOutput = /^(CI|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|NODE_DISABLE_COLORS|A3B_.*|HF_.*)$/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !changesOutput.test(name)))
}

export class Installed {
  /** Everything of this installation: the package, its models, room for a test's files. */
  readonly folder = mkdtempSync(join(tmpdir(), "a3b-cli-"))
  readonly main = join(this.folder, "dist/cli/main.js")

  /** Without the addon it is the package on a machine that has no compiler. */
  constructor({ addon }: { addon: "with" | "without" } = { addon: "with" }) {
    chmodSync(this.folder, 0o755)
    cpSync(compiled(), join(this.folder, "dist"), { recursive: true })
    copyFileSync(join(root, "package.json"), join(this.folder, "package.json"))
    symlinkSync(join(root, "node_modules"), join(this.folder, "node_modules"))
    const build = join(root, "build")
    if (addon === "with" && existsSync(build)) symlinkSync(build, join(this.folder, "build"))
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.spawn(process.execPath, [this.main, ...args], options)
  }

  spawn(command: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const { input = "", stdin, env = {}, rights, during } = options
    const nobody = rights === "none" && process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
    const all = { ...plainEnvironment(), A3B_HOME: join(this.folder, "home"), ...env }
    const child = spawn(command, args, { cwd: this.folder, env: all, ...nobody })
    const outcome = { stdout: "", stderr: "" }
    child.stdout.setEncoding("utf8").on("data", (text: string) => (outcome.stdout += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (outcome.stderr += text))
    child.stdin.on("error", () => undefined) // a command that reads no input may be gone
    if (stdin !== "open") child.stdin.end(input)
    during?.(child)
    return new Promise((resolve, reject) => {
      child.on("error", reject)
      child.on("close", (code, signal) => resolve({ code: code ?? signal ?? "", ...outcome }))
    })
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** The compiled sources: made by the first who asks for them as they are now, whichever test that is. */
function compiled(): string {
  const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
  )
  const state = sources.map((file) => {
    const { mtimeMs, size } = statSync(join(root, "src", file))
    return [file, mtimeMs, size]
  })
  const name = createHash("sha256").update(JSON.stringify(state)).digest("hex").slice(0, 16)
  const cache = join(root, "node_modules/.cache/a3b-compiled")
  const folder = join(cache, name)
  if (existsSync(folder)) return folder
  mkdirSync(cache, { recursive: true })
  const part = mkdtempSync(join(cache, "part-"))
  chmodSync(part, 0o755)
  for (const file of sources) compile(file, part)
  execFileSync(process.execPath, [join(root, "scripts/bundle-xgrammar.mjs"), part])
  try {
    renameSync(part, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
    // Another test was faster.
    rmSync(part, { recursive: true })
  }
  for (const old of readdirSync(cache))
    if (old !== name && !old.startsWith("part-")) rmSync(join(cache, old), { recursive: true })
  return folder
}

/** Types are not checked: that is the build's work. */
function compile(file: string, folder: string): void {
  const source = readFileSync(join(root, "src", file), "utf8")
  const { outputText } = ts.transpileModule(source, { compilerOptions })
  const target = join(folder, file.replace(/\.ts$/, ".js"))
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, outputText)
}
