// Step 6. The models of a run between training and sampling: created, loaded, exported as folders that any reader of
// Qwen3-MoE opens, opened to sample from. Knows folders and shapes; never problems.

import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { parseConfig } from "../model/config.ts"
import type { ModelConfig } from "../model/config.ts"
import { readFolder } from "../weights/folder.ts"
import type { Quant } from "../weights/pack-plan.ts"
import { UserError } from "../util/errors.ts"
import { LocalPolicy } from "./policy.ts"
import type { LocalPolicyOptions, Policy } from "./policy.ts"
import type { Recipe, Role } from "./recipe.ts"
import type { RunFolder } from "./run-folder.ts"
import type { Ops, Products } from "./train/ops.ts"
import { Trainer } from "./train/trainer.ts"
import { tokenizerFolder } from "./tokenizer-stage.ts"
import type { Trainee } from "./units.ts"

export interface WorkbenchOptions extends Pick<LocalPolicyOptions, "backend" | "threads" | "signal"> {
  recipe: Recipe
  folder: RunFolder
  ops: Ops
  /** Ids of the tokenizer in the run's folder. */
  tokenizerSize: number
}

/** Rows of the embedding come in whole tiles. */
const vocabStep = 64

export class Workbench {
  readonly #options: WorkbenchOptions

  constructor(options: WorkbenchOptions) {
    this.#options = options
  }

  configOf(role: Role): ModelConfig {
    const { recipe, tokenizerSize } = this.#options
    const vocab = vocabStep * Math.ceil(tokenizerSize / vocabStep)
    const fixed = { model_type: "qwen3_moe", architectures: ["Qwen3MoeForCausalLM"], vocab_size: vocab }
    return parseConfig({ ...recipe.models[role === "base" ? "student" : role], ...fixed })
  }

  /** As its latest checkpoint has it; else as the base, as the model to go on from, or new. */
  trainerOf({ name, role, seed }: Trainee): Trainer {
    const { folder, ops, recipe } = this.#options
    const checkpoint = folder.checkpointOf(name)
    if (checkpoint) return Trainer.load(checkpoint, { ops })
    const options = { seed, ops, start: recipe.start }
    const smaller = this.#before(role)
    return smaller
      ? Trainer.grow(smaller, this.configOf(role), options)
      : Trainer.create(this.configOf(role), options)
  }

  #before(role: Role): Trainer | undefined {
    const { folder, ops, recipe } = this.#options
    if (role !== "base" && folder.checkpointOf("base") !== undefined) return this.finished("base")
    if (recipe.from === undefined) return undefined
    const given = Trainer.import(readFolder(recipe.from), { ops })
    checkGrowth(recipe.from, given.config, this.configOf(role), role)
    return given
  }

  /** The model of a finished trainee, whose checkpoint is there. */
  finished(name: string): Trainer {
    const { folder, ops } = this.#options
    return Trainer.load(folder.checkpointOf(name)!, { ops })
  }

  /** Weights, config and tokenizer: all that a run needs. */
  export(trainer: Trainer, path: string, type: Recipe["precision"]): void {
    cpSync(this.#options.folder.at(tokenizerFolder), path, { recursive: true })
    trainer.export(path, { type })
  }

  /** The model as it is now, ready to sample from. */
  async policyOf(
    trainer: Trainer,
    type: Recipe["precision"] = "bf16",
    quant: Quant = "keep",
  ): Promise<Policy> {
    const path = mkdtempSync(join(tmpdir(), "a3b-export-"))
    try {
      this.export(trainer, path, type)
      return await LocalPolicy.open(path, { ...this.#options, quant })
    } finally {
      rmSync(path, { recursive: true, force: true })
    }
  }
}

/** A model becomes another that differs in layers only, of which it may have more. */
function checkGrowth(from: string, given: ModelConfig, wanted: ModelConfig, role: Role): void {
  const differs = Object.entries(wanted).find(
    ([name, value]) => name !== "layers" && given[name as keyof ModelConfig] !== value,
  )
  const [name, value] = differs ?? ["layers", wanted.layers]
  const has = given[name as keyof ModelConfig]
  if (differs || given.layers > wanted.layers)
    throw new UserError(
      "bad-argument",
      `${from} has ${name} ${String(has)}, the recipe's ${role} ${String(value)}: name a model of the same shape in ` +
        '"from", or change the recipe',
    )
}

/** The native kernels, or the plain ones where there is no addon or they are asked for. */
export async function openOps({
  backend = "auto",
  threads = availableParallelism(),
  products,
}: Pick<LocalPolicyOptions, "backend" | "threads"> & { products: Products }): Promise<Ops> {
  if (backend === "cpu" || (backend === "auto" && (await hasAddon()))) {
    const { NativeOps } = await import("./train/native.ts")
    return new NativeOps({ threads, products })
  }
  if (products === "bf16")
    throw new UserError(
      "unsupported",
      'the recipe wants products in bf16, which only the native kernels have: build the addon, or write "fastest"',
    )
  const { referenceOps } = await import("./train/reference.ts")
  return referenceOps
}

async function hasAddon(): Promise<boolean> {
  const { loadAddon } = await import("../backend/cpu/native.ts")
  try {
    loadAddon()
    return true
  } catch {
    return false
  }
}
