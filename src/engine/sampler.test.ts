import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { Sampling } from "../types.ts"
import { Adjustments } from "./adjustments.ts"
import { Random } from "./random.ts"
import { Sampler } from "./sampler.ts"
import { plainSampling } from "./sampling.ts"

const sampling = (more: Partial<Sampling>): Sampling => ({ ...plainSampling, ...more })

/** The probabilities after temperature, top-k, top-p and min-p, by sorting everything: [size]. */
function probabilities(logits: ArrayLike<number>, options: Sampling): number[] {
  const { temperature, topK, topP, minP } = options
  const top = Math.max(...Array.from(logits))
  const weights = Array.from(logits, (logit) => Math.exp((logit - top) / temperature))
  let order = weights.map((_, id) => id).sort((a, b) => logits[b] - logits[a] || a - b)
  if (topK > 0) order = order.slice(0, topK)
  const left = order.reduce((sum, id) => sum + weights[id], 0)
  let mass = 0
  const nucleus = order.filter((id) => {
    const before = mass
    mass += weights[id] / left
    return before < topP
  })
  const kept = nucleus.filter((id) => weights[id] >= minP)
  const sum = kept.reduce((all, id) => all + weights[id], 0)
  return weights.map((weight, id) => (kept.includes(id) ? weight / sum : 0))
}

function drawn(logits: Float32Array, options: Sampling, times: number): number[] {
  const sampler = new Sampler(logits.length)
  const random = Random.seeded(7)
  const counts = new Array<number>(logits.length).fill(0)
  for (let i = 0; i < times; i++) counts[sampler.sample(logits.slice(), options, random)]++
  return counts
}

/** Logits as a model's: a few high ones over a broad rest. */
function logitsOf(size: number, seed: number): Float32Array {
  const random = Random.seeded(seed)
  return Float32Array.from({ length: size }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
    return 2 * normal
  })
}

