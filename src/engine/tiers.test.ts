import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { allOf, greedy, hashed, hashing, promptOf, scripted } from "../../test/scripted-model.ts"
import { kvPageBytes } from "../backend/backend.ts"
import type { KvTier } from "../backend/backend.ts"
import { Tiers } from "./tiers.ts"
import type { KvPolicy } from "./tiers.ts"

const policy: KvPolicy = { tier: 1, floor: 3, budgetBytes: Infinity, window: 128 }
const pageBytes = [1000, 500, 300, 200]

function tiersOf(more: Partial<KvPolicy> = {}) {
  const trims: string[] = []
  const trim = (page: number, keep: unknown) => void trims.push(`${page}: ${String(keep)}`)
  return { tiers: new Tiers({ ...policy, ...more, count: 20, pageBytes, trim }), trims }
}

test("a page takes 16-bit bytes until no window touches it, then those of its tier", () => {
  const { tiers, trims } = tiersOf()
  tiers.begin(3, "plain")
  expect(tiers.bytes).toBe(1000)
  tiers.trim(3)
  expect(tiers.bytes).toBe(500)
  tiers.end(3)
  expect(tiers.bytes).toBe(0)
  expect(trims).toEqual(["3: 1", "3: nothing"])
})

test("a pinned page stays in 16 bits, and so do all where the policy says so", () => {
  const { tiers, trims } = tiersOf()
  tiers.begin(0, "pinned")
  tiers.trim(0)
  expect(tiers.demote()).toBe(false)
  expect([tiers.bytes, tiers.of(0)]).toEqual([1000, 0])
  const plain = tiersOf({ tier: 0, floor: 0 })
  plain.tiers.begin(0, "plain")
  plain.tiers.trim(0)
  plain.tiers.end(0)
  expect([...trims, ...plain.trims]).toEqual([])
})

test("the oldest quarter is demoted first, one tier at a time, down to the floor", () => {
  const { tiers, trims } = tiersOf({ floor: 2 })
  for (const page of [5, 1, 4, 2, 3]) tiers.begin(page, "plain")
  for (const page of [1, 2, 3, 4, 5]) tiers.trim(page)
  trims.length = 0
  expect(tiers.demote()).toBe(true)
  expect(trims).toEqual(["5: 2", "1: 2"])
  expect(tiers.bytes).toBe(2 * 300 + 3 * 500)
  for (let i = 0; i < 3; i++) expect(tiers.demote()).toBe(true)
  expect(tiers.demote()).toBe(false)
  expect(trims.slice(2)).toEqual(["4: 2", "2: 2", "3: 2"])
  expect(tiers.usage(Int32Array.of(1, 2, 3))).toEqual({
    tiers: { T0: 0, T1: 0, T2: 3, T3: 0 },
    bytes: 900,
    savedBytes: 2100,
  })
})

test("bytes are always the sum over what pages hold", () => {
  const action = fc.record({ do: fc.constantFrom("begin", "leave", "end", "demote"), page: fc.nat(19) })
  const property = fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
    const { tiers } = tiersOf()
    const held = new Map<number, "exact" | "codes">()
    for (const { do: what, page } of actions) {
      if (what === "begin" && !held.has(page)) {
        tiers.begin(page, page === 0 ? "pinned" : "plain")
        held.set(page, "exact")
      } else if (what === "leave" && held.get(page) === "exact") {
        tiers.trim(page)
        if (page !== 0) held.set(page, "codes")
      } else if (what === "end" && held.delete(page)) tiers.end(page)
      else if (what === "demote") tiers.demote()
      const bytes = [...held].map(([p, form]) => pageBytes[form === "exact" ? 0 : tiers.of(p)])
      expect(tiers.bytes).toBe(bytes.reduce((a, b) => a + b, 0))
      const { bytes: all, tiers: counts } = tiers.usage()
      expect([all, counts.T0 + counts.T1 + counts.T2 + counts.T3]).toEqual([tiers.bytes, held.size])
    }
  })
  fc.assert(property, { numRuns: 100 })
})

