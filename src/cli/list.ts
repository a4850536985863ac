// Lists the models that are packed on this machine.

import type { Command } from "commander"
import { listModels, modelsFolder } from "../weights/store.ts"
import { addJsonOption } from "./options.ts"
import { note, print, printJson, table } from "./output.ts"
import { fileSize } from "./units.ts"

export function define(command: Command): void {
  addJsonOption(command).action(list)
}

function list({ json }: { json?: boolean }): void {
  const folder = modelsFolder()
  const models = listModels(folder)
  if (json) return printJson({ folder, models })
  if (models.length === 0)
    return note(`no models in ${folder}: get one with a3b pull <hub id> or a3b pack <path>`)
  const rows = models.map(({ name, bytes, created, state, source, problem }) => [
    name,
    fileSize(bytes),
    created.toISOString().slice(0, 10),
    state,
    problem ?? source ?? "",
  ])
  print(table(rows, { head: ["name", "size", "date", "state", "source"], right: [1] }))
  note(`in ${folder}`)
}
