import { describe, expect, test } from "vitest"
import type { Message, ToolCall } from "../../types.ts"
import type { AssistantMessage, Mode, Problem, Split, Verdict } from "./problem.ts"
import { splitOf } from "./split.ts"
import { problems, taskNames, toolTasks, wordTasks } from "./world.ts"
import type { ProblemOptions } from "./world.ts"

const perTask = 400
const modes: readonly Mode[] = ["thinking", "plain"]

function take(count: number, options: Partial<ProblemOptions> & { split: Split }): Problem[] {
  const taken: Problem[] = []
  for (const problem of problems({ seed: 7, ...options })) if (taken.push(problem) === count) break
  return taken
}

const isReply = (message: Message): message is AssistantMessage => message.role === "assistant"

/** Plays the assistant's turns of a conversation; what the other side says must be what the trace has. */
function judge(problem: Problem, messages: readonly Message[]): Verdict {
  const play = problem.play()
  for (const reply of messages.filter(isReply)) play.respond(reply)
  return play.verdict()
}

/** The trace with one assistant turn changed, left out (undefined) or said twice. */
function corrupted(
  trace: readonly Message[],
  at: number,
  change: (reply: Message) => readonly Message[],
): Message[] {
  const replies = trace.filter(isReply)
  return replies.flatMap((reply, i) => (i === at ? change(reply) : [reply]))
}

const addOne = (text: string) => text.replace(/\d+(?=\D*$)/, (digits) => String(Number(digits) + 1))

function withId(call: ToolCall): ToolCall {
  const given = call.function.arguments
  const changed = JSON.stringify(given).replace(/"([^"]*)"(?=\}$)/, '"$1x"')
  return { ...call, function: { ...call.function, arguments: changed } }
}

describe.each(taskNames)("%s", (task) => {
  test.each(["train", "held-out"] as const)("has traces that solve their own problems: %s", (split) => {
    for (const problem of take(perTask, { tasks: [task], split }))
      for (const mode of modes) {
        const trace = problem.trace(mode)
        const play = problem.play()
        const replies: Message[] = []
        for (const message of trace.filter(isReply)) replies.push(message, ...play.respond(message))
        expect(replies, problem.task).toEqual(trace)
        expect(play.verdict()).toEqual({ solved: true, why: "every step was right" })
      }
  })

  test("has a thought in every turn of one mode and none of the other", () => {
    for (const problem of take(50, { tasks: [task], split: "train" })) {
      const thoughts = (mode: Mode) =>
        problem
          .trace(mode)
          .filter(isReply)
          .map((reply) => reply.reasoning_content)
      expect(thoughts("thinking").every((thought) => thought && thought.length > 0)).toBe(true)
      expect(thoughts("plain").every((thought) => thought === undefined)).toBe(true)
    }
  })

  test("is not solved by a conversation that stops early, goes on, or says nothing", () => {
    for (const problem of take(50, { tasks: [task], split: "train" })) {
      const trace = problem.trace("plain")
      expect(judge(problem, []).solved).toBe(false)
      expect(judge(problem, trace.filter(isReply).slice(0, -1)).solved).toBe(false)
      expect(judge(problem, [...trace, { role: "assistant", content: "And more." }]).solved).toBe(false)
      const last = trace.filter(isReply).length - 1
      const silent = corrupted(trace, last, (reply) => [{ ...reply, content: "" }])
      expect(judge(problem, silent).solved).toBe(false)
    }
  })

  test("never trains what is held out", () => {
    const contents = (split: Split) =>
      new Set(
        [1, 2].flatMap((seed) => take(perTask, { tasks: [task], split, seed })).flatMap((p) => p.content),
      )
    const trained = contents("train")
    const heldOut = contents("held-out")
    expect(heldOut.size).toBeGreaterThan(0)
    expect([...heldOut].filter((content) => trained.has(content))).toEqual([])
  })
})

describe("a word problem", () => {
  test("is not solved by an answer that is one off, or not boxed", () => {
    for (const problem of take(1000, { tasks: wordTasks, split: "train" })) {
      const trace = problem.trace("thinking")
      const answer = (text: (content: string) => string) =>
        judge(
          problem,
          corrupted(trace, 0, (reply) => [{ ...reply, content: text(String(reply.content)) }]),
        )
      expect(answer(addOne).solved).toBe(false)
      expect(answer((content) => content.replace("boxed", "")).solved).toBe(false)
    }
  })

  test("ends its thought with the number that it answers", () => {
    const others = ["coins", "wheels", "heads-and-legs", "sharing"] // may ask for both or for the quotient
    const tasks = wordTasks.filter((task) => !others.includes(task))
    for (const problem of take(1000, { tasks, split: "train" })) {
      const [reply] = problem.trace("thinking")
      const answer = /\\boxed\{(\d+)\}/.exec(String(reply.content))?.[1]
      expect(reply.reasoning_content?.match(/\d+$/)?.[0]).toBe(answer)
    }
  })
})

