// The AI SDK's own functions over models of this process, without HTTP: `a3b/ai-sdk`.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai"
import type { TextStreamPart, ToolSet } from "ai"
import { describe, expect, test, vi } from "vitest"
import { a3b } from "../src/ai-sdk/index.ts"
import { load } from "../src/llm.ts"
import { remote } from "../src/remote/remote.ts"
import { listen } from "../src/server/server.ts"
import { FakeModel, untilAborted } from "./fake-model.ts"
import { scriptedCheckpoint } from "./scripted-checkpoint.ts"
import { serving } from "./serving.ts"

const thought = ["<think>\n", "The weather", " of Paris.\n", "</think>", "\n\n"]
const called = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
const weatherModel = () =>
  new FakeModel({
    // A call as long as there is no result yet.
    says: ({ tools, messages }) =>
      tools && !messages.some(({ role }) => role === "tool")
        ? [...thought, "One ", "moment.", called]
        : [...thought, "It is", " sunny."],
  })
const tools = {
  get_weather: tool({
    description: "The weather of a city.",
    inputSchema: jsonSchema<{ city: string }>({ type: "object", properties: { city: { type: "string" } } }),
    execute: async ({ city }) => `${city}: sunny`,
  }),
}

async function partsOf(stream: AsyncIterable<TextStreamPart<ToolSet>>): Promise<TextStreamPart<ToolSet>[]> {
  const all: TextStreamPart<ToolSet>[] = []
  for await (const part of stream) all.push(part)
  return all
}

describe("generateText", () => {
  test("gives text, reasoning, usage and why it ended", async () => {
    const model = a3b(weatherModel(), { modelId: "qwen" })
    const result = await generateText({ model, prompt: "Weather?" })
    expect(result).toMatchObject({
      text: "It is sunny.",
      reasoningText: "The weather of Paris.",
      finishReason: "stop",
      usage: {
        inputTokens: 11,
        outputTokens: 5,
        inputTokenDetails: { cacheReadTokens: 7, noCacheTokens: 4 },
        outputTokenDetails: { reasoningTokens: 2, textTokens: 3 },
      },
      providerMetadata: { a3b: { prefillMs: 1, decodeMs: 4 } },
      response: { modelId: "qwen" },
      warnings: [],
    })
  })

  test("runs tools, and shows the model its thought, its call and the result", async () => {
    const model = weatherModel()
    const { text, steps } = await generateText({
      model: a3b(model),
      prompt: "Weather?",
      tools,
      stopWhen: stepCountIs(3),
    })
    expect({ text, steps: steps.map(({ finishReason }) => finishReason) }).toEqual({
      text: "It is sunny.",
      steps: ["tool-calls", "stop"],
    })
    expect(model.requests.at(-1)).toMatchObject({
      messages: [
        { role: "user", content: [{ type: "text", text: "Weather?" }] },
        {
          role: "assistant",
          content: "One moment.",
          reasoning_content: "The weather of Paris.",
          tool_calls: [{ function: { name: "get_weather", arguments: '{"city":"Paris"}' } }],
        },
        { role: "tool", name: "get_weather", content: "Paris: sunny" },
      ],
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            description: "The weather of a city.",
            parameters: { properties: { city: {} } },
          },
        },
      ],
    })
  })

  test("asks for what it was asked for", async () => {
    const model = weatherModel()
    await generateText({
      model: a3b(model),
      system: "Be brief.",
      prompt: "Weather?",
      tools,
      toolChoice: { type: "tool", toolName: "get_weather" },
      temperature: 0.5,
      topP: 0.9,
      topK: 3,
      seed: 4,
      maxOutputTokens: 50,
      stopSequences: ["###"],
      providerOptions: {
        a3b: {
          thinking: { budget: 9 },
          minP: 0.1,
          repetitionPenalty: 1.1,
          templateVariables: { flag: true },
        },
      },
    })
    expect(model.requests[0]).toMatchObject({
      messages: [{ role: "system", content: "Be brief." }, { role: "user" }],
      toolChoice: { name: "get_weather" },
      thinking: { budget: 9 },
      templateVariables: { flag: true },
      sampling: {
        temperature: 0.5,
        topP: 0.9,
        topK: 3,
        seed: 4,
        maxTokens: 50,
        minP: 0.1,
        repetitionPenalty: 1.1,
      },
      stop: ["###"],
    })
    await generateText({ model: a3b(model), prompt: "Weather?", tools, toolChoice: "none" })
    expect(model.requests.at(-1)).not.toHaveProperty("tools")
  })

  test("tells what was odd about a reply", async () => {
    const { providerMetadata, finishReason } = await generateText({
      model: a3b(new FakeModel({ says: ["<think>\nhm"], reason: "length" })),
      prompt: "Weather?",
    })
    expect(finishReason).toBe("length")
    expect(providerMetadata?.a3b.diagnostic).toBe("the reply ended inside its thinking")
  })

  test.each<[string, Partial<Parameters<typeof generateText>[0]>, RegExp]>([
    [
      "an image",
      { messages: [{ role: "user", content: [{ type: "image", image: Uint8Array.of(137, 80, 78, 71) }] }] },
      /a file is part of a message: this model reads text only/,
    ],
    [
      "JSON by a schema",
      { prompt: "a", output: Output.object({ schema: jsonSchema({ type: "object" }) }) },
      /output is not constrained to JSON here/,
    ],
    [
      "an option that there is not",
      { prompt: "a", providerOptions: { a3b: { thinkin: "on" } } },
      /providerOptions\.a3b has thinkin, which is not understood/,
    ],
    [
      "a mode of thinking that there is not",
      { prompt: "a", providerOptions: { a3b: { thinking: "much" } } },
      /wanted "on", "off" or \{ budget: tokens \}/,
    ],
    ["more than the context", { prompt: "a".repeat(2000) }, /context is 1,000 tokens; prompt has/],
  ])("refuses %s with the reason", async (_, options, message) => {
    const asked = { model: a3b(weatherModel()), ...options } as Parameters<typeof generateText>[0] // one has a prompt
    await expect(generateText(asked)).rejects.toThrow(message)
  })
})

