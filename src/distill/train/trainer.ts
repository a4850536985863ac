// Step 6. A model in training: batches in, steps of AdamW taken, reports out; saved and loaded with everything that the
// next step depends on. Knows ids and folders; never tasks, text or recipes.

import { parseConfig } from "../../model/config.ts"
import type { ModelConfig, RawConfig } from "../../model/config.ts"
import { assert, UserError } from "../../util/errors.ts"
import type { Checkpoint } from "../../weights/source.ts"
import { Arena } from "./arena.ts"
import { positions, type StepReport, type TrainBatch } from "./batch.ts"
import { startCopying } from "./copying-start.ts"
import { exportCheckpoint, type ExportType } from "./export.ts"
import { logitsOf, type SoftTargets } from "./head.ts"
import { importCheckpoint } from "./import.ts"
import { angles, forward, type Network } from "./model.ts"
import { learn } from "./objective.ts"
import type { Ops, Values } from "./ops.ts"
import { Parameters } from "./parameters.ts"
import type { Start } from "./parameters.ts"
import { readState, writeState, type Rules } from "./state.ts"

export type { Rules, StepReport }

export const defaultRules: Rules = {
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-8,
  decay: 0.05,
  maxNorm: 1,
  balance: 0.01,
}

export interface StepOptions {
  learningRate: number
}

export interface CreateOptions {
  seed: number
  ops: Ops
  /** All at random, or with an induction head to begin with. */
  start?: Start
  rules?: Partial<Rules>
}

export class Trainer {
  readonly config: ModelConfig
  readonly rules: Rules
  readonly #network: Network
  #steps = 0

  private constructor(config: ModelConfig, ops: Ops, rules: Rules) {
    checkLanes(config)
    const parameters = new Parameters(config, ops)
    this.config = config
    this.rules = rules
    this.#network = { config, ops, parameters, arena: new Arena(ops), angles: angles(config, ops) }
  }

  static create(config: ModelConfig, { seed, ops, start, rules }: CreateOptions): Trainer {
    const trainer = new Trainer(config, ops, { ...defaultRules, ...rules })
    trainer.parameters.initialise(config, seed)
    if (start === "copying") startCopying(trainer.parameters, config)
    return trainer
  }

  /**
   * A new trainer that computes what `smaller` does: its parameters, and layers above them that add nothing yet, since
   * what they write to the residual stream is zero (LLaMA Pro, Wu et al. 2024).
   */
  static grow(smaller: Trainer, config: ModelConfig, options: CreateOptions): Trainer {
    const trainer = Trainer.create(config, options)
    trainer.parameters.grow(smaller.parameters)
    return trainer
  }

  /** As `export` wrote it, or somebody else: its parameters, and no step taken yet. */
  static import(checkpoint: Checkpoint, { ops }: { ops: Ops }): Trainer {
    const trainer = new Trainer(parseConfig(checkpoint.config), ops, defaultRules)
    importCheckpoint(checkpoint, trainer.parameters)
    return trainer
  }

  /** What `save` wrote to the folder. */
  static load(folder: string, { ops }: { ops: Ops }): Trainer {
    const { config, rules, steps, fill } = readState(folder)
    const trainer = new Trainer(config, ops, rules)
    fill(trainer.parameters)
    trainer.#steps = steps
    return trainer
  }

  get parameters(): Parameters {
    return this.#network.parameters
  }

  /** Steps taken. */
  get steps(): number {
    return this.#steps
  }

  /** One optimiser step over packed rows. */
  step(batch: TrainBatch, options: StepOptions): StepReport {
    return this.#step(batch, options)
  }

  /**
   * The same towards a teacher's logits [rows, vocab]: (1 - mix) KL(teacher || student) + mix KL(student || teacher).
   * A row's target only says whether it counts.
   */
  distil(batch: TrainBatch, teacherLogits: Float32Array, mix: number, options: StepOptions): StepReport {
    return this.#step(batch, options, { teacherLogits, mix })
  }

  #step(batch: TrainBatch, { learningRate }: StepOptions, soft?: SoftTargets): StepReport {
    const { ops, parameters } = this.#network
    const outcome = learn(this.#network, batch, this.rules.balance, soft)
    const gradientNorm = Math.sqrt(ops.sumOfSquares(parameters.gradients))
    if (!Number.isFinite(gradientNorm))
      throw new UserError(
        "bad-argument",
        `training diverged in step ${this.#steps + 1}: the gradient is not finite; load the last checkpoint and ` +
          "lower the learning rate",
      )
    this.#steps++
    this.#update(learningRate, Math.min(1, this.rules.maxNorm / gradientNorm))
    return { ...outcome, step: this.#steps, gradientNorm }
  }

  #update(learningRate: number, gradientScale: number): void {
    const { ops, parameters } = this.#network
    const { values, gradients, first, second, decayed } = parameters
    const { beta1, beta2, epsilon, decay } = this.rules
    const step = this.#steps
    const rule = { learningRate, beta1, beta2, epsilon, step, gradientScale }
    const update = (part: (all: Values) => Values, share: number) =>
      ops.adamW(part(values), part(gradients), part(first), part(second), { ...rule, decay: share })
    update((all) => all.subarray(0, decayed), decay)
    update((all) => all.subarray(decayed), 0)
  }

  /** [rows, vocab], with the parameters as they are. */
  logits({ ids, starts }: Pick<TrainBatch, "ids" | "starts">): Float32Array {
    this.#network.arena.reset()
    const tape = forward(this.#network, { ids, starts, positions: positions(starts) })
    const logits = logitsOf(this.#network, tape.normed)
    return logits instanceof Float32Array ? logits : Float32Array.from(logits)
  }

  /** Parameters, moments and step count: a loaded trainer goes on bit by bit as this one would. */
  save(folder: string): void {
    writeState(folder, { config: this.config, rules: this.rules, steps: this.#steps }, this.parameters)
  }

  /**
   * A Hugging Face folder of the parameters; `fields` are added to its config.json. FP8 is E4M3 with a scale for every
   * 128x128 weights of a matrix; norms, router, embedding and head stay BF16.
   */
  export(
    folder: string,
    { type = "bf16", fields = {} }: { type?: ExportType; fields?: RawConfig } = {},
  ): void {
    exportCheckpoint(folder, this.config, this.parameters, type, fields)
  }
}

/** Of the kernels; the published models' sizes all keep it. */
function checkLanes({ hidden, headDim, expertHidden, ropeScaling }: ModelConfig): void {
  assert(hidden % 16 === 0 && expertHidden % 16 === 0, `hidden sizes ${hidden}, ${expertHidden}`)
  assert(headDim % 32 === 0, `head_dim ${headDim}`)
  assert(!ropeScaling, "training with stretched positions")
}
