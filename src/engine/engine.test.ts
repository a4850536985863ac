import { describe, expect, onTestFinished, test, vi } from "vitest"
import { allOf, greedy, hashed, hashing, limit, promptOf, scripted } from "../../test/scripted-model.ts"
import type { Script } from "../../test/scripted-model.ts"
import { UserError } from "../util/errors.ts"
import { plainSampling } from "./sampling.ts"
import { Scheduler } from "./scheduler.ts"

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Counts up from the last id. */
const counting = (context: Int32Array) => context[context.length - 1] + 1
/** Replies with these ids after the prompt, whatever it is. */
const saying =
  (numPrompt: number, ...ids: number[]) =>
  (context: Int32Array) =>
    ids[context.length - numPrompt]

describe("a reply", () => {
  test("ends before the stop id, which is told apart", async () => {
    const { generate } = scripted(saying(3, 7, 8, 0))
    const generation = generate([1, 2, 3])
    expect(await allOf(generation)).toEqual([7, 8])
    expect(generation.finishReason).toBe("stop")
    expect(generation.stopId).toBe(0)
    expect(generation.usage).toMatchObject({ promptTokens: 3, cachedTokens: 0, completionTokens: 3 })
  })

  test("ends with reason length after maxTokens", async () => {
    const { generate } = scripted(counting)
    const generation = generate([1], limit(4))
    expect(await allOf(generation)).toEqual([2, 3, 4, 5])
    expect(generation.finishReason).toBe("length")
    expect(generation.stopId).toBeUndefined()
  })

  test("ends with reason length where the context ends", async () => {
    const { generate } = scripted(hashing, { maxContext: 130 })
    const generation = generate(promptOf(120))
    expect(await allOf(generation)).toEqual(hashed(promptOf(120), 10))
    expect(generation.finishReason).toBe("length")
  })

  test("can be asked for several ids at once", async () => {
    const { generate } = scripted(counting)
    const generation = generate([1], limit(2))
    const results = await Promise.all([generation.next(), generation.next(), generation.next()])
    expect(results.map(({ value }) => value)).toEqual([2, 3, undefined])
  })

  test("measures prefill up to the first id and decode from there", async () => {
    const { model, generate } = scripted(counting)
    model.during = () => new Promise((resolve) => setTimeout(resolve, 10))
    const generation = generate([1, 2], limit(3))
    await allOf(generation)
    expect(generation.usage.prefillMs).toBeGreaterThan(8)
    expect(generation.usage.decodeMs).toBeGreaterThan(16)
  })

  test("never has an id beyond the tokenizer's, whatever its logit", async () => {
    const { generate } = scripted(() => Float32Array.from({ length: 100 }, (_, id) => (id >= 90 ? 50 : id)))
    expect(await allOf(generate([1], limit(1)))).toEqual([89])
    const drawn = await allOf(generate([1], { sampling: { ...plainSampling, maxTokens: 200 } }))
    expect(Math.max(...drawn)).toBeLessThan(90)
  })

  test("counts its own ids for the penalties", async () => {
    const { generate } = scripted(() => new Float32Array(100))
    const sampling = { ...greedy, presencePenalty: 1, maxTokens: 5 }
    expect(await allOf(generate([1], { sampling, stopIds: new Set() }))).toEqual([0, 1, 2, 3, 4])
  })

  test("draws from the few largest logits alone where that is all it needs: the same ids", async () => {
    const uneven: Script = (context) =>
      Float32Array.from({ length: 100 }, (_, id) => ((id * 37 + context.length * 11) % 53) / 10)
    const few = { ...plainSampling, topK: 20, topP: 0.9, seed: 3, maxTokens: 40 }
    const { model, generate } = scripted(uneven)
    const ids = await allOf(generate([1], { sampling: few, stopIds: new Set() }))
    expect(new Set(model.reads)).toEqual(new Set(["largest"]))
    // Probabilities need the whole row.
    const whole = allOf(generate([1], { sampling: few, stopIds: new Set(), logprobs: 0 }))
    expect(await whole).toEqual(ids)
    // And beside each other, each takes what it needs.
    const both = [{}, { logprobs: 0 }].map((more) =>
      allOf(generate([1], { sampling: few, stopIds: new Set(), ...more })),
    )
    expect(await Promise.all(both)).toEqual([ids, ids])
    expect(new Set(model.reads)).toEqual(new Set(["largest", "whole"]))
  })

  test("is the same again for the same seed", async () => {
    const { generate } = scripted(() => new Float32Array(100))
    const drawn = (seed: number) =>
      allOf(generate([1], { sampling: { ...plainSampling, seed, maxTokens: 50 } }))
    expect(await drawn(5)).toEqual(await drawn(5))
    expect(await drawn(5)).not.toEqual(await drawn(6))
  })
})