describe("draws", () => {
  test.each<[string, Partial<Sampling>]>([
    ["everything", {}],
    ["temperature", { temperature: 0.6 }],
    ["a high temperature", { temperature: 3 }],
    ["top-k", { topK: 20 }],
    ["top-p", { topP: 0.8 }],
    ["min-p", { minP: 0.05 }],
    ["thinking mode's own", { temperature: 0.6, topK: 20, topP: 0.95 }],
    ["all of them", { temperature: 1.3, topK: 60, topP: 0.9, minP: 0.02 }],
  ])("follow the distribution that sorting everything gives: %s", (_, more) => {
    const logits = logitsOf(300, 3)
    const options = sampling(more)
    const times = 20_000
    const counts = drawn(logits, options, times)
    const expected = probabilities(logits, options).map((p) => p * times)
    expect(counts.filter((count, id) => count > 0 && expected[id] === 0)).toEqual([])
    // Rare ids are counted together, as the test needs about five of each kind.
    const cells = expected.map((mean, id) => [mean, counts[id]]).filter(([mean]) => mean >= 5)
    const rest = cells.reduce(([mean, count], cell) => [mean - cell[0], count - cell[1]], [times, times])
    if (rest[0] > 5) cells.push(rest)
    const chiSquare = cells.reduce((sum, [mean, count]) => sum + (count - mean) ** 2 / mean, 0)
    const freedom = Math.max(1, cells.length - 1)
    // About the 99.99 % point (Wilson and Hilferty); the draws are seeded, so this cannot flicker.
    expect(chiSquare).toBeLessThan(
      freedom * (1 - 2 / (9 * freedom) + 3.72 * Math.sqrt(2 / (9 * freedom))) ** 3,
    )
  })

  test("keep exactly what sorting everything keeps, for any setting", () => {
    const setting = fc.record({
      seed: fc.integer({ min: 0, max: 1000 }),
      size: fc.integer({ min: 1, max: 400 }),
      temperature: fc.double({ min: 0.5, max: 4, noNaN: true }),
      topK: fc.integer({ min: 0, max: 450 }),
      topP: fc.oneof(fc.double({ min: 0.01, max: 0.9999, noNaN: true }), fc.constant(1)),
      minP: fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 0.5, noNaN: true })),
    })
    const property = fc.property(setting, ({ seed, size, ...more }) => {
      const logits = logitsOf(size, seed)
      const options = sampling(more)
      const expected = probabilities(logits, options)
      // Numbers at the two ends of [0, 1) draw the first and the last kept id.
      const ends = [0, 1 - 2 ** -53].map((u) => {
        const random = Object.assign(Random.seeded(0), { next: () => u })
        return new Sampler(size).sample(logits.slice(), options, random)
      })
      const kept = expected
        .flatMap((p, id) => (p > 0 ? [id] : []))
        .sort((a, b) => logits[b] - logits[a] || a - b)
      const wholeRow = options.topK === 0 && options.topP === 1 && options.minP === 0
      if (!wholeRow) expect(ends).toEqual([kept[0], kept[kept.length - 1]])
      expect(ends.every((id) => expected[id] > 0)).toBe(true)
    })
    fc.assert(property, { numRuns: 500 })
  })

  test("from the largest logits alone are those from the whole row", () => {
    const setting = fc.record({
      seed: fc.integer({ min: 0, max: 1000 }),
      size: fc.integer({ min: 1, max: 400 }),
      more: fc.integer({ min: 0, max: 10 }),
      temperature: fc.oneof(fc.constant(0), fc.double({ min: 0.5, max: 4, noNaN: true })),
      topK: fc.integer({ min: 1, max: 64 }),
      topP: fc.oneof(fc.double({ min: 0.01, max: 0.9999, noNaN: true }), fc.constant(1)),
      minP: fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 0.5, noNaN: true })),
    })
    const property = fc.property(setting, ({ seed, size, more, ...rest }) => {
      const logits = logitsOf(size, seed)
      const ids = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b).slice(0, rest.topK + more)
      const values = Float32Array.from(ids, (id) => logits[id])
      const sampler = new Sampler(size)
      const few = sampler.sampleLargest(Float32Array.from(ids), values, sampling(rest), Random.seeded(seed))
      expect(few).toBe(sampler.sample(logits, sampling(rest), Random.seeded(seed)))
    })
    fc.assert(property, { numRuns: 500 })
  })

  test("are greedy at temperature 0: the largest logit, the lowest id of equals", () => {
    const logits = Float32Array.of(1, 5, 2, 5)
    expect(new Sampler(4).sample(logits, sampling({ temperature: 0 }), Random.seeded(1))).toBe(1)
  })

  test("at a temperature next to 0 are the greedy ones", () => {
    const logits = logitsOf(500, 9)
    const options = sampling({ temperature: 1e-300, topP: 0.9 })
    expect(drawn(logits, options, 20)[logits.indexOf(Math.max(...logits))]).toBe(20)
  })

  test("never leave the tokenizer's ids", () => {
    const logits = Float32Array.from({ length: 64 }, (_, id) => (id < 40 ? 0 : 100))
    const sampler = new Sampler(40)
    for (const more of [{ temperature: 0 }, {}, { topK: 64 }, { topP: 0.9 }, { minP: 0.1 }]) {
      for (let seed = 0; seed < 20; seed++) {
        expect(sampler.sample(logits.slice(), sampling(more), Random.seeded(seed))).toBeLessThan(40)
      }
    }
  })

  test.each([NaN, Infinity, -Infinity])("are refused from a row with %d in it", (wrong) => {
    const logits = logitsOf(100, 1)
    logits[63] = wrong
    const sample = () => new Sampler(100).sample(logits, sampling({ topK: 5 }), Random.seeded(1))
    expect(sample).toThrow(`the model's logit of id 63 is ${wrong}`)
    logits[63] = 0
    expect(sample).not.toThrow()
  })

  test("of 151,936 logits take a small part of the time of sorting them", () => {
    const logits = logitsOf(151_936, 5)
    const sampler = new Sampler(151_669)
    const random = Random.seeded(1)
    const options = sampling({ temperature: 0.6, topK: 20, topP: 0.95 })
    const fastest = (work: () => unknown) =>
      Math.min(
        ...Array.from({ length: 30 }, () => {
          const start = performance.now()
          work()
          return performance.now() - start
        }),
      )
    const sorting = fastest(() => logits.slice().sort())
    expect(fastest(() => sampler.sample(logits, options, random))).toBeLessThan(sorting / 4)
  })
})

describe("adjustments", () => {
  const adjusted = (more: Partial<Sampling>, prompt: number[], output: number[], logits: number[]) => {
    const adjustments = Adjustments.of(sampling(more), Int32Array.from(prompt), logits.length)
    for (const id of output) adjustments?.count(id)
    const row = Float32Array.from(logits)
    adjustments?.apply(row)
    return [...row]
  }

  test("take no memory where nothing is asked for", () => {
    expect(Adjustments.of(plainSampling, Int32Array.of(1), 10)).toBeUndefined()
  })

  test("a repetition penalty looks at prompt and output: positive logits are divided, negative multiplied", () => {
    expect(adjusted({ repetitionPenalty: 2 }, [0, 1], [2, 2], [4, -4, 6, 6])).toEqual([2, -8, 3, 6])
  })

  test("a presence penalty looks at the output alone, once per id", () => {
    expect(adjusted({ presencePenalty: 1.5 }, [0], [1, 1, 2], [4, 4, 4, 4])).toEqual([4, 2.5, 2.5, 4])
  })

  test("a frequency penalty counts the output", () => {
    expect(adjusted({ frequencyPenalty: 0.5 }, [0, 1], [1, 1, 2], [4, 4, 4, 4])).toEqual([4, 3, 3.5, 4])
  })

  test("bias comes before penalties", () => {
    expect(adjusted({ logitBias: { 0: 4, 3: -1 }, repetitionPenalty: 2 }, [0], [], [4, 4, 4, 4])).toEqual([
      4, 4, 4, 3,
    ])
  })

  test("padding ids in a prompt do no harm", () => {
    expect(adjusted({ repetitionPenalty: 2 }, [7, 1], [], [4, 4])).toEqual([4, 2])
  })
})
