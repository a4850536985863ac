// Step 5. The config's rotary embedding in, one frequency per pair of a head out. Knows no positions.

import type { Rope } from "../backend/backend.ts"
import type { ModelConfig, Yarn } from "./config.ts"

type RopeConfig = Pick<ModelConfig, "headDim" | "ropeTheta" | "ropeScaling">

/** Computed in float64, rounded once to float32. */
export function rotaryEmbedding({ headDim, ropeTheta, ropeScaling }: RopeConfig): Rope {
  const frequencies = new Float32Array(headDim / 2)
  const stretch = ropeScaling ? yarnStretch(ropeScaling, headDim, ropeTheta) : () => 1
  for (let i = 0; i < frequencies.length; i++) frequencies[i] = ropeTheta ** ((-2 * i) / headDim) * stretch(i)
  return { frequencies, scale: ropeScaling ? yarnScale(ropeScaling) : 1 }
}

/**
 * YaRN's "NTK by parts" (arXiv 2309.00071, section 3.2): pairs that turn often within the training length keep their
 * frequency, those that turn less than `betaSlow` times are slowed by `factor`, with a ramp over the pairs between.
 */
function yarnStretch(yarn: Yarn, headDim: number, theta: number): (pair: number) => number {
  const pairTurning = (turns: number) =>
    (headDim * Math.log(yarn.originalPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  // The ramp's ends are whole pairs, as in the authors' code; the paper's own ramp runs over the turns.
  const first = Math.max(Math.floor(pairTurning(yarn.betaFast)), 0)
  const last = Math.min(Math.ceil(pairTurning(yarn.betaSlow)), headDim - 1)
  const width = last === first ? 0.001 : last - first
  return (pair) => {
    const slowed = Math.min(Math.max((pair - first) / width, 0), 1)
    return 1 - slowed + slowed / yarn.factor
  }
}

/** Squared, it is the attention temperature of section 3.4. */
function yarnScale({ factor, attentionFactor }: Yarn): number {
  return attentionFactor ?? 0.1 * Math.log(factor) + 1
}
