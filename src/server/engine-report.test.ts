import { expect, test } from "vitest"
import { FakeModel } from "../../test/fake-model.ts"
import { answerOf, serving } from "../../test/serving.ts"

const ask = (app: ReturnType<typeof serving>) => app.request("http://localhost/api/engine")

test("the engine tells what it keeps and what it did", async () => {
  const app = serving(new FakeModel({ family: "thinking" }))
  await app.service.context()
  const response = await ask(app)
  expect(response.headers.get("cache-control")).toBe("no-store")
  expect(await answerOf(response)).toEqual({
    model: "fake",
    state: "ready",
    atMs: expect.any(Number),
    engine: {
      family: "thinking",
      context: 1000,
      load: { running: 0, waiting: 0, usedPages: 0, pages: 8 },
      kv: { tiers: { T0: 0, T1: 0, T2: 0, T3: 0 }, bytes: 0, savedBytes: 0 },
      tokens: { prefilled: 11, reused: 7, generated: 5 },
      experts: [[1, 2]],
      attention: { scanned: 3, fellBack: 1, kept: 1.9, tokens: 4096 },
    },
  })
})

test("looking does not open a model that is not there", async () => {
  let numOpened = 0
  const app = serving(new FakeModel(), { open: async () => (numOpened++, new FakeModel()) })
  expect(await answerOf(ask(app))).toEqual({ model: "fake", state: "unloaded", atMs: expect.any(Number) })
  expect(numOpened).toBe(0)
})

test("its clock goes forward", async () => {
  const app = serving(new FakeModel())
  const [before, after] = [await answerOf(ask(app)), await answerOf(ask(app))]
  expect(Number(after.atMs)).toBeGreaterThanOrEqual(Number(before.atMs))
})
