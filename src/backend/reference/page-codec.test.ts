import { describe, expect, test } from "vitest"
import {
  dot,
  gaussian,
  hadamard,
  logitsOf,
  makeHead,
  meanDivergence,
  q4Groups,
  rotated,
  rowsOf,
  scaled,
  turned,
} from "../../../test/kv-synthetic.ts"
import type { Head, Outliers, Rows } from "../../../test/kv-synthetic.ts"
import { seeded } from "../../../test/random.ts"
import { balance } from "../../model/balance.ts"
import { halves } from "../../weights/half.ts"
import { kvPageBytes, kvTiers, pageTokens } from "../backend.ts"
import type { CodedTier } from "../backend.ts"
import { rotate } from "./hadamard.ts"
import { decodePage, demotePage, encodePage } from "./page-codec.ts"

const tiers: CodedTier[] = [1, 2, 3]
const headDims = [32, 64, 128]

const flat = (rows: Rows) => Float32Array.from(rows.flatMap((row) => [...row]))
const normalPage = (random: () => number, headDim: number) =>
  Float32Array.from({ length: pageTokens * headDim }, () => gaussian(random))

/** Keys or values of any whole number of pages, as the codes of a tier give them back, rotated. */
function throughCodes(keys: Rows, values: Rows, tier: CodedTier): { keys: Rows; values: Rows } {
  const size = keys[0].length
  const out = { keys: [] as Rows, values: [] as Rows }
  for (let first = 0; first < keys.length; first += pageTokens) {
    const [k, v] = [keys, values].map((rows) => flat(rows.slice(first, first + pageTokens)))
    const page = decodePage(encodePage(k, v, size, tier), size, tier)
    out.keys.push(...rowsOf(pageTokens, size, (row, i) => page.keys.rows[row * size + i]))
    out.values.push(...rowsOf(pageTokens, size, (row, i) => page.values.rows[row * size + i]))
  }
  return out
}

describe("the rotation", () => {
  test.each(headDims)("of %i channels is Sylvester's matrix and its own inverse", (size) => {
    const random = seeded(1)
    const row = Float32Array.from({ length: size }, () => gaussian(random))
    const got = rotate(row.slice())
    for (let i = 0; i < size; i++)
      expect(got[i]).toBeCloseTo(
        dot(
          row,
          Float64Array.from({ length: size }, (_, j) => hadamard(i, j, size)),
        ),
        5,
      )
    const back = rotate(got.slice())
    for (let i = 0; i < size; i++) expect(back[i]).toBeCloseTo(row[i], 5)
  })
})

describe("a page's bytes", () => {
  test("are those of the tiers' bits, a mean and three scales a token", () => {
    expect([0, 1, 2, 3].map((tier) => kvPageBytes(tier as 0 | CodedTier, 128) / pageTokens)).toEqual([
      512, 266, 154, 122,
    ])
  })

  test.each(headDims)("for heads of %i are the first ones of the finer tiers'", (headDim) => {
    const random = seeded(2)
    const [k, v] = [normalPage(random, headDim), normalPage(random, headDim)]
    const finest = encodePage(k, v, headDim, 1)
    expect(finest).toHaveLength(kvPageBytes(1, headDim))
    for (const tier of [2, 3] as const) {
      expect(demotePage(finest, headDim, tier)).toEqual(encodePage(k, v, headDim, tier))
      expect(encodePage(k, v, headDim, tier)).toHaveLength(kvPageBytes(tier, headDim))
    }
  })

  test("stand where the layout says", () => {
    // Rotated, a row of equal values is one value in channel 0; what is left of the others is zero, whose level is 128.
    const keys = new Float32Array(pageTokens * 128)
    keys.fill(1, 5 * 128, 6 * 128)
    const page = encodePage(keys, keys, 128, 1)
    const mean = halves[page[0] | (page[1] << 8)]
    expect(mean).toBeCloseTo(Math.sqrt(128) / 128, 4)
    // Two bits each of four channels: of a zero 2, the upper one of the two levels around it.
    const zeros = new Array<number>(64).fill(0b10101010)
    const line = (of: number) => [...page.subarray(512 + of * 64, 512 + (of + 1) * 64)]
    const lane = (token: number) => line(0).slice(4 * token, 4 * token + 4)
    // Token 5 lies above the mean, all others below.
    expect(lane(5)).toEqual([0b10101011, ...zeros.slice(0, 3)])
    for (const token of [4, 15]) expect(lane(token)).toEqual([0b10101000, ...zeros.slice(0, 3)])
    for (const other of [1, 7]) expect(line(other)).toEqual(zeros)
    // The next block's first line.
    expect(line(8)).toEqual(zeros.map((zero, i) => (i % 4 === 0 ? 0b10101000 : zero)))
    const valueScale = (token: number, group: number) => {
      const at = 512 + 4 * 2048 + 256 + 2 * (128 * group + token)
      return halves[page[at] | (page[at + 1] << 8)]
    }
    expect(valueScale(5, 0)).toBeGreaterThan(0)
    expect(valueScale(5, 1)).toBe(0)
    // What the mean takes from the other tokens, 1 / 128, is in their first group.
    expect(valueScale(4, 0)).toBeCloseTo(valueScale(5, 0) / 127, 4)
  })

  test("are the same for the same page, whatever was encoded before", () => {
    const random = seeded(3)
    const [k, v] = [normalPage(random, 64), normalPage(random, 64)]
    const first = encodePage(k, v, 64, 2)
    encodePage(v, k, 64, 2)
    expect(encodePage(k, v, 64, 2)).toEqual(first)
  })
})

