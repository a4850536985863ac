// Step 6. A problem's trace in, training sequences out: ids as inference will see them, and what each counts in the
// loss. A turn goes on in the sequence of the one before as long as the template still renders that one as it was
// generated; where it drops an old thought, the conversation begins again as a sequence of its own.

import type { Json, Message, Tool } from "../../types.ts"
import { assert } from "../../util/errors.ts"
import type { Mode, Problem } from "./problem.ts"

/** What is needed of a tokenizer. */
export interface IdEncoder {
  encode(text: string): Int32Array
}

/** What is needed of a chat template. */
export interface Renderer {
  render(input: {
    messages: readonly Message[]
    tools?: readonly Tool[] | null
    addGenerationPrompt: boolean
    variables?: Readonly<Record<string, Json>>
  }): string
}

export interface EncodedSequence {
  readonly ids: Int32Array
  /** How much it counts to predict this id: 1 where the assistant wrote it. */
  readonly weights: Float32Array // [ids]
}

export interface EncodeOptions {
  /** What ids count that the assistant did not write. */
  readonly promptWeight?: number
}

interface Turn {
  readonly prompt: string
  /** What the assistant writes, up to and with the end of its turn. */
  readonly reply: string
}

interface Section {
  readonly text: string
  readonly weight: number
}

export function encodeTrace(
  tokenizer: IdEncoder,
  template: Renderer,
  problem: Problem,
  mode: Mode,
  { promptWeight = 0.1 }: EncodeOptions = {},
): EncodedSequence[] {
  const sequences: Section[][] = []
  let seen = ""
  for (const { prompt, reply } of turnsOf(template, problem, mode)) {
    const goesOn = seen !== "" && prompt.startsWith(seen)
    if (!goesOn) sequences.push([])
    const sections = sequences[sequences.length - 1]
    sections.push({ text: goesOn ? prompt.slice(seen.length) : prompt, weight: promptWeight })
    sections.push({ text: reply, weight: 1 })
    seen = prompt + reply
  }
  return sequences.map((sections) => encodeSections(tokenizer, sections))
}

const endOfTurn = "<|im_end|>"

/** Every assistant turn with the prompt that it continues, as the template renders them. */
export function turnsOf(template: Renderer, problem: Problem, mode: Mode): Turn[] {
  const messages = [...problem.messages, ...problem.trace(mode)]
  const variables = { enable_thinking: mode === "thinking" }
  const tools = problem.tools ?? null
  return messages.flatMap(({ role }, i) => {
    if (role !== "assistant") return []
    const before = messages.slice(0, i)
    const prompt = template.render({ messages: before, tools, addGenerationPrompt: true, variables })
    const after = messages.slice(0, i + 1)
    const whole = template.render({ messages: after, tools, addGenerationPrompt: false, variables })
    assert(whole.startsWith(prompt), `the template renders turn ${i} unlike the prompt that it continues`)
    const reply = whole.slice(prompt.length)
    return [{ prompt, reply: reply.slice(0, reply.lastIndexOf(endOfTurn) + endOfTurn.length) }]
  })
}

/** Sections are encoded apart, as inference has them: no token crosses from the prompt into the reply. */
function encodeSections(tokenizer: IdEncoder, sections: readonly Section[]): EncodedSequence {
  const encoded = sections.map(({ text, weight }) => ({ ids: tokenizer.encode(text), weight }))
  const length = encoded.reduce((sum, { ids }) => sum + ids.length, 0)
  const ids = new Int32Array(length)
  const weights = new Float32Array(length)
  let end = 0
  for (const section of encoded) {
    ids.set(section.ids, end)
    weights.fill(section.weight, end, end + section.ids.length)
    end += section.ids.length
  }
  return { ids, weights }
}
