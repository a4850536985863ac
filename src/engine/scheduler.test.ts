import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { allOf, hashed, hashing, limit, promptOf, scripted } from "../../test/scripted-model.ts"

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe("several at once", () => {
  test("share the steps: decode rows beside chunks of prefill", async () => {
    const { model, generate } = scripted(hashing, { chunkTokens: 8 })
    const short = allOf(generate(promptOf(2), limit(6)))
    const long = allOf(generate(promptOf(20, 2), limit(2)))
    expect(await short).toEqual(hashed(promptOf(2), 6))
    expect(await long).toEqual(hashed(promptOf(20, 2), 2))
    expect(model.steps).toEqual(["2+6", "1+7", "1+7", "1+1", "1", "1"])
  })

  test("prefill in equal shares, and what one leaves goes to the others", async () => {
    const { model, generate } = scripted(hashing, { chunkTokens: 30 })
    await Promise.all([60, 4, 60].map((length, seed) => allOf(generate(promptOf(length, seed), limit(1)))))
    expect(model.steps[0]).toBe("13+4+13")
  })

  test("are not kept waiting by a long prompt on a slow machine", async () => {
    const { model, generate } = scripted(hashing, { chunkTokens: 256 })
    const rowsOf = (step = "") => step.split("+").map(Number)
    model.during = async () => {
      const rows = rowsOf(model.steps.at(-1)).reduce((sum, count) => sum + count)
      await new Promise((resolve) => setTimeout(resolve, 20 * rows))
    }
    const reply = allOf(generate([1], limit(12)))
    while (model.steps.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    await Promise.all([reply, allOf(generate(promptOf(90), limit(1)))])
    const chunks = model.steps.filter((step) => step.includes("+")).map((step) => rowsOf(step)[1])
    expect(chunks.length).toBeGreaterThan(3)
    // 25 rows take half a second; the first chunk is a guess.
    expect(Math.max(...chunks.slice(1))).toBeLessThan(25)
  })

  test("give the same ids whatever the chunks, the pages and the company", async () => {
    const request = fc.record({
      length: fc.integer({ min: 1, max: 500 }),
      maxTokens: fc.integer({ min: 1, max: 40 }),
      seed: fc.integer({ min: 1, max: 3 }),
      delay: fc.integer({ min: 0, max: 20 }),
      priority: fc.integer({ min: -1, max: 1 }),
      leaveAfter: fc.option(fc.integer({ min: 0, max: 20 }), { freq: 3 }),
    })
    const property = fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 7 }),
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 5, max: 12 }),
      fc.integer({ min: 1, max: 5 }),
      async (requests, chunkTokens, kvPages, maxSequences) => {
        const { engine, generate } = scripted(hashing, {
          maxContext: 640,
          chunkTokens,
          kvPages,
          maxSequences,
        })
        const run = async (request: (typeof requests)[number]) => {
          const { length, maxTokens, seed, delay, priority, leaveAfter } = request
          for (let i = 0; i < delay; i++) await turn()
          const prompt = promptOf(length, seed)
          const expected = hashed(prompt, maxTokens).slice(0, leaveAfter ?? Infinity)
          const ids: number[] = []
          for await (const id of generate(prompt, { ...limit(maxTokens), priority })) {
            if (ids.length === leaveAfter) break
            ids.push(id)
          }
          expect(ids).toEqual(expected)
        }
        await Promise.all(requests.map(run))
        await engine.free()
        expect(engine.load).toEqual({ running: 0, waiting: 0, usedPages: 0, pages: kvPages })
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })

  test("are set back when pages run out, the last one first, and still come to the same end", async () => {
    const { model, engine, generate } = scripted(hashing, { maxContext: 384, kvPages: 4, chunkTokens: 200 })
    const ended: string[] = []
    const reply = async (name: string, seed: number, maxTokens: number) => {
      const generation = generate(promptOf(120, seed), limit(maxTokens))
      expect(await allOf(generation)).toEqual(hashed(promptOf(120, seed), maxTokens))
      ended.push(name)
      return generation.usage.cachedTokens
    }
    const cached = await Promise.all([reply("a", 1, 200), reply("b", 1, 220), reply("c", 2, 5)])
    // b was computed again, prompt and reply so far, once a had left; c, which came later, had to wait for it.
    expect(ended).toEqual(["a", "b", "c"])
    expect(cached).toEqual([0, 0, 0])
    expect(model.steps.length).toBeGreaterThan(220)
    expect(engine.load.usedPages).toBe(0)
  })

  test("wait for their turn beyond maxSequences", async () => {
    const { model, generate } = scripted(hashing, { maxSequences: 2 })
    await Promise.all([1, 2, 3].map((seed) => allOf(generate(promptOf(4, seed), limit(3)))))
    expect(model.steps.every((step) => step.split("+").length <= 2)).toBe(true)
  })
})

