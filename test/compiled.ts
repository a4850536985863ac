// The weights room compiled into a folder, for tests that run it as users do: plain JavaScript, threads included.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const source = fileURLToPath(new URL("../src/", import.meta.url))

const options: ts.CompilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2023,
  rewriteRelativeImportExtensions: true,
  verbatimModuleSyntax: true,
}

/** Types are not checked: that is the build's work. */
export function compileWeights(folder: string): void {
  const files = ["types.ts", ...["util", "weights"].flatMap((room) => roomFiles(room))]
  for (const file of files) {
    const { outputText } = ts.transpileModule(readFileSync(join(source, file), "utf8"), {
      compilerOptions: options,
    })
    const target = join(folder, file.replace(/\.ts$/, ".js"))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, outputText)
  }
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
}

function roomFiles(room: string): string[] {
  const names = readdirSync(join(source, room)).filter((name) => name.endsWith(".ts"))
  return names.filter((name) => !name.endsWith(".test.ts")).map((name) => join(room, name))
}
