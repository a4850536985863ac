// The model of a command that names none: the only stored one, else nano, which comes with the package. Knows where
// models lie; never how they run.

import { existsSync, realpathSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { UserError } from "../util/errors.ts"
import { listModels } from "../weights/store.ts"
import { note } from "./output.ts"

const nanoFolder = fileURLToPath(new URL("../../models/nano", import.meta.url))
const nanoFiles = ["config.json", "model.safetensors", "tokenizer.json"]
const fetching = "a3b pull Qwen/Qwen3-30B-A3B"

/** Says in one line what nano is where it is taken. */
export function defaultModel(): string {
  const nano = existsSync(nanoFolder) ? realpathSync(nanoFolder) : nanoFolder
  // The packed form of a nano, this package's or another clone's, is no model that anyone chose.
  const isNano = (source = "") => source === nano || source.endsWith(join("models", "nano"))
  const ready = listModels().filter(({ state, source }) => state === "ready" && !isNano(source))
  if (ready.length === 1) return ready[0].name
  if (ready.length > 1) {
    const names = ready.map(({ name }) => name).join(", ")
    throw new UserError("bad-argument", `there are several models: name one of ${names}`)
  }
  const missing = nanoFiles.filter((file) => !existsSync(join(nano, file)))
  if (missing.length > 0)
    throw new UserError(
      "not-found",
      `there is no model yet, and the nano of this package lacks ${missing.join(", ")}: get a model with ${fetching}`,
    )
  note(`nano, a demonstration model that knows one small world, answers; get the 30B with ${fetching}`)
  return nano
}

/** Whether a lone argument is a question: it is no file, and has what no model's name has, like a space. */
export function isQuestion(text: string): boolean {
  return !existsSync(text) && !/^[\w.:~@\\/-]+$/.test(text)
}