describe("what is refused", () => {
  test("a prompt beyond the context, with both numbers", () => {
    const { generate } = scripted(counting, { maxContext: 262_144, kvPages: 2048 })
    const message = "context is 262,144 tokens; prompt has 301,022: shorten it or raise --context"
    expect(() => generate(promptOf(301_022))).toThrow(new UserError("context-exceeded", message))
  })

  test("a prompt that leaves no room for a reply", () => {
    const { generate } = scripted(counting, { maxContext: 256 })
    expect(() => generate(promptOf(256))).toThrow(/context is 256 tokens; prompt has 256/)
    expect(() => generate(promptOf(255))).not.toThrow()
  })

  test("an empty prompt and ids without an embedding", () => {
    const { generate } = scripted(counting)
    expect(() => generate([])).toThrow(/no tokens/)
    expect(() => generate([1, 100])).toThrow(/token id 100: wanted 0 to 99/)
    expect(() => generate([-1])).toThrow(/token id -1/)
  })

  test.each([
    ["temperature", -1],
    ["temperature", NaN],
    ["topK", 1.5],
    ["topP", 0],
    ["topP", 1.1],
    ["minP", 2],
    ["repetitionPenalty", 0],
    ["presencePenalty", Infinity],
    ["seed", 0.5],
    ["maxTokens", 0],
    ["logitBias", { 90: 1 }],
    ["logitBias", { x: 1 }],
    ["logitBias", { 5: NaN }],
  ])("%s of %j", (name, value) => {
    const { generate } = scripted(counting)
    expect(() => generate([1], { sampling: { ...greedy, [name]: value } })).toThrow(UserError)
    expect(() => generate([1], { sampling: { ...greedy, [name]: value } })).toThrow(name)
  })
})