describe("an engine whose pages are compressed", () => {
  const options = { maxContext: 2048, kvPages: 16 }
  const exact = kvPageBytes(0, 1)

  test("trims what windows leave behind, and says how the pages were kept", async () => {
    const { model, generate } = scripted(hashing, { ...options, kv: policy })
    const prompt = promptOf(700)
    const generation = generate(prompt, { sampling: { ...greedy, maxTokens: 20 } })
    expect(await allOf(generation)).toEqual(hashed(prompt, 20))
    // Page 0 stays, and from page 3 on what a next turn that goes on from the prompt's end would have in its window.
    expect(model.trims).toEqual(["1: 1", "2: 1"])
    expect(generation.usage.kv?.tiers).toEqual({ T0: 4, T1: 2, T2: 0, T3: 0 })
  })

  test("says nothing of tiers where all is in 16 bits", async () => {
    const { model, generate } = scripted(hashing, options)
    const generation = generate(promptOf(700), { sampling: { ...greedy, maxTokens: 2 } })
    await allOf(generation)
    expect(generation.usage.kv).toBeUndefined()
    expect(model.trims).toEqual([])
  })

  test("keeps to its budget by demoting, then by setting sequences back, and all come to an end", async () => {
    const bytes = ([0, 1, 2, 3] as KvTier[]).map((tier) => kvPageBytes(tier, 1))
    const kv = { ...policy, budgetBytes: 9 * exact + 14 * bytes[3] }
    const { model, generate } = scripted(hashing, { ...options, kvPages: 40, kv })
    const prompts = [promptOf(1500), promptOf(400, 2), promptOf(900, 3)]
    const replies = prompts.map((prompt) => generate(prompt, { sampling: { ...greedy, maxTokens: 30 } }))
    const got = await Promise.all(replies.map(allOf))
    expect(got).toEqual(prompts.map((prompt) => hashed(prompt, 30)))
    expect(model.trims.some((trim) => trim.endsWith(": 3"))).toBe(true)
  })

  test("goes on from a kept prefix only where its window is still in 16 bits", async () => {
    const { generate } = scripted(hashing, { ...options, kv: policy })
    const prompt = promptOf(1000)
    const limit = { sampling: { ...greedy, maxTokens: 5 } }
    const first = await allOf(generate(prompt, limit))
    const next = generate([...prompt, ...first], limit)
    await allOf(next)
    expect(next.usage.cachedTokens).toBe(1004)
    const branch = generate([...prompt.slice(0, 600), 7, 8], limit)
    await allOf(branch)
    expect(branch.usage.cachedTokens).toBe(128)
  })

  test("goes on from the end of a prompt whose long reply is left out", async () => {
    const { generate } = scripted(hashing, { ...options, kv: policy })
    const prompt = promptOf(1000)
    await allOf(generate(prompt, { sampling: { ...greedy, maxTokens: 600 } }))
    const next = [...prompt.slice(0, 998), 7, 8, 9]
    const generation = generate(next, { sampling: { ...greedy, maxTokens: 300 } })
    expect(await allOf(generation)).toEqual(hashed(next, 300))
    expect(generation.usage.cachedTokens).toBe(998)
  })

  test.each([
    [500, 700],
    [900, 900],
  ])("lets generated tokens choose from position %i on, and no prompt's", async (selectiveFrom, from) => {
    const { model, generate } = scripted(hashing, { ...options, kv: { ...policy, selectiveFrom } })
    const begins = new Set<number | undefined>()
    const forward = model.forward.bind(model)
    model.forward = (batch) => {
      for (const sequence of batch.sequences) begins.add(sequence.selectiveFrom)
      return forward(batch)
    }
    await allOf(generate(promptOf(700), { sampling: { ...greedy, maxTokens: 5 } }))
    expect([...begins]).toEqual([from])
  })

  test("leaves pinned tokens in 16 bits", async () => {
    const { model, generate } = scripted(hashing, { ...options, kv: policy })
    await allOf(generate(promptOf(1000), { sampling: { ...greedy, maxTokens: 2 }, pinnedTokens: 300 }))
    expect(model.trims.map((trim) => Number.parseInt(trim))).toEqual([3, 4])
  })
})
