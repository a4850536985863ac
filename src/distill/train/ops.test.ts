import { describe, expect, test } from "vitest"
import { randomValues, relativeError } from "../../../test/tiny-training.ts"
import { instructionSets } from "../../backend/cpu/cpu.ts"
import { fromBfloat, toBfloat } from "../../weights/half.ts"
import { NativeOps } from "./native.ts"
import { allRows, type AttentionShape, type Linear, type Ops, type Values } from "./ops.ts"
import { referenceOps } from "./reference.ts"

const native = new NativeOps({ threads: 2 })
const sets = instructionSets().map((isa) => new NativeOps({ threads: 2, isa }))

/** What a call writes on either kind of ops, from the same random values. */
function results(ops: Ops, sizes: number[], call: (ops: Ops, x: Values[]) => void, count: number) {
  const values = sizes.map((size, i) => randomValues(ops, size, i + 1))
  call(ops, values)
  return values.slice(0, count)
}

/** The first `count` arrays are results; `limit` is of the largest value. */
function expectSame(
  ops: Ops,
  sizes: number[],
  count: number,
  call: (ops: Ops, x: Values[]) => void,
  limit = 1e-5,
) {
  const wanted = results(referenceOps, sizes, call, count)
  for (const [i, got] of results(ops, sizes, call, count).entries())
    expect(relativeError(got, wanted[i]), `result ${i}`).toBeLessThan(limit)
}

/** With products in bf16 where this machine has them. */
const rounded = roundedOps()

// Beyond a pass of the depth, beyond tiles, and with an empty group.
const [inputs, outputs, rows] = [301, 150, 290]
const shapes: Record<string, Linear> = {
  "one group": allRows(inputs, outputs, rows),
  groups: { inputs, outputs, groups: Int32Array.of(0, 7, 7, 270, rows) },
  "one deeper than a pass": allRows(600, 40, 530),
}

/** All products of a shape against the reference's, whose factors go through `prepare` first. */
function expectProducts(ops: Ops, shape: Linear, prepare: (x: Values) => Values) {
  const { inputs, outputs, groups } = shape
  const rows = groups[groups.length - 1]
  const [x, y, w] = [rows * inputs, rows * outputs, (groups.length - 1) * inputs * outputs]
  const factor = (ops: Ops, values: Values) => (ops === referenceOps ? prepare(values) : values)
  for (const write of ["set", "add"] as const) {
    expectSame(ops, [y, x, w], 1, (ops, [y, x, w]) =>
      ops.linear(y, factor(ops, x), factor(ops, w), shape, write),
    )
    expectSame(ops, [x, y, w], 1, (ops, [dx, dy, w]) =>
      ops.linearBack(dx, factor(ops, dy), factor(ops, w), shape, write),
    )
  }
  expectSame(ops, [w, y, x], 1, (ops, [dw, dy, x]) =>
    ops.linearGradient(dw, factor(ops, dy), factor(ops, x), shape),
  )
}

const attention = { heads: 4, kvHeads: 2, headDim: 32, starts: Int32Array.of(0, 130, 131, 195, 290) }
const wide = rows * 4 * 32
const narrow = rows * 2 * 32

/** Attention forward and backward. */
function expectAttention(ops: Ops, limit: number) {
  const lse = rows * 4
  expectSame(
    ops,
    [wide, lse, wide, narrow, narrow],
    2,
    (ops, [out, lse, q, k, v]) => ops.attend(out, lse, q, k, v, attention),
    limit,
  )
  const sizes = [wide, narrow, narrow, wide, wide, lse, wide, narrow, narrow]
  const back = (ops: Ops, [dq, dk, dv, dOut, out, lse, q, k, v]: Values[]) => {
    ops.attend(out, lse, q, k, v, attention)
    ops.attendBack({ dq, dk, dv }, dOut, { out, lse, q, k, v }, attention)
  }
  expectSame(ops, sizes, 3, back, limit)
}

