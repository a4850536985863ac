// Step 6. A tool call in, the stages of making it out: at once, again after a failure, or given up to a human.

import type { Json } from "../../../types.ts"
import type { Language } from "../problem.ts"
import type { Random } from "../random.ts"
import type { Call, Stage } from "../script.ts"
import type { Result } from "./kit.ts"

/** What happens to one call: nothing, one failure, or one failure after the other. */
export type Fault = "none" | "timeout" | "malformed" | "down"

const timeouts: readonly Json[] = [
  { error: "timeout" },
  { error: "timed out" },
  { status: "timeout" },
  { error: "service unavailable" },
]

const again = {
  en: { timeout: "It failed. Try again.", malformed: "The result is broken. Try again." },
  zh: { timeout: "失败了，再试一次。", malformed: "结果不完整，再试一次。" },
}

export function callStages(
  random: Random,
  language: Language,
  thought: string,
  make: (result: Result) => Call,
  result: Json,
  fault: Fault,
): Stage[] {
  const call = (said: string, given: Result): Stage => ({
    kind: "call",
    thought: said,
    calls: [make(given)],
  })
  switch (fault) {
    case "none":
      return [call(thought, result)]
    case "timeout":
      return [call(thought, random.pick(timeouts)), call(again[language].timeout, result)]
    case "malformed":
      return [call(thought, cutShort(random, make(result).result)), call(again[language].malformed, result)]
    case "down":
      return [call(thought, random.pick(timeouts)), call(again[language].timeout, random.pick(timeouts))]
    default:
      return fault satisfies never
  }
}

/** The beginning of a result, never all of it: what a broken connection leaves. */
function cutShort(random: Random, text: string) {
  return { malformed: text.slice(0, random.between(3, Math.max(3, text.length - 3))) }
}