describe("cancelling", () => {
  test("cuts a step of prefill short and frees the pages", async () => {
    const { model, engine, generate } = scripted(hashing)
    const abort = new AbortController()
    model.during = (signal) =>
      new Promise((resolve) => {
        signal?.addEventListener("abort", () => resolve())
        setTimeout(() => abort.abort("enough"), 20)
      })
    const reply = allOf(generate(promptOf(500), { signal: abort.signal }))
    await expect(reply).rejects.toMatchObject({ code: "cancelled", cause: "enough" })
    expect(engine.load).toMatchObject({ running: 0, waiting: 0, usedPages: 0 })
  })

  test("runs the others' part of that step again", async () => {
    const { model, generate } = scripted(hashing)
    const abort = new AbortController()
    const leaving = allOf(generate(promptOf(30, 2), { signal: abort.signal }))
    const staying = allOf(generate(promptOf(30), limit(8)))
    let steps = 0
    model.during = () => {
      if (++steps === 4) abort.abort()
    }
    await expect(leaving).rejects.toMatchObject({ code: "cancelled" })
    expect(await staying).toEqual(hashed(promptOf(30), 8))
    expect(model.steps.slice(3, 5)).toEqual(["1+1", "1"])
  })

  test("takes a waiting sequence out of the queue at once", async () => {
    const { engine, generate } = scripted(hashing, { maxSequences: 1 })
    const first = allOf(generate(promptOf(10), limit(20)))
    const abort = new AbortController()
    const second = allOf(generate(promptOf(10, 2), { signal: abort.signal }))
    second.catch(() => undefined)
    await turn()
    expect(engine.load).toMatchObject({ running: 1, waiting: 1 })
    abort.abort()
    expect(engine.load).toMatchObject({ running: 1, waiting: 0 })
    await expect(second).rejects.toMatchObject({ code: "cancelled" })
    expect(await first).toHaveLength(20)
  })

  test("before the beginning computes nothing", async () => {
    const { model, generate } = scripted(hashing)
    const generation = generate([1], { signal: AbortSignal.abort() })
    await expect(allOf(generation)).rejects.toMatchObject({ code: "cancelled" })
    expect(model.steps).toEqual([])
  })

  test("happens when the reader leaves, and is over when the loop is left", async () => {
    const { model, engine, generate } = scripted(hashing)
    for await (const _ of generate(promptOf(100))) break
    expect(engine.load).toMatchObject({ running: 0, usedPages: 0 })
    const numSteps = model.steps.length
    expect(numSteps).toBeLessThan(5)
    await turn()
    expect(model.steps.length).toBe(numSteps)
  })

  test("by return while an id is awaited ends both", async () => {
    const { engine, generate } = scripted(hashing)
    const generation = generate(promptOf(100))
    const awaited = generation.next()
    await turn()
    expect(await generation.return()).toEqual({ value: undefined, done: true })
    expect(await awaited).toEqual({ value: undefined, done: true })
    expect(engine.load).toMatchObject({ running: 0, usedPages: 0 })
  })

  test("leaves no listener on the caller's signal", async () => {
    const { generate } = scripted(hashing)
    const { signal } = new AbortController()
    const listeners = new Set<unknown>()
    signal.addEventListener = (_: string, listener: unknown) => void listeners.add(listener)
    signal.removeEventListener = (_: string, listener: unknown) => void listeners.delete(listener)
    const reply = allOf(generate([1], { signal, ...limit(3) }))
    await turn()
    expect(listeners.size).toBe(1)
    await reply
    expect(listeners.size).toBe(0)
  })
})

describe("an idle engine", () => {
  test("runs no step and holds no timer until there is work", async () => {
    const { model, generate } = scripted(counting)
    await allOf(generate([1], limit(3)))
    const numSteps = model.steps.length
    const timers = () =>
      process.getActiveResourcesInfo().filter((name) => /Timeout|Immediate/.test(name)).length
    const before = timers()
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(model.steps.length).toBe(numSteps)
    expect(timers()).toBeLessThanOrEqual(before)
    expect(await allOf(generate([1], limit(3)))).toEqual([2, 3, 4])
  })
})

describe("failures", () => {
  test("of the backend reject all that run, and the engine goes on", async () => {
    const { model, engine, generate } = scripted(hashing)
    model.during = () => {
      throw new Error("device lost")
    }
    const replies = [1, 2].map((seed) => allOf(generate(promptOf(20, seed), limit(3))))
    for (const reply of replies) await expect(reply).rejects.toThrow("device lost")
    expect(engine.load).toMatchObject({ running: 0, waiting: 0, usedPages: 0 })
    model.during = () => undefined
    const generation = generate(promptOf(20), limit(3))
    expect(await allOf(generation)).toEqual(hashed(promptOf(20), 3))
    expect(generation.usage.cachedTokens).toBe(0)
    expect(engine.health).toBe("suspect")
  })

  test("of its own books end all there is, and it takes no more", async () => {
    const { model, engine, generate } = scripted(hashing, { maxSequences: 1 })
    const books = vi.spyOn(Scheduler.prototype, "schedule")
    onTestFinished(() => books.mockRestore())
    const wrong = () => {
      throw new Error("page 7 freed twice")
    }
    model.during = () => void books.mockImplementation(wrong)
    const replies = [1, 2].map((seed) => allOf(generate(promptOf(20, seed), limit(3))))
    for (const reply of replies) await expect(reply).rejects.toThrow("page 7 freed twice")
    expect(engine.health).toBe("broken")
    books.mockRestore()
    await expect(allOf(generate(promptOf(20), limit(3)))).rejects.toThrow("takes no work")
    await engine.free()
  })

  test("of the backend make it forget what ended sequences had computed", async () => {
    const { model, generate } = scripted(hashing)
    await allOf(generate(promptOf(20), limit(3)))
    model.during = () => {
      throw new Error("device lost")
    }
    await expect(allOf(generate(promptOf(20, 2)))).rejects.toThrow("device lost")
    model.during = () => undefined
    const generation = generate(promptOf(20), limit(3))
    await allOf(generation)
    expect(generation.usage.cachedTokens).toBe(0)
  })

  test("of one sequence's logits reject only that one", async () => {
    let broken = true
    const script = (context: Int32Array) =>
      broken && context[0] === 9 ? new Float32Array(100).fill(NaN) : hashing(context)
    const { generate } = scripted(script)
    const bad = allOf(generate([9, 1], limit(3)))
    const good = allOf(generate(promptOf(20), limit(3)))
    await expect(bad).rejects.toThrow("logit of id 0 is NaN")
    expect(await good).toEqual(hashed(promptOf(20), 3))
    // What it left in the pages is not to be trusted.
    broken = false
    const again = generate([9, 1], limit(3))
    expect(await allOf(again)).toEqual(hashed([9, 1], 3))
    expect(again.usage.cachedTokens).toBe(0)
  })

  test("a freed engine cancels what runs and refuses what comes", async () => {
    const { engine, generate } = scripted(hashing)
    const reply = allOf(generate(promptOf(20)))
    await turn()
    await Promise.all([expect(reply).rejects.toMatchObject({ code: "cancelled" }), engine.free()])
    await expect(allOf(generate([1]))).rejects.toThrow("freed")
  })
})

