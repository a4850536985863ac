import { expect, test } from "vitest"
import { talk } from "../../test/conversations.ts"
import { pathOf } from "./conversation.ts"
import type { Reply } from "./conversation.ts"
import { requestBody } from "./request.ts"
import { exampleTools, plainSettings, readTools } from "./settings.ts"

test("settings that were not touched are left to the checkpoint", () => {
  expect(requestBody(pathOf(talk("u1")), plainSettings)).toEqual({
    messages: [{ role: "user", content: "text of u1" }],
    stream: true,
    stream_options: { include_usage: true },
    thinking: "on",
  })
})

test("what was set goes along", () => {
  const settings = {
    ...plainSettings,
    system: "Be brief.",
    thinking: "budget" as const,
    budgetTokens: 100,
    sampling: { temperature: 0.6, seed: 1 },
    tools: exampleTools,
  }
  expect(requestBody(pathOf(talk("u1")), settings)).toMatchObject({
    messages: [{ role: "system", content: "Be brief." }, { role: "user" }],
    thinking: { budget: 100 },
    temperature: 0.6,
    seed: 1,
    tools: [{ type: "function", function: { name: "get_weather" } }],
  })
})

test("a reply goes back with its thought, its calls and their results", () => {
  const [question, reply] = pathOf(talk("u1 a1"))
  const thought = { text: "Hm.", tokens: 1, fromMs: 0, toMs: 1 }
  const calls = [{ id: "x", name: "now", arguments: "{}", result: "noon" }]
  const turns = [question, { ...(reply as Reply), text: "", thought, calls }]
  expect(requestBody(turns, plainSettings)).toMatchObject({
    messages: [
      { role: "user" },
      {
        role: "assistant",
        content: "",
        reasoning_content: "Hm.",
        tool_calls: [{ id: "x", type: "function", function: { name: "now", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "x", content: "noon" },
    ],
  })
})

test("tools that are no JSON list are named as wrong and not sent", () => {
  expect(readTools("{}")).toEqual({ wrong: "[ ... ]" })
  expect(readTools("[")).toHaveProperty("wrong")
  expect(requestBody([], { ...plainSettings, tools: "[" })).not.toHaveProperty("tools")
})
