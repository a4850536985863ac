// Step 6. A trainer's state on the disk: parameters and moments as they are in memory in one safetensors file, and a
// small JSON file that names it, written last. What is loaded equals what was saved, bit by bit.

import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { ModelConfig } from "../../model/config.ts"
import { UserError } from "../../util/errors.ts"
import { writeText } from "../../weights/disk.ts"
import { readSmallFile, withFile } from "../../weights/file.ts"
import { parseSafetensors } from "../../weights/safetensors.ts"
import type { Values } from "./ops.ts"
import type { Parameters } from "./parameters.ts"
import { bytesOf, writeSafetensors } from "./safetensors-writer.ts"

/** Of AdamW and the objective, the same in every step. */
export interface Rules {
  beta1: number
  beta2: number
  epsilon: number
  /** Of matrices and the embedding; norms never decay. */
  decay: number
  /** Longest gradient that is taken as it is. */
  maxNorm: number
  /** Weight of the load-balancing loss. */
  balance: number
}

interface State {
  config: ModelConfig
  rules: Rules
  steps: number
}

const stateFile = "trainer.json"
const valuesFile = (steps: number) => `trainer-${steps}.safetensors`
const maxStateBytes = 1 << 20

type Stored = Pick<Parameters, "values" | "first" | "second">

const parts = ({ values, first, second }: Stored): [string, Values][] => [
  ["values", values],
  ["first", first],
  ["second", second],
]

export function writeState(folder: string, state: State, parameters: Stored): void {
  const tensors = parts(parameters).map(([name, values]) => ({
    name,
    dtype: values instanceof Float32Array ? ("F32" as const) : ("F64" as const),
    shape: [values.length],
    bytes: bytesOf(values),
  }))
  writeSafetensors(join(folder, valuesFile(state.steps)), tensors, { format: "pt" })
  writeText(join(folder, stateFile), JSON.stringify(state, undefined, 2) + "\n")
  // Those of earlier steps, and what a killed run left.
  for (const name of readdirSync(folder))
    if (/^trainer-\d+\.safetensors(\.part)?$/.test(name) && name !== valuesFile(state.steps))
      rmSync(join(folder, name))
}

/** The state, and how to fill parameters of its config with it. */
export function readState(folder: string): State & { fill(parameters: Stored): void } {
  const text = new TextDecoder().decode(readSmallFile(join(folder, stateFile), maxStateBytes))
  const state = JSON.parse(text) as State // our own file, just written by the lines above
  return { ...state, fill: (parameters) => fill(join(folder, valuesFile(state.steps)), parameters) }
}

function fill(path: string, parameters: Stored): void {
  withFile(path, (source) => {
    const entries = new Map(parseSafetensors(source).map((entry) => [entry.name, entry]))
    for (const [name, values] of parts(parameters)) {
      const entry = entries.get(name)
      if (entry?.bytes !== values.byteLength)
        throw new UserError(
          "bad-file",
          `${path} has ${entry?.bytes ?? "no"} bytes of ${name}, wanted ${values.byteLength}: ` +
            "load it with the ops that it was saved with",
        )
      bytesOf(values).set(source.read(entry.offset, entry.bytes))
    }
  })
}