describe("logits", () => {
  test("come for every position, whatever the chunks", async () => {
    const { engine } = scripted((context) => new Float32Array(100).fill(context.length), { chunkTokens: 50 })
    const ids = promptOf(130)
    const rows = await engine.logits(ids)
    expect(rows.map((row) => row[7])).toEqual(Array.from(ids, (_, i) => i + 1))
  })

  test("come for every position of a prompt that is still in the pages", async () => {
    const { engine, generate } = scripted(hashing)
    await allOf(generate(promptOf(40), limit(3)))
    expect(await engine.logits(promptOf(40))).toHaveLength(40)
  })

  test("come once for every position, also where pages ran out and all was computed again", async () => {
    const script = (context: Int32Array) => new Float32Array(100).fill(context.length)
    const { model, engine, generate } = scripted(script, { maxContext: 512, kvPages: 6, chunkTokens: 2 })
    const sampling = { ...greedy, logitBias: { 5: 1 }, maxTokens: 390 }
    const generation = generate(promptOf(120), { sampling })
    await generation.next()
    const reply = allOf(generation)
    const rows = await engine.logits(promptOf(380, 2))
    expect(rows.map((row) => row[7])).toEqual(Array.from({ length: 380 }, (_, i) => i + 1))
    expect(await reply).toEqual(Array.from({ length: 389 }, () => 5))
    const numRows = model.steps.flatMap((step) => step.split("+").map(Number)).reduce((a, b) => a + b)
    expect(numRows).toBeGreaterThan(120 + 390 + 380 + 100)
  })

  test("stand beside generation", async () => {
    const { engine, generate } = scripted(hashing, { chunkTokens: 16 })
    const [rows, reply] = await Promise.all([
      engine.logits(promptOf(40)),
      allOf(generate(promptOf(9), limit(9))),
    ])
    expect(rows).toHaveLength(40)
    expect(rows[39].indexOf(10)).toBe(hashing(promptOf(40)))
    expect(reply).toEqual(hashed(promptOf(9), 9))
  })
})

test("the status has what was computed, found and generated, and how pages are kept", async () => {
  const { engine, generate } = scripted(hashing, { chunkTokens: 16 })
  await allOf(generate(promptOf(200), limit(10)))
  expect(engine.status.tokens).toEqual({ prefilled: 200, reused: 0, generated: 10 })
  await allOf(generate(promptOf(200), limit(5)))
  expect(engine.status.tokens).toEqual({ prefilled: 201, reused: 199, generated: 15 })
  expect(engine.status.kv.tiers).toEqual({ T0: 2, T1: 0, T2: 0, T3: 0 })
  expect(engine.load.usedPages).toBe(0)
})
