import { describe, expect, test } from "vitest"
import type { Message } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { byTask, accuracyOf, compare, evaluate, evaluationProblems } from "./evaluate.ts"
import type { Outcome, SetResult } from "./evaluate.ts"
import type { Policy, PolicyReply, PolicyRequest } from "./policy.ts"
import type { EvaluationSet } from "./recipe.ts"
import { rollouts } from "./rollout.ts"
import type { Task } from "./rollout.ts"
import type { AssistantMessage, Problem } from "./world/problem.ts"
import { problems } from "./world/world.ts"

function draw(count: number, options: Partial<Parameters<typeof problems>[0]> = {}): Problem[] {
  const source = problems({ split: "held-out", seed: 1, ...options })
  return Array.from({ length: count }, () => source.next().value)
}

function tasksOf(all: readonly Problem[]): Task[] {
  return all.map((problem, i) => ({ problem, mode: "plain", seed: 100 * i }))
}

class FakePolicy implements Policy {
  readonly requests: PolicyRequest[] = []
  readonly #answer: (request: PolicyRequest) => Partial<PolicyReply>

  constructor(answer: FakePolicy["answer"]) {
    this.#answer = answer
  }

  get answer() {
    return this.#answer
  }

  async reply(request: PolicyRequest): Promise<PolicyReply> {
    this.requests.push({ ...request, messages: [...request.messages] })
    return { message: { role: "assistant", content: "" }, finish: "stop", ...this.#answer(request) }
  }

  async free(): Promise<void> {}
}

/** Says at every turn what the problem's trace says there. */
function expert(all: readonly Problem[]): FakePolicy {
  const traces = new Map(
    all.map((problem) => [problem.messages[0], [...problem.messages, ...problem.trace("plain")]]),
  )
  return new FakePolicy(({ messages }) => {
    const trace = traces.get(messages[0]) as readonly Message[]
    return { message: trace[messages.length] as AssistantMessage }
  })
}

const options = { temperature: 0, maxTokens: 100 }

describe("rollouts", () => {
  test("of a policy that knows the traces are all solved, tools and later turns included", async () => {
    const all = draw(150)
    const results = await rollouts(expert(all), tasksOf(all), options)
    expect(results.filter(({ solved }) => !solved).map(({ why }) => why)).toEqual([])
    expect(Math.max(...results.map(({ messages }) => messages.length))).toBeGreaterThan(3)
  })

  test("give every turn a seed of its own and pass the request on", async () => {
    const all = draw(20, { tasks: ["tool-flow"] })
    const policy = expert(all)
    await rollouts(policy, tasksOf(all), { ...options, temperature: 0.7 })
    const seeds = policy.requests.map(({ seed }) => seed)
    expect(new Set(seeds).size).toBe(seeds.length)
    expect(
      policy.requests.every(({ temperature, maxTokens }) => temperature === 0.7 && maxTokens === 100),
    ).toBe(true)
    expect(policy.requests.every(({ tools }) => (tools?.length ?? 0) > 0)).toBe(true)
  })

  test("that are cut, outgrow the context or never end are not solved, and say why", async () => {
    const all = draw(1, { tasks: ["sharing"] })
    const whys = async (answer: FakePolicy["answer"], played = all) =>
      (await rollouts(new FakePolicy(answer), tasksOf(played), options)).map(({ solved, why }) => [
        solved,
        why,
      ])
    expect(await whys(() => ({ finish: "length" }))).toEqual([
      [false, "the reply was cut: it is longer than it may be"],
    ])
    const tooLong = () => {
      throw new UserError("context-exceeded", "too long")
    }
    expect(await whys(tooLong)).toEqual([[false, "the conversation is longer than the context"]])
    const again = all.map((problem) => {
      const respond = (): Message[] => [{ role: "user", content: "again" }]
      return { ...problem, play: () => ({ respond, verdict: () => ({ solved: true, why: "" }) }) }
    })
    expect(await whys(() => ({}), again)).toEqual([[false, "the conversation has more than 16 turns"]])
  })

  test("learn from no token twice where a prompt begins with what came before", async () => {
    const [problem] = draw(1, { tasks: ["tool-flow"], faults: "none" })
    const ids = (numbers: number[]) => Int32Array.from(numbers)
    const policy = expert([problem])
    const turns = [
      { prompt: ids([1, 2]), reply: ids([3, 4]) },
      { prompt: ids([1, 2, 3, 4, 5]), reply: ids([6]) },
    ]
    const other = { prompt: ids([9]), reply: ids([8]) }
    const counted: FakePolicy = new FakePolicy((request) => ({
      ...policy.answer(request),
      tokens: turns[counted.requests.length - 1] ?? other,
    }))
    const [{ texts, replyTokens }] = await rollouts(counted, tasksOf([problem]), options)
    expect([...texts[0].ids]).toEqual([1, 2, 3, 4, 5, 6])
    expect([...texts[0].written]).toEqual([0, 0, 1, 1, 0, 1])
    expect(texts.slice(1).every((text) => [...text.ids].join() === "9,8")).toBe(true)
    expect(replyTokens).toBe(3 + counted.requests.length - 2)
  })

  test("end when they are cancelled, and with the first failure", async () => {
    const all = draw(10, { tasks: ["sharing"] })
    const failing = new FakePolicy(() => {
      throw new Error("no network")
    })
    await expect(rollouts(failing, tasksOf(all), options)).rejects.toThrow("no network")
    const aborted = rollouts(expert(all), tasksOf(all), { ...options, signal: AbortSignal.abort() })
    await expect(aborted).rejects.toMatchObject({ code: "cancelled" })
  })
})

const set: EvaluationSet = {
  name: "sums",
  source: "world",
  tasks: ["sharing", "change"],
  modes: ["plain"],
  languages: ["en"],
  problems: 40,
  sampling: { temperature: 0, maxTokens: 100, perPrompt: 1 },
  recall: {},
}

describe("evaluation", () => {
  test("takes distinct held-out problems of the set, the same every time", () => {
    const all = evaluationProblems(problems, set, 3)
    expect(all).toHaveLength(40)
    expect(new Set(all.map(({ messages }) => JSON.stringify(messages))).size).toBe(40)
    expect(new Set(all.map(({ task }) => task))).toEqual(new Set(["sharing", "change"]))
    const again = evaluationProblems(problems, set, 3)
    expect(again.map(({ content }) => content)).toEqual(all.map(({ content }) => content))
    const flows: EvaluationSet = { ...set, tasks: ["tool-flow"], faults: "injected" }
    expect(new Set(evaluationProblems(problems, flows, 3).map(({ faults }) => faults))).toEqual(
      new Set(["injected"]),
    )
    expect(evaluationProblems(problems, { ...set, source: "hand-written", problems: 50 }, 3)).toHaveLength(50)
  })

  test("counts what is solved by task, with intervals, and several samples as pass@k", async () => {
    const all = evaluationProblems(problems, set, 3)
    const knowing = expert(all)
    const half = new FakePolicy((request) => (request.seed % 2 === 0 ? knowing.answer(request) : {}))
    const sampled = { set: { ...set, sampling: { ...set.sampling, perPrompt: 4 } }, mode: "plain" as const }
    const { outcomes } = await evaluate(half, all, sampled, { seed: 1 })
    const { rate, low, high, passAtK } = accuracyOf(outcomes)
    expect(rate).toBeCloseTo(0.5, 0)
    expect(low < rate && rate < high).toBe(true)
    expect(passAtK?.k).toBe(4)
    expect(passAtK?.rate).toBe(outcomes.filter(({ solved }) => solved > 0).length / 40)
    expect([...byTask(outcomes).values()].flat()).toHaveLength(40)
    expect(outcomes.find(({ solved }) => solved < 4)?.why).toContain("no \\boxed{} in the answer")
    const once = await evaluate(knowing, all, { set, mode: "plain" }, { seed: 1 })
    expect(accuracyOf(once.outcomes)).toMatchObject({ rate: 1, high: 1, problems: 40 })
  })

  test("compares two results on the same problems", () => {
    const outcome = (solved: number): Outcome => ({
      task: "a",
      language: "en",
      faults: "none",
      samples: 1,
      solved,
    })
    const result = (...solved: number[]): SetResult => ({
      set: "a",
      mode: "plain",
      seconds: 1,
      replyTokens: 1,
      outcomes: solved.map(outcome),
    })
    expect(compare(result(1, 1, 0, 1), result(1, 0, 1, 0))).toMatchObject({
      mean: -0.25,
      onlyFirst: 2,
      onlySecond: 1,
    })
  })
})