describe.each(sets.map((ops) => [ops.device, ops] as const))("on %s", (_, ops) => {
  test.each(Object.entries(shapes))("products are the reference's: %s", (_, shape) => {
    expectProducts(ops, shape, (x) => x)
  })

  test("attention over blocks is the reference's, forward and backward", () => expectAttention(ops, 1e-5))

  test("large scores keep attention's weights finite", () => {
    expectSame(ops, [wide, rows * 4, wide, narrow, narrow], 2, (ops, [out, lse, q, k, v]) => {
      for (const [i, value] of q.entries()) q[i] = 40 * value
      ops.attend(out, lse, q, k, v, attention)
    })
  })

  test("AdamW and the sum of squares are the reference's", () => {
    const rule = {
      learningRate: 0.1,
      beta1: 0.9,
      beta2: 0.98,
      epsilon: 1e-8,
      decay: 0.3,
      step: 3,
      gradientScale: 0.5,
    }
    const n = 70_000
    const step = (ops: Ops, [values, first, second, gradient]: Values[]) => {
      for (const [i, value] of second.entries()) second[i] = value * value
      ops.adamW(values, gradient, first, second, rule)
    }
    expectSame(ops, [n, n, n, n], 3, step)
    const sums = [ops, referenceOps].map((each) => each.sumOfSquares(randomValues(each, n, 1)))
    expect(sums[0] / sums[1]).toBeCloseTo(1, 6)
  })
})

function roundedOps(): NativeOps | undefined {
  try {
    return new NativeOps({ threads: 2, products: "bf16" })
  } catch {
    return undefined
  }
}

describe.runIf(rounded)("products in bf16", () => {
  // Products of two values of eight bits are exact in float32, so only its sums differ: as without rounding.
  test.each(Object.entries(shapes))("are those of the rounded factors: %s", (_, shape) => {
    expectProducts(rounded!, shape, (x) => x.map((value) => fromBfloat(toBfloat(value))))
  })

  // Inputs, weights and their gradients are all rounded, by up to 2^-9 of each; 0.0042 as it is.
  test("serve attention, forward and backward", () => expectAttention(rounded!, 0.008))

  test("are exact where the shape says so", () => {
    expectProducts(rounded!, { ...shapes.groups, factors: "exact" }, (x) => x)
  })

  test("are refused on an instruction set without them", () => {
    expect(() => new NativeOps({ threads: 1, isa: "scalar", products: "bf16" })).toThrow(
      /no bf16 products with scalar: they need .* ask for "f32", or "fastest"/,
    )
    expect(new NativeOps({ threads: 1, isa: "scalar", products: "fastest" }).products).toBe("f32")
  })
})

describe.each([
  ["reference", referenceOps],
  ["native", native],
] as const)("packed sequences on the %s ops", (_, ops) => {
  test("attend as each of them alone", () => {
    const shape = { heads: 2, kvHeads: 1, headDim: 32 }
    const [wide, narrow] = [64, 32]
    const attend = (rows: number, { starts, ...rest }: AttentionShape, from: number) => {
      const all = [2, 3, 4].map((seed, i) => randomValues(ops, 100 * (i === 0 ? wide : narrow), seed))
      const [q, k, v] = all.map((x) => x.slice((from * x.length) / 100, ((from + rows) * x.length) / 100))
      const out = ops.values(rows * wide)
      ops.attend(out, ops.values(rows * 2), q, k, v, { starts, ...rest })
      return [...out]
    }
    const together = attend(100, { ...shape, starts: Int32Array.of(0, 70, 71, 100) }, 0)
    const apart = [
      [0, 70],
      [70, 71],
      [71, 100],
    ].flatMap(([from, end]) => attend(end - from, { ...shape, starts: Int32Array.of(0, end - from) }, from))
    expect(together).toEqual(apart)
  })
})

describe("native ops refuse", () => {
  const n = (length: number) => native.values(length)

  test("arrays of a wrong length", () => {
    expect(() => native.linear(n(5), n(6), n(6), allRows(2, 2, 3), "set")).toThrow("array 0 has 5 values")
  })

  test("rows that are not there", () => {
    expect(() => native.gather(n(16), n(32), Int32Array.of(2), 16)).toThrow("row 2 of 2")
  })

  test("sizes that the kernels cannot take", () => {
    expect(() => native.siluMultiply(n(8), n(8), n(8))).toThrow("not a multiple of 16")
  })

  test("arrays of float64", () => {
    expect(() => native.sumOfSquares(new Float64Array(16))).toThrow("bad arrays")
  })

  test("an instruction set that this machine does not have", () => {
    expect(() => new NativeOps({ threads: 1, isa: "avx9" })).toThrow("this CPU has no avx9")
  })
})
