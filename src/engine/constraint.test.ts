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

test("a constraint that fails ends its own sequence only", async () => {
  const failing: Constraint = { mask: () => Promise.reject(new Error("no way on")), accept: () => undefined }
  const { generate } = scripted(() => 7)
  const sampling = { ...greedy, maxTokens: 3 }
  const bound = allOf(generate(promptOf(3), { sampling, constraint: { constraint: failing } }))
  const free = allOf(generate(promptOf(3), { sampling }))
  await expect(bound).rejects.toThrow("no way on")
  expect(await free).toEqual([7, 7, 7])
})