describe("several that begin alike", () => {
  const numRows = (steps: readonly string[]) =>
    steps.flatMap((step) => step.split("+").map(Number)).reduce((sum, count) => sum + count, 0)

  test("compute the beginning once, also when they come at once", async () => {
    const { model, generate } = scripted(hashing, { chunkTokens: 100 })
    const replies = [1, 2, 3].map(() => generate(promptOf(300), limit(5)))
    const ids = await Promise.all(replies.map(allOf))
    expect(ids).toEqual(Array.from({ length: 3 }, () => hashed(promptOf(300), 5)))
    expect(replies.map(({ usage }) => usage.cachedTokens)).toEqual([0, 256, 256])
    // Two whole pages once; the rest, and the reply, by each.
    expect(numRows(model.steps)).toBe(256 + 3 * (44 + 4))
  })

  test("go on from one that ended while they waited for it", async () => {
    const { model, generate } = scripted(hashing, { chunkTokens: 100 })
    const ids = await Promise.all([1, 2].map(() => allOf(generate(promptOf(300), limit(1)))))
    expect(ids).toEqual(Array.from({ length: 2 }, () => hashed(promptOf(300), 1)))
    expect(numRows(model.steps)).toBe(300 + 1)
  })

  test("go on from what a running one has of its prompt, and leave it as it was", async () => {
    const { model, generate } = scripted(hashing, { chunkTokens: 256 })
    const running = generate(promptOf(260), limit(60))
    await running.next()
    const prompt = [...promptOf(200), ...promptOf(100, 2)]
    const later = generate(prompt, limit(20))
    expect(await allOf(later)).toEqual(hashed(prompt, 20))
    expect(later.usage.cachedTokens).toBe(200)
    expect(await allOf(running)).toEqual(hashed(promptOf(260), 60).slice(1))
    expect(numRows(model.steps)).toBe(260 + 59 + 100 + 19)
  })

  test("still find it after many have gone on from it in their own ways", async () => {
    const { generate } = scripted(hashing, { kvPages: 40 })
    const cached: number[] = []
    for (let seed = 2; seed < 8; seed++) {
      const prompt = [...promptOf(300), ...promptOf(50, seed)]
      const generation = generate(prompt, limit(3))
      expect(await allOf(generation)).toEqual(hashed(prompt, 3))
      cached.push(generation.usage.cachedTokens)
    }
    expect(cached[0]).toBe(0)
    expect(Math.min(...cached.slice(1))).toBeGreaterThanOrEqual(300)
  })

  test("have the page in which they part to themselves where there is no room for a copy", async () => {
    const { engine, generate } = scripted(hashing, { maxContext: 256, kvPages: 2 })
    await allOf(generate(promptOf(200), limit(5)))
    const prompt = [...promptOf(150), ...promptOf(30, 2)]
    const generation = generate(prompt, limit(5))
    expect(await allOf(generation)).toEqual(hashed(prompt, 5))
    expect(generation.usage.cachedTokens).toBe(150)
    await engine.free()
    expect(engine.load.usedPages).toBe(0)
  })

  test("do not wait for one whose prompt ends before", async () => {
    const { generate } = scripted(hashing, { chunkTokens: 20 })
    const replies = [130, 300].map((length) => allOf(generate(promptOf(length), limit(2))))
    expect(await Promise.all(replies)).toEqual([hashed(promptOf(130), 2), hashed(promptOf(300), 2)])
  })
})

