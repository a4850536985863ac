// Step 6. What is left when a tool fails twice: the tool that calls a human where there is one, else the number that
// the system message gives.

import { mentions } from "../checks.ts"
import { phrase } from "../phrase.ts"
import type { Language } from "../problem.ts"
import type { Random } from "../random.ts"
import type { Stage } from "../script.ts"
import { drawDigits } from "./ids.ts"
import type { NamedTool } from "./kit.ts"
import type { Toolbox } from "./toolbox.ts"

export interface Support {
  /** The system message, where it says whom to call. */
  readonly system?: string
  readonly phone?: string
  readonly tool?: NamedTool
  /** How a thought comes to the tool. */
  readonly choice?: string
}

const systems = {
  en: "[You help customers|You work for a shop|You are a helpful assistant]. [If a tool fails twice, give the number|When a tool fails twice, tell the user to call|After two failures give this phone number:] {phone}.",
  zh: "[你帮助顾客|你是商店的客服|你是助手]。[工具失败两次时，请用户拨打|工具两次失败后，告诉用户电话]{phone}。",
}

/** Some conversations have the tool, some the number. */
export function drawSupport(random: Random, language: Language, box: Toolbox): Support {
  if (box.has("handOff")) return { tool: box.of("handOff"), choice: box.choice("handOff") }
  const phone = `${drawDigits(random, 3)}-${drawDigits(random, 4)}`
  return { phone, system: phrase(random, systems[language], { phone }) }
}

export function handOff(random: Random, language: Language, { tool, choice = "", phone }: Support): Stage[] {
  if (!tool) {
    const text = {
      en: `The tool failed twice. Please call ${phone}.`,
      zh: `工具两次失败，请拨打${phone}。`,
    }[language]
    const thought = { en: "It failed twice. Give the number.", zh: "失败两次，给出电话。" }[language]
    return [{ kind: "say", thought, text, check: mentions(phone ?? "") }]
  }
  const ticket = `T-${drawDigits(random, 4)}`
  const text = {
    en: `The tool failed twice. A human will help you, ticket ${ticket}.`,
    zh: `工具两次失败，已转人工，工单${ticket}。`,
  }[language]
  return [
    {
      kind: "call",
      thought: { en: "It failed twice. Hand off.", zh: "失败两次，转人工。" }[language] + choice,
      calls: [tool.call(["timeout"], { ticket })],
    },
    {
      kind: "say",
      thought: { en: "Tell the ticket.", zh: "告诉工单号。" }[language],
      text,
      check: mentions(ticket),
    },
  ]
}