describe("a page that is decoded", () => {
  test.each(tiers)(
    "differs from the rotated one by at most half a step of tier T%i, but where it was clipped",
    (tier) => {
      const random = seeded(4)
      const headDim = 64
      const k = rowsOf(pageTokens, headDim, () => gaussian(random))
      const v = rowsOf(pageTokens, headDim, () => gaussian(random))
      const got = throughCodes(k, v, tier)
      const off = (want: Rows, have: Rows) =>
        want.flatMap((row, t) => [...row.map((x, i) => Math.abs(x - have[t][i]))])
      const { keyBits, valueBits } = kvTiers[tier]
      // The outermost level is at most 1.02 of the largest magnitude, which is about 3.
      const rms = (x: number[]) => Math.sqrt(x.reduce((sum, y) => sum + y * y, 0) / x.length)
      expect(rms(off(rotated(k), got.keys))).toBeLessThan(3.5 / 2 ** keyBits + 0.05)
      expect(rms(off(rotated(v), got.values))).toBeLessThan(3.5 / 2 ** valueBits + 0.05)
    },
  )

  test("of zeros is zeros", () => {
    const { keys, values } = decodePage(
      encodePage(new Float32Array(pageTokens * 32), new Float32Array(pageTokens * 32), 32, 3),
      32,
      3,
    )
    expect([...keys.rows, ...values.rows].every((x) => x === 0)).toBe(true)
  })

  test("of the smallest numbers is next to nothing", () => {
    const v = normalPage(seeded(5), 64).map((x) => x * 1e-40)
    const { values } = decodePage(encodePage(v, v, 64, 3), 64, 3)
    expect(values.rows.every((x) => Math.abs(x) < 1e-6)).toBe(true)
  })

  test("of NaN says so", () => {
    const v = new Float32Array(pageTokens * 32)
    v[500] = NaN
    expect(decodePage(encodePage(v, v, 32, 1), 32, 1).values.rows.some(Number.isNaN)).toBe(true)
  })

  // Uniform quantisers of a normal distribution reach 0.0115, 0.0374 with 4 and 3 bits (Max 1960); a scale chosen for
  // each token's own 128 or 64 values comes close. More bits refine that scale's steps but clip as much.
  test("of normal values has the relative error of its bits", () => {
    const random = seeded(6)
    const rows = () => rowsOf(8 * pageTokens, 128, () => gaussian(random))
    const [k, v] = [rows(), rows()]
    const error = (want: Rows, have: Rows) =>
      want.reduce((sum, row, t) => sum + row.reduce((s, x, i) => s + (x - have[t][i]) ** 2, 0), 0) /
      want.reduce((sum, row) => sum + dot(row, row), 0)
    const errors = tiers.map((tier) => {
      const got = throughCodes(k, v, tier)
      return { key: error(rotated(k), got.keys), value: error(rotated(v), got.values) }
    })
    expect(errors[2].key).toBeLessThan(0.013)
    expect(errors[2].value).toBeLessThan(0.045)
    expect(errors[1].key).toBeLessThan(0.0045)
    expect(errors[1].value).toBeLessThan(0.013)
    expect(errors[0].key).toBeLessThan(0.0012)
    expect(errors[0].value).toBeLessThan(0.0025)
    expect(errors[2].key).toBeGreaterThan(0.0095)
    expect(errors[2].value).toBeGreaterThan(0.03)
  })
})

