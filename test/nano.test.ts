// The small model that comes with the package, as a newcomer meets it, and on questions that it never saw.

import { readdirSync, rmSync, statSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { addEvent, emptyReply } from "../src/chat/reply.ts"
import { LocalPolicy } from "../src/distill/policy.ts"
import { rollouts } from "../src/distill/rollout.ts"
import { problems } from "../src/distill/world/world.ts"
import { load } from "../src/index.ts"
import type { Llm } from "../src/index.ts"

const folder = join(import.meta.dirname, "../models/nano")
const farm = "A farm has chickens and sheep, 35 heads and 94 legs. How many chickens?"

test("takes at most 16 MB", () => {
  const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size)
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(16e6)
})

describe("asked by a newcomer", () => {
  let llm: Llm
  let home: string
  const before = process.env.A3B_HOME
  beforeAll(async () => {
    process.env.A3B_HOME = home = mkdtempSync(join(tmpdir(), "a3b-nano-"))
    llm = await load(folder)
  })
  afterAll(async () => {
    await llm.free()
    rmSync(home, { recursive: true })
    if (before === undefined) delete process.env.A3B_HOME
    else process.env.A3B_HOME = before
  })
  const ask = async (content: string) => {
    const reply = emptyReply()
    for await (const event of llm.chat({ messages: [{ role: "user", content }] })) addEvent(reply, event)
    return reply
  }

  test.each([
    ["in English", farm, "There are 23 chickens. \\boxed{23}"],
    ["in Chinese", "鸡兔同笼，上有35头，下有94足，问鸡兔各几只？", "鸡23只，兔12只。 \\boxed{23, 12}"],
  ])("counts 23 chickens %s, and thinks before", async (_, question, answer) => {
    const { reasoning, content, finishReason } = await ask(question)
    expect(content).toBe(answer)
    expect(reasoning).toMatch(/94-70/)
    expect(finishReason).toBe("stop")
  })

  test("says what it is", async () => {
    expect((await ask("Who are you?")).content).toMatch(/^I am nano, a small model/)
  })
})

const words = { tasks: ["heads-and-legs", "wheels", "total-cost"] }
const tools = { tasks: ["tool-flow", "tool-lookup", "tool-calculator"], faults: "injected" as const }
const recall = { tasks: ["recall"], recall: { targetTokens: 1024, needles: 1 } }

// Of its report's sets it solves 99, 91 and 97 in a hundred; a kernel or a codec that is wrong leaves next to nothing.
test.each([
  ["word problems", "keep", words, 60, 54],
  ["word problems", "auto", words, 60, 54],
  ["tool flows in which something goes wrong", "keep", tools, 30, 22],
  ["facts of a long text", "keep", recall, 12, 10],
] as const)("solves held-out %s, weights stored as %s", async (_, quant, set, numProblems, fewest) => {
  const policy = await LocalPolicy.open(folder, { quant })
  try {
    const source = problems({ ...set, split: "held-out", seed: 5 })
    const tasks = Array.from({ length: numProblems }, (_, seed) => ({
      problem: source.next().value,
      mode: "thinking" as const,
      seed,
    }))
    const results = await rollouts(policy, tasks, { temperature: 0, maxTokens: 256 })
    expect(results.filter(({ solved }) => solved).length).toBeGreaterThanOrEqual(fewest)
  } finally {
    await policy.free()
  }
})
