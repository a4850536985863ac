// Expected values come from a separate Python program that finds the ramp's ends by bisection on the number of turns
// L / (2 pi b^(2d/D)) instead of by logarithms:
//   turns = lambda d, D, b, L: L / (2 * pi * b ** (2 * d / D))
//   lo, hi = -D, 2 * D; repeat 200 times: m = (lo + hi) / 2; if turns(m) > beta: lo = m; else: hi = m
//   a, z = floor(end(beta_fast)), ceil(end(beta_slow)); keep = 1 - min(max((d - a) / (z - a), 0), 1)
//   frequency = b ** (-2 * d / D) * (keep + (1 - keep) / s)
// The same program agrees with the frequencies that the tests of transformers print for D 128, b 1e4, L 2048, s 10.

import { expect, test } from "vitest"
import { rotaryEmbedding } from "./rope.ts"

const yarn = { factor: 4, originalPositions: 32768, betaFast: 32, betaSlow: 1 }

function expectFrequencies(frequencies: Float32Array, expected: Record<number, number>) {
  for (const [pair, value] of Object.entries(expected))
    expect(frequencies[Number(pair)]).toBe(Math.fround(value))
}

test("plain frequencies fall from 1 by equal ratios", () => {
  const { frequencies, scale } = rotaryEmbedding({ headDim: 8, ropeTheta: 1e4 })
  expect([...frequencies]).toEqual([1, 0.1, 0.01, 0.001].map(Math.fround))
  expect(scale).toBe(1)
})

test("YaRN at the size of the first release", () => {
  const { frequencies, scale } = rotaryEmbedding({ headDim: 128, ropeTheta: 1e6, ropeScaling: yarn })
  expect(frequencies).toHaveLength(64)
  expectFrequencies(frequencies, {
    0: 1.0,
    1: 0.8058421877614819,
    22: 0.008659643233600654,
    23: 0.006978305848598663,
    24: 0.005375321490790101,
    30: 0.001064360981247002,
    39: 6.490394320837029e-5,
    40: 4.445698525097307e-5,
    41: 3.582531425592407e-5,
    63: 3.102344401879299e-7,
  })
  expect(scale).toBeCloseTo(1.1386294361119891, 15)
})

test("YaRN with other turns and another factor", () => {
  const ropeScaling = { factor: 2.5, originalPositions: 1024, betaFast: 16, betaSlow: 2 }
  const { frequencies } = rotaryEmbedding({ headDim: 64, ropeTheta: 1e7, ropeScaling })
  expectFrequencies(frequencies, {
    3: 0.220673406908459,
    6: 0.0370095319126056,
    9: 0.00429843131328527,
    30: 1.0953678537057446e-7,
  })
})

test("a ramp without width is a step", () => {
  const ropeScaling = { ...yarn, betaFast: 16000, betaSlow: 6000 }
  const { frequencies } = rotaryEmbedding({ headDim: 8, ropeTheta: 1e4, ropeScaling })
  expect([...frequencies]).toEqual([1, 0.025, 0.0025, 0.00025].map(Math.fround))
})

test("an attention factor in the config replaces YaRN's own", () => {
  const ropeScaling = { ...yarn, attentionFactor: 1.5 }
  expect(rotaryEmbedding({ headDim: 128, ropeTheta: 1e6, ropeScaling }).scale).toBe(1.5)
})
