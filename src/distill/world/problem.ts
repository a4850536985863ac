// Step 6. The nouns of the small world: a problem, a verified way to solve it, and the other side that grades a reply.
// Pure data and types; knows neither tokens nor any model.

import type { Message, Tool } from "../../types.ts"

/** With a thought before each answer, or without. */
export type Mode = "thinking" | "plain"

/** Which content a problem is made of; the two never share any. */
export type Split = "train" | "held-out"

export type Language = "en" | "zh"

export type AssistantMessage = Message & { role: "assistant" }

export interface Problem {
  /** The kind, such as "heads-and-legs". */
  readonly task: string
  readonly language: Language
  /** What decided the split: numbers, ids, keys, never wording. */
  readonly content: readonly string[]
  /** What the assistant sees first. */
  readonly messages: readonly Message[]
  readonly tools?: readonly Tool[]
  readonly faults: "none" | "injected"
  /** A verified continuation: assistant turns, with tool results and user turns between them. */
  trace(mode: Mode): readonly Message[]
  /** The other side, for one conversation. */
  play(): Play
}

export interface Play {
  /** The tool results or the user's next turn; empty at the end. */
  respond(reply: AssistantMessage): readonly Message[]
  verdict(): Verdict
}

export interface Verdict {
  readonly solved: boolean
  readonly why: string
}
