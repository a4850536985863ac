// Step 6. A conversation as a list of stages in, a problem out: its trace says each stage, its play checks that a
// reply does. Knows calls and checks; never what a conversation is about.

import type { Json, Message, Tool, ToolCall } from "../../types.ts"
import type { AssistantMessage, Language, Mode, Play, Problem, Verdict } from "./problem.ts"

/** Says what is wrong with an answer, or nothing. */
export type Check = (content: string) => string | undefined

export interface Call {
  readonly name: string
  readonly arguments: { readonly [key: string]: Json }
  /** What the tool gives back. */
  readonly result: string
}

export type Stage =
  /** Calls of one reply; done one after the other, or in another order, they count as well. */
  | { readonly kind: "call"; readonly thought: string; readonly calls: readonly Call[] }
  | {
      readonly kind: "say"
      readonly thought: string
      readonly text: string
      readonly check: Check
      /** What the user says to it; the conversation ends without. */
      readonly next?: string
    }

export interface Script {
  readonly task: string
  readonly language: Language
  readonly content: readonly string[]
  readonly messages: readonly Message[]
  readonly tools?: readonly Tool[]
  readonly faults?: Problem["faults"]
  readonly stages: readonly Stage[]
}

export function problemOf({ stages, faults = "none", ...rest }: Script): Problem {
  return {
    ...rest,
    faults,
    trace: (mode) => stages.flatMap((stage) => traceOf(stage, mode)),
    play: () => new ScriptPlay(stages),
  }
}

function traceOf(stage: Stage, mode: Mode): Message[] {
  const thought = mode === "thinking" ? { reasoning_content: stage.thought } : {}
  if (stage.kind === "say") {
    const said: Message = { role: "assistant", ...thought, content: stage.text }
    return stage.next === undefined ? [said] : [said, { role: "user", content: stage.next }]
  }
  const tool_calls = stage.calls.map((call): ToolCall => ({
    type: "function",
    function: { name: call.name, arguments: { ...call.arguments } },
  }))
  return [
    { role: "assistant", ...thought, content: "", tool_calls },
    ...stage.calls.map((call): Message => ({ role: "tool", name: call.name, content: call.result })),
  ]
}

class ScriptPlay implements Play {
  readonly #stages: readonly Stage[]
  #current = 0
  /** The calls of the current stage that were not made yet. */
  #open: Call[] = []
  #mistake: string | undefined

  constructor(stages: readonly Stage[]) {
    this.#stages = stages
    this.#enter(0)
  }

  respond(reply: AssistantMessage): readonly Message[] {
    if (this.#stage === undefined) return this.#fail("it went on after the end")
    const calls = reply.tool_calls ?? []
    if (calls.length > 0) return calls.map((call) => this.#run(call))
    return this.#listen(typeof reply.content === "string" ? reply.content : "")
  }

  verdict(): Verdict {
    const why = this.#mistake ?? (this.#stage === undefined ? undefined : "it ended too early")
    return { solved: why === undefined, why: why ?? "every step was right" }
  }

  get #stage(): Stage | undefined {
    return this.#stages[this.#current]
  }

  /** A call that is not due has no result: whatever it would change is a wrong or duplicate effect. */
  #run(call: ToolCall): Message {
    const key = keyOf(call.function.name, call.function.arguments)
    const at = this.#open.findIndex((planned) => keyOf(planned.name, planned.arguments) === key)
    const { name } = call.function
    if (at < 0) {
      this.#fail(`the call ${key} was not due`)
      return { role: "tool", name, content: '{"error": "rejected"}' }
    }
    const [planned] = this.#open.splice(at, 1)
    if (this.#open.length === 0) this.#enter(this.#current + 1)
    return { role: "tool", name, content: planned.result }
  }

  #listen(content: string): readonly Message[] {
    const stage = this.#stage
    if (stage?.kind !== "say") {
      this.#current = this.#stages.length
      return this.#fail(`it answered before calling ${this.#open.map((call) => call.name).join(", ")}`)
    }
    const complaint = stage.check(content)
    this.#enter(this.#current + 1)
    if (complaint !== undefined) return this.#fail(complaint)
    return stage.next === undefined ? [] : [{ role: "user", content: stage.next }]
  }

  #enter(index: number): void {
    this.#current = index
    const stage = this.#stages[index]
    this.#open = stage?.kind === "call" ? [...stage.calls] : []
  }

  /** The first mistake is the one that counts. */
  #fail(why: string): [] {
    this.#mistake ??= why
    return []
  }
}

/** A call as text in which neither spacing nor the order of arguments matters. */
function keyOf(name: string, given: Call["arguments"] | string): string {
  let value: unknown = given
  try {
    if (typeof given === "string") value = JSON.parse(given)
  } catch {
    // Arguments that are no JSON equal none that are due.
  }
  const entries = typeof value === "object" && value !== null ? Object.entries(value).sort(byKey) : value
  return `${name}(${JSON.stringify(entries)})`
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}