describe("attention over codes", () => {
  const tokens = 2048

  /** Mean divergence from exact attention, of codes of a tier or of q4_0 groups of rotated keys. */
  function divergence(heads: readonly Head[], codes: CodedTier | "q4_0"): number {
    const each = heads.map(({ queries, keys, queryNorm, keyNorm }) => {
      if (codes === "q4_0") return meanDivergence(queries, keys, rotated(queries), q4Groups(rotated(keys)))
      const factors = balance(queryNorm, keyNorm)
      const balanced = scaled(
        keys,
        factors.map((x) => 1 / x),
      )
      const got = throughCodes(balanced, balanced, codes)
      return meanDivergence(queries, keys, rotated(scaled(queries, factors)), got.keys)
    })
    return each.reduce((sum, x) => sum + x, 0) / each.length
  }

  test.each<Outliers>(["opposed", "independent", "together"])("with outliers %s stays close", (outliers) => {
    const heads = [1, 2, 3, 4].map((seed) => makeHead(seeded(seed), tokens, outliers))
    expect(divergence(heads.slice(0, 2), 1)).toBeLessThan(0.003)
    expect(divergence(heads.slice(0, 2), 2)).toBeLessThan(0.015)
    const least = divergence(heads, 3)
    expect(least).toBeLessThan(0.05)
    expect(least).toBeLessThan(0.7 * divergence(heads, "q4_0"))
  })

  test("of a query that all keys match alike is the mean of the values", () => {
    const random = seeded(8)
    const values = rowsOf(tokens, 128, (_, i) => gaussian(random) + (i % 7))
    const zeros = rowsOf(tokens, 128, () => 0)
    const mean = (rows: Rows) =>
      Float64Array.from({ length: 128 }, (_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length)
    for (const tier of tiers) {
      const want = mean(rotated(values))
      const off = mean(throughCodes(zeros, values, tier).values).map((x, i) => x - want[i])
      expect(Math.sqrt(dot(off, off) / dot(want, want))).toBeLessThan(0.01)
    }
  })
})

// Keys that are one of 256 directions in 24 channels of slow pairs, and queries that ask for one of them. Outliers are
// put in so that no logit changes: keys times s, queries divided by s.
describe("needles among keys with injected outliers", () => {
  const [tokens, needles, size, firstPair] = [4096, 64, 128, 52]
  const random = seeded(9)
  const width = 2 * (64 - firstPair)
  const unit = (row: Float64Array) => row.map((x) => x / Math.sqrt(dot(row, row)))
  const direction = () => unit(Float64Array.from({ length: width }, () => gaussian(random)))
  const apart = (from: Rows, cosine: number): Float64Array => {
    const candidate = direction()
    return from.some((other) => dot(other, candidate) > cosine) ? apart(from, cosine) : candidate
  }
  const symbols: Rows = []
  while (symbols.length < needles) symbols.push(apart(symbols, 0.5))
  const placeOf = (needle: number) => Math.floor(((needle + 0.5) * tokens) / needles)
  const content = rowsOf(tokens, 0, () => 0).map((_, token) => {
    const needle = Math.floor((token * needles) / tokens)
    return placeOf(needle) === token ? symbols[needle] : apart(symbols, 0.6)
  })
  const placed = (row: Float64Array, noise: number) => {
    const out = Float64Array.from({ length: size }, () => noise * gaussian(random))
    for (let i = 0; i < width; i++)
      out[i < width / 2 ? firstPair + i : 64 + firstPair + i - width / 2] += row[i]
    const rms = Math.sqrt(dot(out, out) / size)
    return out.map((x) => x / rms)
  }
  const keys = content.map((row, token) => turned(placed(row, 0.045), token))
  const queries = symbols.map((symbol) =>
    turned(
      placed(symbol, 0).map((x) => 8 * x),
      tokens - 1,
    ),
  )

  const recall = (asked: Rows, held: Rows) =>
    asked.filter((query, needle) => {
      const logits = logitsOf(query, held)
      return logits.indexOf(Math.max(...logits)) === placeOf(needle)
    }).length / needles

  const injected = (by: number) =>
    Float64Array.from({ length: size }, (_, i) => ([53, 56, 59, 61].includes(i % 64) ? by : 1))

  test.each([1, 16, 64])("times %i are all found at every tier", (by) => {
    const outliers = injected(by)
    const norms = [outliers.map((x) => 8 / x), outliers].map((norm) => Float32Array.from(norm))
    const factors = balance(norms[0], norms[1])
    expect(recall(queries, keys)).toBe(1)
    // The balance undoes the injection up to what both share, which no code can tell.
    for (const tier of [1, 2, 3] as const) {
      const held = throughCodes(
        scaled(
          scaled(keys, outliers),
          factors.map((x) => 1 / x),
        ),
        keys,
        tier,
      )
      expect(
        recall(
          rotated(
            scaled(
              scaled(
                queries,
                outliers.map((x) => 1 / x),
              ),
              factors,
            ),
          ),
          held.keys,
        ),
      ).toBe(1)
    }
  })

  test("are lost by 4-bit groups without our balance: the injection has teeth", () => {
    const plain = (by: number) =>
      recall(scaled(queries, injected(1 / by)), q4Groups(scaled(keys, injected(by))))
    const turnedOnly = (by: number) =>
      recall(rotated(scaled(queries, injected(1 / by))), q4Groups(rotated(scaled(keys, injected(by)))))
    expect(plain(1)).toBe(1)
    expect(plain(16)).toBeLessThanOrEqual(0.7)
    expect(turnedOnly(64)).toBeLessThanOrEqual(0.7)
  })
})
