import { Worker } from "node:worker_threads"
import { afterAll, expect, test } from "vitest"
import { UserError } from "../util/errors.ts"
import { GrammarThread, openWorker } from "./grammar-thread.ts"
import type { GrammarSide, OpenSide } from "./grammar-thread.ts"
import { GrammarEngine } from "./xgrammar.ts"

const tokens = ["a", "b", "ab", "", "ba"]
const stopIds = new Set([3])
const vocabulary = () => [tokens.slice(0, 2), tokens.slice(2)]

/** Threads that run the TypeScript as it is. */
const main = new URL("./grammar-worker.ts", import.meta.url).href
const code = `import("tsx/esm/api").then(({ register }) => (register(), import("${main}")))`
const workers: Worker[] = []
const open: OpenSide = (listener) => {
  workers.push(new Worker(code, { eval: true, stdout: true, stderr: true }))
  return openWorker(workers[workers.length - 1], listener)
}
const thread = new GrammarThread(stopIds, vocabulary, open)
afterAll(() => thread.free())

const grammar = 'root ::= "a" "b"* | "ba"'

test("masks are those of the module itself, id after id", async () => {
  const engine = await GrammarEngine.load({ tokens, stopIds })
  const here = await (await engine.compile(grammar)).begin()
  const there = thread.begin(grammar)
  for (const id of [2, 1, 1, 3]) {
    expect(await there.mask()).toEqual(await here.mask())
    for (const one of [here, there]) one.accept(id)
  }
  for (const one of [here, there]) one.free()
})

test("constraints of one thread do not know of each other", async () => {
  const [first, second] = [thread.begin(grammar), thread.begin(grammar)]
  const begin = await first.mask()
  first.accept(4)
  expect(await Promise.all([first.mask(), second.mask()])).toEqual([Int32Array.of(1 << 3), begin])
  for (const one of [first, second]) one.free()
})

test("a form that no token goes on with is the caller's to know", async () => {
  const stuck = thread.begin('root ::= "ab" "c"')
  await stuck.mask()
  stuck.accept(2)
  await expect(stuck.mask()).rejects.toBeInstanceOf(UserError)
  stuck.free()
  expect((await thread.begin(grammar).mask()).length).toBe(1)
})

test("where the module fails its constraints do, and the next one finds a new thread", async () => {
  const other = thread.begin(grammar)
  await other.mask()
  const numThreads = workers.length
  await expect(thread.begin("root ::= ").mask()).rejects.toThrow(
    "the thread that keeps replies to their form",
  )
  await expect.poll(() => workers.at(-1)?.threadId).toBe(-1)
  other.accept(0)
  await expect(other.mask()).rejects.toThrow("failed")
  other.free()
  expect(await thread.begin(grammar).mask()).toEqual(Int32Array.of(0b10111))
  expect(workers.length).toBe(numThreads + 1)
})

test("masks that were on their way when a thread ended fail", async () => {
  // The first thread is not told of masks, so that they are on their way for good.
  const deaf: OpenSide = (listener) => {
    const side = open(listener)
    return { ...side, send: (order) => void (order.type !== "mask" && side.send(order)) }
  }
  const ways = [deaf, open]
  const ending = new GrammarThread(stopIds, vocabulary, (listener) => (ways.shift() ?? open)(listener))
  const pending = ending.begin(grammar).mask()
  await workers[workers.length - 1].terminate()
  await expect(pending).rejects.toThrow("it ended")
  expect((await ending.begin(grammar).mask()).length).toBe(1)
  ending.free()
})

test("only masks on their way keep the process alive", async () => {
  const held: string[] = []
  const openFake: OpenSide = ({ onReport }) => ({
    send: (order) =>
      order.type === "mask" &&
      void setImmediate(() => onReport({ type: "mask", id: order.id, mask: new Int32Array(1) })),
    hold: (state) => void held.push(state),
    close: () => undefined,
  })
  const fake = new GrammarThread(stopIds, vocabulary, openFake satisfies (listener: never) => GrammarSide)
  const constraint = fake.begin(grammar)
  await constraint.mask()
  expect(held).toEqual(["held", "let go"])
})
