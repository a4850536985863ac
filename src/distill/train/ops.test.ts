import { describe, expect, test } from "vitest"
import { randomValues, relativeError } from "../../../test/tiny-training.ts"
import { NativeOps } from "./native.ts"
import { allRows, type AttentionShape, type Ops } from "./ops.ts"
import { referenceOps } from "./reference.ts"

const native = new NativeOps({ threads: 2 })
const sets = ["avx512", "avx2", "scalar"].flatMap((isa) => {
  try {
    return [new NativeOps({ threads: 2, isa })]
  } catch {
    return []
  }
})

/** What a call writes on either kind of ops, from the same random values. */
function results(
  ops: Ops,
  sizes: number[],
  call: (ops: Ops, x: ReturnType<Ops["values"]>[]) => void,
  count: number,
) {
  const values = sizes.map((size, i) => randomValues(ops, size, i + 1))
  call(ops, values)
  return values.slice(0, count)
}

/** The first `count` arrays are results. */
function expectSame(
  ops: Ops,
  sizes: number[],
  count: number,
  call: (ops: Ops, x: ReturnType<Ops["values"]>[]) => void,
) {
  const wanted = results(referenceOps, sizes, call, count)
  for (const [i, got] of results(ops, sizes, call, count).entries())
    expect(relativeError(got, wanted[i]), `result ${i}`).toBeLessThan(1e-5)
}

describe.each(sets.map((ops) => [ops.device, ops] as const))("on %s", (_, ops) => {
  // Beyond a pass of the depth, beyond tiles, and with an empty group.
  const [inputs, outputs, rows] = [301, 150, 290]
  const shapes = {
    "one group": allRows(inputs, outputs, rows),
    groups: { inputs, outputs, groups: Int32Array.of(0, 7, 7, 270, rows) },
  }

  test.each(Object.entries(shapes))("products are the reference's: %s", (_, shape) => {
    const [x, y, w] = [rows * inputs, rows * outputs, (shape.groups.length - 1) * inputs * outputs]
    for (const write of ["set", "add"] as const) {
      expectSame(ops, [y, x, w], 1, (ops, [y, x, w]) => ops.linear(y, x, w, shape, write))
      expectSame(ops, [x, y, w], 1, (ops, [dx, dy, w]) => ops.linearBack(dx, dy, w, shape, write))
    }
    expectSame(ops, [w, y, x], 1, (ops, [dw, dy, x]) => ops.linearGradient(dw, dy, x, shape))
  })

  const attention = { heads: 4, kvHeads: 2, headDim: 32, starts: Int32Array.of(0, 130, 131, 195, 290) }
  const wide = rows * 4 * 32
  const narrow = rows * 2 * 32

  test("attention over blocks is the reference's, forward and backward", () => {
    const lse = rows * 4
    expectSame(ops, [wide, lse, wide, narrow, narrow], 2, (ops, [out, lse, q, k, v]) =>
      ops.attend(out, lse, q, k, v, attention),
    )
    const sizes = [wide, narrow, narrow, wide, wide, lse, wide, narrow, narrow]
    expectSame(ops, sizes, 3, (ops, [dq, dk, dv, dOut, out, lse, q, k, v]) => {
      ops.attend(out, lse, q, k, v, attention)
      ops.attendBack({ dq, dk, dv }, dOut, { out, lse, q, k, v }, attention)
    })
  })

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
    const step = (ops: Ops, [values, first, second, gradient]: ReturnType<Ops["values"]>[]) => {
      for (const [i, value] of second.entries()) second[i] = value * value
      ops.adamW(values, gradient, first, second, rule)
    }
    expectSame(ops, [n, n, n, n], 3, step)
    const sums = [ops, referenceOps].map((each) => each.sumOfSquares(randomValues(each, n, 1)))
    expect(sums[0] / sums[1]).toBeCloseTo(1, 6)
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
