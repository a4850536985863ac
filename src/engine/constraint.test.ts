import { expect, test } from "vitest"
import { allOf, greedy, promptOf, scripted } from "../../test/scripted-model.ts"
import { applyMask } from "./constraint.ts"
import type { Constraint } from "./constraint.ts"

/** Ids that add up to an even number with the one before; 0 ends it. */
function even(): Constraint & { seen: number[] } {
  const seen: number[] = []
  return {
    seen,
    mask: async () => new Int32Array(4).fill((seen.at(-1) ?? 0) % 2 === 0 ? 0x55555555 : ~0x55555555),
    accept: (id) => void seen.push(id),
  }
}

/** Would say 7, else 8. */
const liking = () => Float32Array.from({ length: 100 }, (_, id) => (id === 7 ? 9 : id === 8 ? 8 : 0))

test("a mask puts forbidden ids out of reach and leaves the others as they are", () => {
  const logits = Float32Array.from({ length: 70 }, (_, id) => id)
  const mask = Int32Array.of(-1, 0, 0b100010)
  applyMask(logits, mask)
  const reachable = [...logits.entries()].filter(([, logit]) => logit > -1e30)
  expect(reachable).toEqual([...Array.from({ length: 32 }, (_, id) => [id, id]), [65, 65], [69, 69]])
})

test("a constrained sequence has allowed ids only, one beside it is not touched", async () => {
  const constraint = even()
  const { generate } = scripted(liking)
  const sampling = { ...greedy, maxTokens: 5 }
  const [free, bound] = await Promise.all([
    allOf(generate(promptOf(3), { sampling })),
    allOf(generate(promptOf(3), { sampling, constraint: { constraint } })),
  ])
  expect(free).toEqual([7, 7, 7, 7, 7])
  expect(bound).toEqual([8, 8, 8, 8, 8])
  expect(constraint.seen).toEqual(bound)
})

test("it begins behind the thought, whose forced end it is not told", async () => {
  const constraint = even()
  const thinking = {
    starts: "inside",
    openId: 60,
    closeId: 61,
    budget: 2,
    stopIds: Int32Array.of(5, 61, 3),
  } as const
  const { generate } = scripted(liking)
  const sampling = { ...greedy, maxTokens: 8 }
  const ids = await allOf(generate(promptOf(3), { sampling, thinking, constraint: { constraint } }))
  expect(ids.slice(0, 5)).toEqual([7, 7, 5, 61, 3])
  expect(constraint.seen).toEqual(ids.slice(5))
  expect(constraint.seen.every((id) => id % 2 === 0)).toBe(true)
})

test("nothing is forbidden before the id that it begins behind", async () => {
  const constraint = even()
  const { generate } = scripted((context) => (context.length === 6 ? 50 : liking()))
  const sampling = { ...greedy, maxTokens: 7 }
  const free = await allOf(generate(promptOf(3), { sampling, constraint: { constraint, startId: 51 } }))
  expect([free, constraint.seen]).toEqual([[7, 7, 7, 50, 7, 7, 7], []])
  const bound = await allOf(generate(promptOf(3), { sampling, constraint: { constraint, startId: 50 } }))
  expect([bound, constraint.seen]).toEqual([
    [7, 7, 7, 50, 8, 8, 8],
    [8, 8, 8],
  ])
})

test("inside of a thought it does not begin, and a reply may end there", async () => {
  const constraint = even()
  const thinking = {
    starts: "inside",
    openId: 60,
    closeId: 61,
    budget: 9,
    stopIds: Int32Array.of(61),
  } as const
  const { generate } = scripted((context) => [50, 7, 0][context.length - 3])
  const bound = { constraint, startId: 50 }
  expect(await allOf(generate(promptOf(3), { thinking, constraint: bound }))).toEqual([50, 7])
  expect(constraint.seen).toEqual([])
})

test("a mask that takes long does not hold up the others, and the reply comes out the same", async () => {
  let resolve = () => {}
  const compiled = new Promise<void>((done) => (resolve = done))
  const constraint = even()
  const slow = { ...constraint, mask: () => compiled.then(() => constraint.mask()) }
  const { model, engine, generate } = scripted(liking)
  const sampling = { ...greedy, maxTokens: 5 }
  const bound = allOf(generate(promptOf(100), { sampling, constraint: { constraint: slow } }))
  const free = await allOf(generate(promptOf(3), { sampling }))
  expect([free, constraint.seen]).toEqual([[7, 7, 7, 7, 7], []])
  // All but the last token of its prompt is computed once.
  const rows = model.steps.flatMap((step) => step.split("+").map(Number)).filter((count) => count > 1)
  expect(rows.reduce((sum, count) => sum + count, 0)).toBe(103)
  resolve()
  expect(await bound).toEqual([8, 8, 8, 8, 8])
  expect(engine.status.tokens.prefilled).toBe(103)
})

test("a sequence that waits for its mask alone can be cancelled", async () => {
  const never = { mask: () => new Promise<Int32Array>(() => undefined), accept: () => undefined }
  const { engine, generate } = scripted(liking)
  const abort = new AbortController()
  const reply = allOf(generate(promptOf(3), { constraint: { constraint: never }, signal: abort.signal }))
  setTimeout(() => abort.abort(), 50)
  await expect(reply).rejects.toMatchObject({ code: "cancelled" })
  expect(engine.load).toMatchObject({ running: 0, usedPages: 0 })
})

test("a constraint that fails ends its own sequence only", async () => {
  const failing: Constraint = { mask: () => Promise.reject(new Error("no way on")), accept: () => undefined }
  const { generate } = scripted(() => 7)
  const sampling = { ...greedy, maxTokens: 3 }
  const bound = allOf(generate(promptOf(3), { sampling, constraint: { constraint: failing } }))
  const free = allOf(generate(promptOf(3), { sampling }))
  await expect(bound).rejects.toThrow("no way on")
  expect(await free).toEqual([7, 7, 7])
})