describe("a tool task", () => {
  const calling = toolTasks.filter((task) => !["tool-none", "tool-choice"].includes(task))
  const cases = take(1000, { tasks: calling, split: "train" }).map((problem) => {
    const trace = problem.trace("plain")
    const replies = trace.filter(isReply)
    const calls = replies.flatMap((reply, i) => (reply.tool_calls ? [i] : []))
    return { problem, trace, calls }
  })

  test("is not solved with a wrong id, a call twice, or a call left out", () => {
    for (const { problem, trace, calls } of cases)
      for (const at of calls) {
        const wrong = corrupted(trace, at, (reply) => [
          { ...reply, tool_calls: reply.tool_calls!.map(withId) },
        ])
        expect(judge(problem, wrong).solved).toBe(false)
        expect(
          judge(
            problem,
            corrupted(trace, at, () => []),
          ).solved,
        ).toBe(false)
        const last = calls[calls.length - 1]
        if (at === last)
          expect(
            judge(
              problem,
              corrupted(trace, at, (reply) => [reply, reply]),
            ).solved,
          ).toBe(false)
      }
  })

  test("is solved as well when calls of one reply come one by one, as JSON text, in another order", () => {
    const parallel = cases.filter(({ trace }) => trace.some((message) => message.tool_calls?.length === 2))
    expect(parallel.length).toBeGreaterThan(20)
    for (const { problem, trace } of parallel) {
      const oneByOne = trace.filter(isReply).flatMap((reply): AssistantMessage[] =>
        reply.tool_calls
          ? reply.tool_calls
              .map(({ function: { name, arguments: given } }) => ({
                function: { name, arguments: JSON.stringify(given) },
              }))
              .reverse()
              .map((call) => ({ role: "assistant", content: "", tool_calls: [call] }))
          : [reply],
      )
      expect(judge(problem, oneByOne).solved).toBe(true)
    }
  })

  test("with nothing that fits is not solved by a call", () => {
    for (const problem of take(100, { tasks: ["tool-none"], split: "train" })) {
      const name = problem.tools![0].function.name
      const call: Message = {
        role: "assistant",
        content: "",
        tool_calls: [{ function: { name, arguments: {} } }],
      }
      expect(judge(problem, [call, ...problem.trace("plain")]).solved).toBe(false)
    }
  })

  test("has faults exactly where they are asked for", () => {
    for (const faults of ["none", "injected"] as const)
      for (const problem of take(300, { tasks: ["tool-flow", "tool-lookup"], split: "train", faults })) {
        expect(problem.faults).toBe(faults)
        const results = problem.trace("plain").filter(({ role }) => role === "tool")
        const hasError = results.some(({ content }) => /error|timeout|null/.test(String(content)))
        if (faults === "none") expect(hasError).toBe(false)
      }
  })
})

describe("the world", () => {
  test("is the same for the same seed and another for another", () => {
    const text = (seed: number) =>
      JSON.stringify(take(200, { split: "train", seed }).map((p) => [p.messages, p.trace("thinking")]))
    expect(text(3)).toBe(text(3))
    expect(text(3)).not.toBe(text(4))
  })

  test("speaks the languages asked for, and a third Chinese without", () => {
    const isChinese = ({ messages }: Problem) => /\p{Script=Han}/u.test(String(messages.at(-1)?.content))
    const mixed = take(2000, { split: "train" })
    const share = mixed.filter(({ language }) => language === "zh").length / mixed.length
    expect(share).toBeGreaterThan(0.25)
    expect(share).toBeLessThan(0.42)
    for (const problem of take(300, { split: "train", languages: ["en"] }))
      expect(isChinese(problem)).toBe(false)
    for (const problem of take(300, {
      split: "train",
      languages: ["zh"],
      tasks: wordTasks.filter((t) => !/arithmetic|operations/.test(t)),
    }))
      expect(isChinese(problem)).toBe(true)
  })

  test("holds out the quick start's question", () => {
    expect(splitOf("heads-and-legs:35,94")).toBe("held-out")
  })

  test("refuses a task that it does not know", () => {
    expect(() => take(1, { split: "train", tasks: ["chess"] })).toThrow("no task is called chess")
  })
})