describe("streamText", () => {
  test("gives each stretch a beginning and an end, and calls in pieces that make up the whole", async () => {
    const { fullStream } = streamText({
      model: a3b(weatherModel()),
      prompt: "Weather?",
      tools,
      stopWhen: stepCountIs(2),
    })
    const parts = await partsOf(fullStream)
    const types = parts.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1])
    expect(types).toEqual([
      "start",
      "start-step",
      ...["reasoning-start", "reasoning-delta", "reasoning-end"],
      ...["text-start", "text-delta", "text-end"],
      ...["tool-input-start", "tool-input-delta", "tool-input-end", "tool-call", "tool-result"],
      "finish-step",
      "start-step",
      ...["reasoning-start", "reasoning-delta", "reasoning-end"],
      ...["text-start", "text-delta", "text-end"],
      "finish-step",
      "finish",
    ])
    const textOf = (kind: string) =>
      parts.map((part) => (part.type === kind && "text" in part ? part.text : "")).join("")
    expect(textOf("text-delta")).toBe("One moment.It is sunny.")
    expect(textOf("reasoning-delta")).toBe("The weather of Paris.".repeat(2))
    const deltas = parts.map((part) => (part.type === "tool-input-delta" ? part.delta : ""))
    expect(deltas.join("")).toBe('{"city": "Paris"}')
    expect(parts.at(-1)).toMatchObject({
      finishReason: "stop",
      totalUsage: { inputTokens: 22, outputTokens: 10 },
    })
  })

  test("that is aborted says so and ends the model's work", async () => {
    const model = weatherModel()
    const controller = new AbortController()
    const { fullStream } = streamText({
      model: a3b(model),
      prompt: "Weather?",
      abortSignal: controller.signal,
    })
    const types: string[] = []
    for await (const part of fullStream) {
      types.push(part.type)
      if (part.type === "reasoning-delta") controller.abort()
    }
    expect(types.at(-1)).toBe("abort")
    expect(model.numLive).toBe(0)
  })

  test("that nobody reads on ends the model's work, also before its first word", async () => {
    const model = weatherModel()
    model.work = untilAborted
    const { stream } = await a3b(model).doStream({
      prompt: [{ role: "user", content: [{ type: "text", text: "Weather?" }] }],
    })
    const reader = stream.getReader()
    for (const type of ["stream-start", "response-metadata"])
      expect((await reader.read()).value?.type).toBe(type)
    const next = reader.read()
    while (model.numLive === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    await reader.cancel()
    expect((await next).done).toBe(true)
    expect(model.numLive).toBe(0)
  })

  test("whose model fails has the error in its place", async () => {
    const model = weatherModel()
    model.work = () => Promise.reject(new Error("out of memory"))
    const { fullStream } = streamText({ model: a3b(model), prompt: "Weather?", onError: () => undefined })
    const parts = await partsOf(fullStream)
    expect(parts).toContainEqual({ type: "error", error: new Error("out of memory") })
    expect(parts.at(-1)).toMatchObject({ type: "finish", finishReason: "error" })
  })
})

test("generateText that is aborted throws the signal's reason", async () => {
  const model = weatherModel()
  model.work = untilAborted
  const controller = new AbortController()
  const text = generateText({ model: a3b(model), prompt: "Weather?", abortSignal: controller.signal })
  while (model.numLive === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  controller.abort()
  await expect(text).rejects.toMatchObject({ name: "AbortError" })
  expect(model.numLive).toBe(0)
})

test("a model behind a URL is one too", async () => {
  const server = await listen(serving(weatherModel()), { host: "127.0.0.1", port: 0 })
  const { text, steps } = await generateText({
    model: a3b(remote(server.url)),
    prompt: "Weather?",
    tools,
    stopWhen: stepCountIs(2),
  })
  expect({ text, numSteps: steps.length }).toEqual({ text: "It is sunny.", numSteps: 2 })
  await server.close(0)
})

test("a loaded model answers", async () => {
  const folder = mkdtempSync(join(tmpdir(), "a3b-ai-sdk-"))
  try {
    const says = [["\n", "<think>", "35 heads", "</think>", "\n\n", "23 chickens", ".", "<|im_end|>"]]
    const path = scriptedCheckpoint(join(folder, "model"), { family: "hybrid", says })
    vi.stubEnv("A3B_HOME", join(folder, "home"))
    const llm = await load(path, { backend: "reference" })
    const { text, reasoningText, usage } = await generateText({ model: a3b(llm), prompt: "How many?" })
    expect({ text, reasoningText }).toEqual({ text: "23 chickens.", reasoningText: "35 heads" })
    expect(usage.outputTokens).toBeGreaterThan(3)
    await llm.free()
  } finally {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  }
})