describe("priorities", () => {
  test("let the most urgent in first, and equals in order of arrival", async () => {
    const { generate } = scripted(hashing, { maxSequences: 1 })
    const ended: string[] = []
    const reply = async (name: string, priority?: number) => {
      const seed = name.charCodeAt(0)
      expect(await allOf(generate(promptOf(9, seed), { ...limit(2), priority }))).toEqual(
        hashed(promptOf(9, seed), 2),
      )
      ended.push(name)
    }
    await Promise.all([
      reply("a", -1),
      reply("b", 5),
      reply("c"),
      reply("d", 5),
      reply("e", 0),
      reply("f", 1),
    ])
    expect(ended).toEqual(["a", "c", "e", "f", "b", "d"])
  })

  test("set back who is less urgent, who goes on from where it was", async () => {
    const { model, generate } = scripted(hashing, { maxSequences: 1 })
    const patient = generate(promptOf(200), { ...limit(20), priority: 1 })
    for (let i = 0; i < 5; i++) await patient.next()
    const urgent = allOf(generate(promptOf(30, 2), limit(4)))
    expect(await urgent).toEqual(hashed(promptOf(30, 2), 4))
    expect(await allOf(patient)).toEqual(hashed(promptOf(200), 20).slice(5))
    expect(model.steps.filter((step) => Number(step) > 1)).toEqual(["64", "64", "64", "8", "30"])
  })

  test("have the rows of prompts in their order", async () => {
    const { model, generate } = scripted(hashing, { chunkTokens: 30 })
    const replies = [2, 1, 1].map((priority, seed) =>
      allOf(generate(promptOf(25, seed), { ...limit(1), priority })),
    )
    await Promise.all(replies)
    expect(model.steps).toEqual(["15+15", "10+10+10", "15"])
  })

  test.each([0.5, NaN, Infinity])("of %d are refused", (priority) => {
    const { generate } = scripted(hashing)
    expect(() => generate([1], { priority })).toThrow(/priority is .*: wanted a whole number/)
  })
})

describe("a prompt that begins like an ended sequence", () => {
  test("computes only what is new", async () => {
    const { model, generate } = scripted(hashing)
    const first = promptOf(50)
    const reply = await allOf(generate(first, limit(10)))
    const second = [...first, ...reply, 5, 6, 7]
    const generation = generate(second, limit(3))
    expect(await allOf(generation)).toEqual(hashed(second, 3))
    // The reply's last id was sampled and never fed.
    expect(generation.usage.cachedTokens).toBe(59)
    expect(model.steps.slice(-3)).toEqual(["4", "1", "1"])
  })

  test("is cut where the two part, also inside a page", async () => {
    const { generate } = scripted(hashing)
    await allOf(generate(promptOf(300), limit(5)))
    const other = [...promptOf(200), 88, 88, 88]
    const generation = generate(other, limit(5))
    expect(await allOf(generation)).toEqual(hashed(other, 5))
    expect(generation.usage.cachedTokens).toBe(200)
  })

  test("always computes its last token, for the logits", async () => {
    const { generate } = scripted(hashing)
    await allOf(generate(promptOf(40), limit(5)))
    const again = generate(promptOf(40), limit(5))
    expect(await allOf(again)).toEqual(hashed(promptOf(40), 5))
    expect(again.usage.cachedTokens).toBe(39)
  })

  test("finds what a cancelled sequence had computed", async () => {
    const { generate } = scripted(hashing)
    for await (const _ of generate(promptOf(100))) break
    const generation = generate(promptOf(100), limit(2))
    await allOf(generation)
    expect(generation.usage.cachedTokens).toBe(99)
  })

  test("finds nothing once the pages were needed", async () => {
    const { generate } = scripted(hashing, { maxContext: 512, kvPages: 4 })
    await allOf(generate(promptOf(100), limit(5)))
    expect(await allOf(generate(promptOf(500, 2), limit(5)))).toEqual(hashed(promptOf(500, 2), 5))
    const generation = generate(promptOf(100), limit(5))
    expect(await allOf(generation)).toEqual(hashed(promptOf(100), 5))
    expect(generation.usage.cachedTokens).toBeLessThan(2)
  })
})
