// Steps 2, 6 and 8. What a checkpoint can do about thinking, how a request chooses it, and what the end of a
// rendered prompt says about where the reply begins.

import type { Thinking } from "../types.ts"
import { UserError } from "../util/errors.ts"

/**
 * `hybrid` has both modes and the variable `enable_thinking`; `thinking` always thinks, its prompt ends inside
 * the thought; `plain` never does.
 */
export type Family = "hybrid" | "thinking" | "plain"

/** What Qwen puts behind a thought that has used up its budget; the model then answers from what it has. */
export const stopThinkingText =
  "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n" +
  "</think>\n\n"

const assistantTurn = "<|im_start|>assistant"

/** The template's variables for the mode asked for; a mode the checkpoint lacks is refused. */
export function thinkingVariables(
  family: Family,
  thinking: Thinking | undefined,
): { enable_thinking?: boolean } {
  if (thinking === undefined) return {}
  const wanted = thinking === "off" ? "off" : "on"
  if (family === "hybrid") return { enable_thinking: wanted === "on" }
  if ((family === "thinking") === (wanted === "on")) return {}
  throw new UserError(
    "bad-request",
    family === "thinking"
      ? `thinking is "off", but this checkpoint always thinks: leave thinking out, or load a hybrid or Instruct checkpoint`
      : `thinking is "on", but this checkpoint cannot think: leave thinking out, or load a hybrid or Thinking checkpoint`,
  )
}

/** The part of the prompt that the reply continues: all of the assistant's last turn that is already there. */
export function promptTail(prompt: string): string {
  const begin = prompt.lastIndexOf(assistantTurn)
  return begin < 0 ? "" : prompt.slice(begin + assistantTurn.length)
}

/** Whether the reply begins inside a thought. Tags before the last turn are examples or history and do not count. */
export function beginsThinking(prompt: string): boolean {
  const tail = promptTail(prompt)
  return tail.lastIndexOf("<think>") > tail.lastIndexOf("</think>") || prompt.trimEnd().endsWith("<think>")
}
