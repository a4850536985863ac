// Step 6. The model's parameters in one flat array, with gradients and AdamW's moments beside it in the same order:
// decayed ones first, then the norms. Views by Hugging Face name, experts stacked.

import { Random } from "../../engine/random.ts"
import type { ModelConfig } from "../../model/config.ts"
import { tensorSpecs } from "../../model/tensors.ts"
import { assert } from "../../util/errors.ts"
import type { TensorSpec } from "../../weights/spec.ts"
import type { Ops, Values } from "./ops.ts"

/** Of the embedding: it learns faster with it than with 0.02 in a narrow model, whose first layers would drown it. */
export const embeddingSpread = 0.08

/** How a new model begins: all at random, or with an induction head. */
export type Start = "random" | "copying"

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
   * to the residual stream less by the number of writers (Radford et al. 2019); the embedding has
   * a spread of its own.
   */
  initialise(config: ModelConfig, seed: number): void {
    const random = Random.seeded(seed)
    for (const spec of this.specs) {
      const { name, shape, role } = spec
      const values = this.value(name)
      const writers = writes(spec) ? 2 * config.layers : 1
      const spread = Math.sqrt(2 / (5 * shape[shape.length - 1] * writers))
      if (role === "vector") values.fill(1)
      else fillNormal(values, role === "embedding" ? embeddingSpread : spread, random)
    }
  }

  /** Takes those of a model that differs in its number of layers only; what writes in the others becomes zero. */
  grow(smaller: Parameters): void {
    const known = new Map(smaller.specs.map((spec) => [spec.name, spec]))
    for (const spec of this.specs) {
      const values = this.value(spec.name)
      const given = known.get(spec.name)
      if (given) {
        assert(size(given) === size(spec), `${spec.name} of another size`)
        values.set(smaller.value(spec.name))
      } else if (writes(spec)) values.fill(0)
    }
    assert(
      [...known.keys()].every((name) => this.#offsets.has(name)),
      "fewer layers than there were",
    )
  }
}

/** To the residual stream. */
const writes = ({ name }: TensorSpec) => /\b(o_proj|down_proj)\b/.test(name)

/** Box and Muller 1958. */
function fillNormal(values: Values, deviation: number, random: Random): void {
  for (let i = 0; i < values.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random.next()))
    const angle = 2 * Math.PI * random.next()
    values[i] = radius * Math.cos(angle)
    if (i + 1 < values.length) values[i + 1] = radius * Math.sin(angle)
  }
}
