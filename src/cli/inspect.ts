// Shows what a model is: its module tree and config as Python prints them, its parameters, the types of its tensors.

import type { Command } from "commander"
import { describe } from "../model/describe.ts"
import type { Description } from "../model/describe.ts"
import { storedBytes } from "../weights/source.ts"
import type { SourceTensor } from "../weights/source.ts"
import { interruptible } from "./interrupt.ts"
import { addJsonOption } from "./options.ts"
import { print, printJson, table } from "./output.ts"
import { readOverview } from "./overview.ts"
import { count, fileSize } from "./units.ts"

export function define(command: Command): void {
  addJsonOption(command)
    .argument(
      "<model>",
      "packed file, folder (a config.json is enough), GGUF file, hub id, or name of a stored model",
    )
    .action(inspect)
}

/** The tensors of one type, as they lie in the model's files. */
interface StoredType {
  type: string
  tensors: number
  parameters: number
  bytes: number
  /** Packed models: how many tensors hold exactly the source's values. */
  exact?: number
}

async function inspect(model: string, options: { json?: boolean }): Promise<void> {
  const { kind, path, raw, configText, packed, stored, weightBytes } = await interruptible((signal) =>
    readOverview(model, signal),
  )
  const description = describe({ config: raw, configText, tensors: packed })
  const { modules, config, parameters, tensorTypes } = description
  const types = stored ? storedTypes(stored.values()) : tensorTypes.map(packedType)
  if (options.json)
    return printJson({ path, kind, modules, config: raw, parameters, tensorTypes: types, weightBytes })
  print(modules)
  print()
  print(config)
  print()
  print(parameterTable(parameters))
  if (types.length > 0) print(`\n${typeTable(types)}`)
}

function packedType({ format, source, ...rest }: Description["tensorTypes"][number]): StoredType {
  return { type: `${format} from ${source}`, ...rest }
}

function storedTypes(tensors: Iterable<SourceTensor>): StoredType[] {
  const types = new Map<string, StoredType>()
  for (const tensor of tensors) {
    const entry = types.get(tensor.type) ?? { type: tensor.type, tensors: 0, parameters: 0, bytes: 0 }
    types.set(tensor.type, entry)
    entry.tensors++
    entry.parameters += tensor.shape.reduce((product, size) => product * size, 1)
    entry.bytes += storedBytes([tensor])
  }
  return [...types.values()].sort((a, b) => b.bytes - a.bytes)
}

function parameterTable({ total, nonEmbedding, active, bf16Bytes }: Description["parameters"]): string {
  const rows = [
    ["parameters", count(total)],
    ["without embedding and head", count(nonEmbedding)],
    ["active per token", count(active)],
    ["bytes in BF16", count(bf16Bytes)],
  ]
  return table(rows, { right: [1] })
}

function typeTable(types: readonly StoredType[]): string {
  const rows = types.map(({ type, tensors, parameters, bytes, exact }) => [
    type,
    count(tensors),
    count(parameters),
    fileSize(bytes),
    exact === undefined ? "" : exact === tensors ? "all exact" : `${count(exact)} exact`,
  ])
  return table(rows, { head: ["type", "tensors", "parameters", "size", ""], right: [1, 2, 3] })
}
