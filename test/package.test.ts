// The package as npm ships it: which files, which names, which types, and what is loaded for them. Needs `npm run build`.

import { execFileSync, spawnSync } from "node:child_process"
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { afterAll, beforeAll, describe, expect, test } from "vitest"

const root = fileURLToPath(new URL("../", import.meta.url))
const read = (path: string) => readFileSync(join(root, path), "utf8")
const manifest = JSON.parse(read("package.json")) as {
  version: string
  bin: Record<string, string>
  exports: Record<string, string | Record<string, string>>
}

/** A project that has installed the package. */
let project: string

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "a3b-consumer-"))
  mkdirSync(join(project, "node_modules"))
  symlinkSync(root, join(project, "node_modules/a3b"), "junction")
  // What a project has that uses the AI SDK.
  symlinkSync(join(root, "node_modules/@ai-sdk"), join(project, "node_modules/@ai-sdk"), "junction")
  writeFileSync(join(project, "package.json"), '{ "type": "module" }')
})

afterAll(() => rmSync(project, { recursive: true, force: true }))

describe("the tarball", () => {
  let files: string[]

  beforeAll(() => {
    const listing = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      shell: process.platform === "win32",
    })
    const [{ files: entries }] = JSON.parse(listing) as [{ files: { path: string }[] }]
    files = entries.map(({ path }) => path)
  })

  test("has every file that package.json names", () => {
    const named = [...Object.values(manifest.bin), ...Object.values(manifest.exports).flatMap(targets)]
    expect(files).toEqual(expect.arrayContaining(named.map((path) => path.replace(/^\.\//, ""))))
  })

  test("has what the addon is built from", () => {
    const sources = readdirSync(join(root, "native")).map((file) => `native/${file}`)
    expect(files).toEqual(expect.arrayContaining(["binding.gyp", "scripts/install.mjs", ...sources]))
  })

  test("has the papers that users need", () => {
    expect(files).toEqual(expect.arrayContaining(["README.md", "MODEL.md", "CHANGELOG.md", "LICENSE"]))
  })

  test("has no sources, tests, measurements or maps", () => {
    const odd = files.filter((path) => /^(src|test|bench|docs|examples|build)\/|\.test\.|\.map$/.test(path))
    expect(odd).toEqual([])
  })
})

function targets(target: string | Record<string, string>): string[] {
  return typeof target === "string" ? [target] : Object.values(target)
}

describe("TypeScript programs that use the package", () => {
  // The compiler reads the declarations of all entries: seconds, and minutes beside other work.
  test("compile where they are right, declarations checked, and nowhere else", { timeout: 300_000 }, () => {
    const right = `
      import { load, remote, UserError } from "a3b"
      import type { ChatEvent, ChatModel, Sampling, Tool } from "a3b"
      import type { LanguageModelV3 } from "@ai-sdk/provider"
      import { a3b } from "a3b/ai-sdk"
      import { serve } from "a3b/server"
      import { AutoModelForCausalLM, AutoTokenizer, TextStreamer } from "a3b/transformers"

      const tools: Tool[] = [{ type: "function", function: { name: "clock" } }]
      const sampling: Partial<Sampling> = { temperature: 0.6, seed: 1 }
      await using llm = await load("model", { context: 4096, onNotice: (text: string) => void text })
      const model: ChatModel = llm
      const elsewhere: ChatModel = remote("http://localhost:8000/v1", { model: "m", dialect: "vllm" })
      const forSdk: LanguageModelV3 = a3b(elsewhere, { modelId: "m" })
      const server = await serve(llm, { port: 0, modelId: "m" })
      const url: string = server.url
      const events: ChatEvent[] = []
      try {
        for await (const event of model.chat({ messages: [{ role: "user", content: "a" }], tools, sampling }))
          events.push(event)
      } catch (error) {
        if (error instanceof UserError) console.error(error.code satisfies string)
      }
      const tokenizer = await AutoTokenizer.from_pretrained("model")
      const text: string = tokenizer.apply_chat_template([{ role: "user", content: "a" }], { tokenize: false })
      const causal = await AutoModelForCausalLM.from_pretrained("model")
      const streamer = new TextStreamer(tokenizer, { skip_prompt: true })
      const ids: number[][] = await causal.generate({ ...tokenizer(text), max_new_tokens: 8, streamer })
      export { events, forSdk, ids, url }
    `
    const wrongType = `import { load } from "a3b"; export const llm: number = load("model")`
    const wrongName = `import { Pages } from "a3b"; export { Pages }`
    expect(diagnose({ right, wrongName, wrongType })).toEqual([
      `wrongName: Module '"a3b"' has no exported member 'Pages'.`,
      "wrongType: Type 'Promise<Llm>' is not assignable to type 'number'.",
    ])
  })
})

function diagnose(programs: Record<string, string>): string[] {
  const pathOf = (name: string) => join(project, `${name}.ts`)
  for (const [name, text] of Object.entries(programs)) writeFileSync(pathOf(name), text)
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
    strict: true,
    noEmit: true,
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")],
  }
  return ts
    .getPreEmitDiagnostics(ts.createProgram(Object.keys(programs).map(pathOf), options))
    .map(
      ({ file, messageText }) =>
        `${basename(file?.fileName ?? "", ".ts")}: ${ts.flattenDiagnosticMessageText(messageText, "")}`,
    )
}

describe("importing the package", () => {
  const local = ["@huggingface/jinja", "@huggingface/tokenizers"]
  test.each([
    ["a3b", [...local, "eventsource-parser"]],
    ["a3b/transformers", local],
    ["a3b/ai-sdk", []],
  ])("%s loads %j, and no other package", (entry, expected) => {
    const packages = loadedBy(entry).flatMap(
      (url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? [],
    )
    expect([...new Set(packages)].sort()).toEqual(expected)
  })

  test("a3b loads no code of one backend or of downloading before it is asked to", () => {
    const ours = loadedBy("a3b").filter((url) => url.includes("/dist/"))
    expect(ours.length).toBeGreaterThan(50)
    expect(
      ours.filter((url) => /backend\/(cpu|reference)\/|weights\/(hub|http|pull)\.js|\/cli\//.test(url)),
    ).toEqual([])
  })

  test("files that are no entry are closed", () => {
    expect(() => loadedBy("a3b/dist/llm.js")).toThrow("ERR_PACKAGE_PATH_NOT_EXPORTED")
  })
})

/** The URLs of all modules that an import brings in. */
function loadedBy(entry: string): string[] {
  const hooks = `export async function load(url, context, next) {
    process._rawDebug("loads " + url)
    return next(url, context)
  }`
  writeFileSync(join(project, "hooks.mjs"), hooks)
  writeFileSync(
    join(project, "trace.mjs"),
    `import { register } from "node:module"
    register("./hooks.mjs", import.meta.url)
    await import(${JSON.stringify(entry)})`,
  )
  const { status, stderr } = spawnSync(process.execPath, ["trace.mjs"], { cwd: project, encoding: "utf8" })
  if (status !== 0) throw new Error(stderr)
  return [...stderr.matchAll(/^loads (.*)$/gm)].map(([, url]) => url)
}

test("the command knows its version", () => {
  const args = [join(root, manifest.bin.a3b), "--version"]
  expect(execFileSync(process.execPath, args, { encoding: "utf8" }).trim()).toBe(manifest.version)
})

test.each([
  ["index", "src/index.ts"],
  ["transformers", "src/transformers/index.ts"],
  ["server", "src/server/index.ts"],
  ["ai-sdk", "src/ai-sdk/index.ts"],
])("the API reference has every public name of %s", (page, source) => {
  const lists = [...read(source).matchAll(/export (?:type )?\{([^}]*)\}/g)]
  const names = lists.flatMap(([, list]) => list.match(/\w+/g) ?? [])
  const headings = [...read(`docs/api/${page}.md`).matchAll(/^### (\w+)/gm)].map(([, name]) => name)
  expect(headings.sort()).toEqual(names.sort())
})
