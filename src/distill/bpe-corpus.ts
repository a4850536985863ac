// Step 6. Problems of the world in, the vocabulary that suits their conversations out.

import { PreTokenCounts, trainBpe } from "./bpe.ts"
import type { Bpe } from "./bpe.ts"
import { plainTokens, specialTokens } from "./tokenizer-files.ts"
import type { Renderer } from "./world/conversation.ts"
import type { Mode, Problem } from "./world/problem.ts"

export interface CorpusOptions {
  /** Problems of the training split. */
  readonly problems: Iterator<Problem>
  readonly numProblems: number
  readonly template: Renderer
  /** Entries of the finished tokenizer, those of special tokens with them. */
  readonly vocabulary: number
}

const addedTokens = [...specialTokens, ...plainTokens]
const modes: readonly Mode[] = ["thinking", "plain"]

/** Every problem is rendered once, the modes by turns. */
export function trainOnProblems({ problems, numProblems, template, vocabulary }: CorpusOptions): Bpe {
  const counts = new PreTokenCounts()
  for (let i = 0; i < numProblems; i++) {
    const { value: problem, done } = problems.next()
    if (done) break
    for (const text of textsBetweenTokens(rendered(template, problem, modes[i % 2]))) counts.add(text)
  }
  return trainBpe(counts, vocabulary - addedTokens.length)
}

function rendered(template: Renderer, problem: Problem, mode: Mode): string {
  return template.render({
    messages: [...problem.messages, ...problem.trace(mode)],
    tools: problem.tools ?? null,
    addGenerationPrompt: false,
    variables: { enable_thinking: mode === "thinking" },
  })
}

const separator = new RegExp(addedTokens.map((token) => token.replaceAll("|", "\\|")).join("|"))

function textsBetweenTokens(text: string): string[] {
  return text.split(separator)
}
