import { expect, test } from "vitest"
import { ExamplePool, Traces, drawProblems } from "./dataset.ts"
import type { Drawn, EncodeTrace } from "./dataset.ts"
import type { Mix } from "./recipe.ts"
import { problems } from "./world/world.ts"

const mix: Mix = { tasks: {}, thinking: 0.5, languages: ["en", "zh"] }

/** Characters as ids: what is under test is which problems come when. */
const encode: EncodeTrace = (problem, mode, promptWeight) => {
  const text = JSON.stringify([problem.messages, problem.trace(mode)])
  const ids = Int32Array.from(text, (letter) => letter.charCodeAt(0))
  return [{ ids, weights: new Float32Array(ids.length).fill(promptWeight) }]
}

function traces(seed: number, changes: Partial<Mix> = {}): Traces {
  return new Traces({ problems, encode, mix: { ...mix, ...changes }, promptWeight: 0.5, seed })
}

test("a batch is the same whatever was drawn before, and every batch another", () => {
  const all = traces(7)
  const [first, second] = [all.batch(0, 4000, 4000), all.batch(1, 4000, 4000)]
  expect(traces(7).batch(1, 4000, 4000)).toEqual(second)
  expect(first.ids).not.toEqual(second.ids)
  expect(traces(8).batch(1, 4000, 4000).ids).not.toEqual(second.ids)
  expect(first.ids).toHaveLength(4000)
})

test("the curriculum leaves longer examples out", () => {
  const { starts } = traces(1).batch(0, 20_000, 700)
  const lengths = [...starts.slice(1)].map((end, i) => end - starts[i])
  expect(Math.max(...lengths)).toBeLessThan(700)
})

test("a curriculum that leaves nothing over is refused", () => {
  expect(() => traces(1).batch(0, 100, 3)).toThrow(/longer than 3 tokens: raise maxTokens of the curriculum/)
})

test("tasks, modes and languages come as the mix says", () => {
  const tasks = { recall: 3, sharing: 1 }
  const drawn: Drawn[] = []
  for (const one of drawProblems(problems, { tasks, thinking: 0.8, languages: ["zh"] }, "train", 3)) {
    drawn.push(one)
    if (drawn.length === 800) break
  }
  const share = (matches: (one: (typeof drawn)[number]) => boolean) =>
    drawn.filter(matches).length / drawn.length
  expect(share(({ problem }) => problem.task === "recall")).toBeCloseTo(0.75, 1)
  expect(share(({ problem }) => problem.task === "sharing")).toBeCloseTo(0.25, 1)
  expect(share(({ mode }) => mode === "thinking")).toBeCloseTo(0.8, 1)
  expect(share(({ problem }) => problem.language === "zh")).toBe(1)
})

test("a pool leaves out what teaches nothing within its rows", () => {
  const readFirst = (id: number, read: number) => ({
    ids: new Int32Array(40).fill(id),
    weights: Float32Array.from({ length: 40 }, (_, i) => (i < read ? 0 : 1)),
  })
  const pool = new ExamplePool([readFirst(1, 17), readFirst(2, 16)], 16, 5)
  for (let step = 0; step < 8; step++) expect([...pool.batch(step).ids]).toEqual(Array(16).fill(2))
  expect(() => new ExamplePool([readFirst(1, 17)], 16, 5)).toThrow(/no sample .* within 16 tokens/)
})

test("a pool draws all of its examples, the same ones for the same step", () => {
  const examples = [1, 2, 3].map((id) => ({
    ids: new Int32Array(5).fill(id),
    weights: new Float32Array(5).fill(1),
  }))
  const pool = new ExamplePool(examples, 64, 5)
  const batch = pool.batch(4)
  expect(batch.ids).toHaveLength(64)
  expect(new Set(batch.ids)).toEqual(new Set([1, 2, 3]))
  expect(pool.batch(4)).toEqual(batch)
  expect(pool.batch(5).ids).not.toEqual(batch.ids)
})
