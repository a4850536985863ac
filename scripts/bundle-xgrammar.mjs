// Makes xgrammar's file importable: its package calls itself a module and holds a script, which Node reads as neither.
// Copied beside the compiled code with the ending of what it is, it loads everywhere, installed or not.
import { readFileSync, mkdirSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

// The folder of the compiled code may be named.
const dist = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), "../dist")
const from = createRequire(import.meta.url).resolve("@mlc-ai/web-xgrammar")
const { version, license, repository } = JSON.parse(
  readFileSync(join(dirname(from), "../package.json"), "utf8"),
)
const notice = `// @mlc-ai/web-xgrammar ${version}, ${license}, ${repository.url.replace(/^git\+/, "")}, lib/index.js.
// Changed: these two lines were added, the name of a source map was removed.
`
const code = readFileSync(from, "utf8").replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n")
mkdirSync(join(dist, "constrain"), { recursive: true })
writeFileSync(join(dist, "constrain/xgrammar.cjs"), notice + code)
