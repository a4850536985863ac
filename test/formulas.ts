// The model's formulas in float64, as the papers write them, for tests: what every backend is compared with.
// Shares no code with the package.

/** Row-major [rows, columns]. */
export interface Dense {
  rows: number
  columns: number
  values: ArrayLike<number>
}

export function rowsOf(values: ArrayLike<number>, columns: number): number[][] {
  return Array.from({ length: values.length / columns }, (_, row) =>
    Array.from({ length: columns }, (_, column) => values[row * columns + column]),
  )
}

/** x W^T, row after row. */
export function product(x: ArrayLike<number>, { rows, columns, values }: Dense): number[] {
  const out: number[] = []
  for (let start = 0; start < x.length; start += columns)
    for (let row = 0; row < rows; row++) {
      let sum = 0
      for (let k = 0; k < columns; k++) sum += x[start + k] * values[row * columns + k]
      out.push(sum)
    }
  return out
}

export function rmsNorm(x: number[], weight: ArrayLike<number>, epsilon: number): number[] {
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length
  return x.map((value, i) => (value / Math.sqrt(mean + epsilon)) * weight[i])
}

/** Turns the pair (i, i + half) by position * frequency[i]: a product of complex numbers. */
export function rotate(
  x: number[],
  position: number,
  { frequencies, scale }: { frequencies: ArrayLike<number>; scale: number },
): number[] {
  const half = x.length / 2
  return x.map((value, i) => {
    const angle = position * frequencies[i % half]
    const other = i < half ? -x[i + half] : x[i - half]
    return scale * (value * Math.cos(angle) + other * Math.sin(angle))
  })
}

export function softmax(x: number[]): number[] {
  const largest = Math.max(...x)
  const e = x.map((value) => Math.exp(value - largest))
  const sum = e.reduce((a, b) => a + b, 0)
  return e.map((value) => value / sum)
}

/** One query head over rows of keys and values, of which it takes its length from `start` on. */
export function attention(q: number[], keys: number[][], values: number[][], start: number): number[] {
  const p = softmax(
    keys.map((key) => {
      let sum = 0
      for (let i = 0; i < q.length; i++) sum += q[i] * key[start + i]
      return sum / Math.sqrt(q.length)
    }),
  )
  const out = new Array<number>(q.length).fill(0)
  for (const [j, weight] of p.entries())
    for (let i = 0; i < q.length; i++) out[i] += weight * values[j][start + i]
  return out
}

export interface RouteOptions {
  topK: number
  normalise: boolean
}

/** Equal probabilities go to the lower experts. */
export function route(x: ArrayLike<number>, router: Dense, { topK, normalise }: RouteOptions) {
  const p = softmax(product(x, router))
  const chosen = byProbability(p).slice(0, topK)
  const sum = normalise ? chosen.reduce((total, e) => total + p[e], 0) : 1
  return chosen.map((expert) => ({ expert, weight: p[expert] / sum }))
}

/** Whether float32 sums choose the same experts: the last one chosen equals the next exactly, or is clearly ahead. */
export function isDecided(x: ArrayLike<number>, router: Dense, { topK }: RouteOptions): boolean {
  const p = softmax(product(x, router))
  const order = byProbability(p)
  const ratio = topK === p.length ? Infinity : p[order[topK - 1]] / p[order[topK]]
  return ratio === 1 || ratio > 1.0001
}

function byProbability(p: number[]): number[] {
  return [...p.keys()].sort((a, b) => p[b] - p[a] || a - b)
}

/** down(silu(gate x) * up x) of one expert; `round` is what the backend does to the inner activations. */
export function expert(
  x: ArrayLike<number>,
  gate: Dense,
  up: Dense,
  down: Dense,
  round: (inner: number[]) => number[],
): number[] {
  const ups = product(x, up)
  const inner = product(x, gate).map((z, i) => (z / (1 + Math.exp(-z))) * ups[i])
  return product(round(inner), down)
}

/** Groups of 32 as int8 with a scale of their largest value / 127. */
export function int8Groups(x: number[]): number[] {
  return x.map((value, i) => {
    const group = x.slice(i - (i % 32), i - (i % 32) + 32)
    const scale = Math.max(...group.map(Math.abs)) / 127
    return scale === 0 ? 0 : Math.round(value / scale) * scale
  })
}
