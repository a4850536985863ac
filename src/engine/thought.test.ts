import { describe, expect, test } from "vitest"
import { allOf, greedy, scripted } from "../../test/scripted-model.ts"
import type { Script } from "../../test/scripted-model.ts"
import { LoopDetector } from "./loop.ts"
import type { ThinkingLimit } from "./thought.ts"

const open = 80
const close = 81
const stopIds = Int32Array.of(70, 71, close, 72)
const thinking = (more: Partial<ThinkingLimit> = {}): ThinkingLimit => ({
  starts: "inside",
  openId: open,
  closeId: close,
  budget: 10,
  stopIds,
  ...more,
})

/** Replies to the prompt [1]; thinks in ids that never repeat a block, until it sees its thought closed. */
function reply(script: Script, limit: ThinkingLimit, maxTokens = 3000) {
  const { generate } = scripted(script, { maxContext: 8192, kvPages: 64 })
  const sampling = { ...greedy, maxTokens }
  return generate([1], { sampling, thinking: limit })
}

const musing: Script = (context) => 1 + ((context.length * context.length + (context.length >> 3)) % 60)
const answering =
  (thought: Script): Script =>
  (context) => {
    const closed = context.lastIndexOf(close)
    const said = closed < 0 ? 0 : context.length - closed
    return closed < 0 ? thought(context) : said < 4 ? 60 + said : 0
  }

describe("a thinking budget", () => {
  test("ends the thought after so many ids with the stop ids, and the answer follows", async () => {
    const generation = reply(answering(musing), thinking())
    const ids = await allOf(generation)
    expect(ids.slice(10)).toEqual([70, 71, close, 72, 62, 63])
    expect(generation.thought).toBe("budget")
    // The stop text belongs to the thought up to the closing id.
    expect(generation.usage.reasoningTokens).toBe(12)
    expect(generation.finishReason).toBe("stop")
  })

  test("of 0 leaves no thought", async () => {
    expect((await allOf(reply(answering(musing), thinking({ budget: 0 })))).slice(0, 4)).toEqual([...stopIds])
  })

  test("does nothing to a thought that ends in time", async () => {
    const brief: Script = (context) => (context.length < 8 ? 5 : close)
    const generation = reply(answering(brief), thinking())
    expect(await allOf(generation)).toEqual([5, 5, 5, 5, 5, 5, 5, close, 61, 62, 63])
    expect(generation.thought).toBe("closed")
    expect(generation.usage.reasoningTokens).toBe(7)
  })

  test("counts from the opening id where the thought begins in the reply", async () => {
    const opening: Script = (context) =>
      context.length < 3 ? 50 : context.length === 3 ? open : musing(context)
    const ids = await allOf(reply(answering(opening), thinking({ starts: "outside" })))
    expect(ids.slice(0, 3)).toEqual([50, 50, open])
    expect(ids.slice(13, 17)).toEqual([...stopIds])
  })

  test("does not touch a reply that never thinks", async () => {
    const generation = reply(musing, thinking({ starts: "outside" }), 50)
    expect(await allOf(generation)).toHaveLength(50)
    expect(generation.thought).toBe("none")
    expect(generation.usage.reasoningTokens).toBe(0)
  })

  test("never writes beyond maxTokens", async () => {
    const generation = reply(answering(musing), thinking(), 12)
    expect((await allOf(generation)).slice(10)).toEqual([70, 71])
    expect(generation.finishReason).toBe("length")
  })

  test("is infinite where none is given", async () => {
    const generation = reply(answering(musing), thinking({ budget: Infinity }), 400)
    expect(await allOf(generation)).toHaveLength(400)
    expect(generation.thought).toBe("open")
  })
})

describe("a thought that goes round in circles", () => {
  test.each([
    [1, 512],
    [2, 512],
    [7, 512],
    [128, 512],
    [129, 516],
    [300, 1200],
    [512, 2048],
  ])("of period %d is ended after %d ids", async (period, numTokens) => {
    const circling: Script = (context) => {
      const i = (context.length - 1) % period
      return 1 + ((i * i + 7 * (i >> 5)) % 60)
    }
    const generation = reply(answering(circling), thinking({ budget: Infinity }))
    const ids = await allOf(generation)
    expect(ids.indexOf(70)).toBe(numTokens)
    expect(generation.thought).toBe("loop")
    expect(generation.finishReason).toBe("stop")
  })

  test("is looked for in each thought by itself", async () => {
    // Thinks 300 times 5 twice, with an answer between: neither is long enough to be a loop.
    const twice: Script = (context) => {
      const at = context.length - 1
      if (at === 300 || at === 604) return close
      if (at === 303) return open
      return at === 606 ? 0 : 5
    }
    const generation = reply(twice, thinking({ budget: Infinity }))
    expect(await allOf(generation)).toHaveLength(606)
    expect(generation.thought).toBe("closed")
    expect(generation.usage.reasoningTokens).toBe(600)
  })

  test("is found after any beginning", async () => {
    const circling: Script = (context) => (context.length < 700 ? musing(context) : 1 + (context.length % 40))
    const ids = await allOf(reply(answering(circling), thinking({ budget: Infinity })))
    expect(ids.indexOf(70)).toBeGreaterThan(1100)
    expect(ids.indexOf(70)).toBeLessThan(1300)
  })
})

describe("the loop detector", () => {
  const found = (ids: number[]) => {
    const detector = new LoopDetector()
    const tokens = Int32Array.from(ids)
    ids.forEach((_, at) => detector.observe(tokens, at, 0))
    return detector.found
  }
  const repeated = (block: number[], times: number) => Array.from({ length: times }, () => block).flat()
  const block = (length: number, seed = 1) => Array.from({ length }, (_, i) => (i * i * seed + i) % 997)

  test("lets a block stand three times", () => {
    expect(found(repeated(block(300), 3))).toBe(false)
    expect(found(repeated(block(300), 4))).toBe(true)
  })

  test("lets a table of zeros be", () => {
    expect(found(repeated([0, 1], 200))).toBe(false)
  })

  test("is not misled by a block with one changing id", () => {
    const ids = Array.from({ length: 30 }, (_, i) => [...block(40), 1000 + i]).flat()
    expect(found(ids)).toBe(false)
  })

  test("takes a few microseconds per id", () => {
    const detector = new LoopDetector()
    const tokens = Int32Array.from(block(20_000, 3))
    let fastest = Infinity
    for (let at = 0; at < tokens.length;) {
      const start = performance.now()
      for (const end = at + 1000; at < end; at++) detector.observe(tokens, at, 0)
      fastest = Math.min(fastest, performance.now() - start)
    }
    expect(fastest).toBeLessThan(10) // ms for 1000 ids
  })
})
