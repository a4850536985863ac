// Step 6. The model's parameters in one flat array, with gradients and AdamW's moments beside it in the same order:
// decayed ones first, then the norms. Views by Hugging Face name, experts stacked.

import { Random } from "../../engine/random.ts"
import type { ModelConfig } from "../../model/config.ts"
import { tensorSpecs } from "../../model/tensors.ts"
import { assert } from "../../util/errors.ts"
import type { TensorSpec } from "../../weights/spec.ts"
import type { Ops, Values } from "./ops.ts"

const size = ({ shape }: TensorSpec) => shape.reduce((product, side) => product * side, 1)

export class Parameters {
  readonly specs: readonly TensorSpec[]
  /** Of `values`, those that decay. */
  readonly decayed: number
  readonly values: Values
  readonly gradients: Values
  readonly first: Values
  readonly second: Values
  readonly #offsets = new Map<string, { at: number; length: number }>()

  constructor(config: ModelConfig, ops: Ops) {
    this.specs = tensorSpecs(config)
    const isNorm = ({ role }: TensorSpec) => role === "vector"
    const ordered = [...this.specs.filter((spec) => !isNorm(spec)), ...this.specs.filter(isNorm)]
    let at = 0
    for (const spec of ordered) {
      this.#offsets.set(spec.name, { at, length: size(spec) })
      at += size(spec)
    }
    this.decayed = this.specs.reduce((sum, spec) => sum + (isNorm(spec) ? 0 : size(spec)), 0)
    this.values = ops.values(at)
    this.gradients = ops.values(at)
    this.first = ops.values(at)
    this.second = ops.values(at)
  }

  value(name: string): Values {
    return this.#view(this.values, name)
  }

  gradient(name: string): Values {
    return this.#view(this.gradients, name)
  }

  #view(all: Values, name: string): Values {
    const place = this.#offsets.get(name)
    assert(place, `no parameter ${name}`)
    return all.subarray(place.at, place.at + place.length)
  }

  /**
   * Norms are 1; matrices are normal with the variance 2 / (5 * inputs) of Nguyen and Salazar 2019, those that write
   * to the residual stream less by the number of writers (Radford et al. 2019); the embedding has 0.08, which learns
   * faster than 0.02 in a narrow model, whose first layers would drown it.
   */
  initialise(config: ModelConfig, seed: number): void {
    const random = Random.seeded(seed)
    for (const { name, shape, role } of this.specs) {
      const values = this.value(name)
      const writes = /\b(o_proj|down_proj)\b/.test(name) ? Math.sqrt(2 * config.layers) : 1
      const spread = Math.sqrt(2 / (5 * shape[shape.length - 1])) / writes
      if (role === "vector") values.fill(1)
      else fillNormal(values, role === "embedding" ? 0.08 : spread, random)
    }
  }
}

/** Box and Muller 1958. */
function fillNormal(values: Values, deviation: number, random: Random): void {
  for (let i = 0; i < values.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random.next()))
    const angle = 2 * Math.PI * random.next()
    values[i] = radius * Math.cos(angle)
    if (i + 1 < values.length) values[i + 1] = radius * Math.sin(angle)
  }
}
