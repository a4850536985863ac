// How replies are asked for: system prompt, thinking, drawing, tools. What is left out is as the checkpoint has it.

/** In the order they are shown. */
export const samplingFields = [
  { name: "temperature", min: 0, max: 2, step: 0.05 },
  { name: "top_p", min: 0.01, max: 1, step: 0.01 },
  { name: "top_k", min: 0, max: 1000, step: 1 },
  { name: "min_p", min: 0, max: 1, step: 0.01 },
  { name: "presence_penalty", min: -2, max: 2, step: 0.1 },
  { name: "repetition_penalty", min: 0.5, max: 2, step: 0.05 },
  { name: "max_tokens", min: 1, max: 1_000_000, step: 1 },
  { name: "seed", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 },
] as const

export type SamplingField = (typeof samplingFields)[number]["name"]

export interface ChatSettings {
  system: string
  /** `budget` is on, with at most `budgetTokens`. */
  thinking: "on" | "off" | "budget"
  budgetTokens: number
  sampling: Readonly<Partial<Record<SamplingField, number>>>
  /** A JSON list in OpenAI's form, as it was typed; empty for none. */
  tools: string
}

export const plainSettings: ChatSettings = {
  system: "",
  thinking: "on",
  budgetTokens: 2048,
  sampling: {},
  tools: "",
}

/** What was typed as tools, or the reason why it is none. */
export function readTools(text: string): { tools: readonly unknown[] } | { wrong: string } {
  if (text.trim() === "") return { tools: [] }
  try {
    const tools: unknown = JSON.parse(text)
    return Array.isArray(tools) ? { tools } : { wrong: "[ ... ]" }
  } catch (error) {
    return { wrong: error instanceof Error ? error.message : String(error) }
  }
}

/** An example of the form, for those who have none at hand. */
export const exampleTools = JSON.stringify(
  [
    {
      type: "function",
      function: {
        name: "get_weather",
        description: "The weather in a city now",
        parameters: {
          type: "object",
          properties: { city: { type: "string" } },
          required: ["city"],
        },
      },
    },
  ],
  null,
  2,
)
