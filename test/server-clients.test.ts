// The server as programs use it that others wrote: OpenAI's and Anthropic's clients, LangChain's and the AI SDK, over a
// socket, and a model of real weights behind it. curl asks it in cli-talk.test.ts.

import Anthropic from "@anthropic-ai/sdk"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { HumanMessage, ToolMessage } from "@langchain/core/messages"
import { ChatOpenAI } from "@langchain/openai"
import { generateText, jsonSchema, streamText, tool } from "ai"
import OpenAI from "openai"
import { zodResponseFormat } from "openai/helpers/zod"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { z } from "zod"
import { listen } from "../src/server/server.ts"
import type { RunningServer } from "../src/server/running-server.ts"
import type { ChatRequest } from "../src/types.ts"
import { FakeModel } from "./fake-model.ts"
import { serving } from "./serving.ts"

const thought = ["<think>\n", "The weather", " of Paris.\n", "</think>", "\n\n"]
const called = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}\n</tool_call>'
const model = new FakeModel({
  // A call as long as there is no result yet.
  says: ({ tools, messages, responseFormat }) =>
    responseFormat
      ? [...thought, '{"city": "Paris"', ', "days": 3}']
      : tools && !messages.some(({ role }) => role === "tool")
        ? [...thought, "One moment.", called]
        : [...thought, "It is", " sunny."],
})

let server: RunningServer
let openai: OpenAI
let anthropic: Anthropic
beforeAll(async () => {
  server = await listen(serving(model, { aliases: ["any"] }), { host: "127.0.0.1", port: 0 })
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 })
  anthropic = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 })
})
afterAll(() => server.close(0))

const messages = [{ role: "user" as const, content: "Weather in Paris?" }]
const parameters = { type: "object", properties: { city: { type: "string" } } } as const

async function collected<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of stream) all.push(one)
  return all
}

describe("the openai client", () => {
  const tools = [{ type: "function" as const, function: { name: "get_weather", parameters } }]

  test("reads a chat completion with thought and tool call", async () => {
    const { choices, usage } = await openai.chat.completions.create({ model: "fake", messages, tools })
    expect(choices[0].message).toMatchObject({
      content: "One moment.",
      reasoning_content: "The weather of Paris.",
      tool_calls: [{ function: { name: "get_weather", arguments: '{"city": "Paris", "days": 3}' } }],
    })
    expect(usage).toMatchObject({ total_tokens: 16, prompt_tokens_details: { cached_tokens: 7 } })
  })

  test("parses what a zod schema asked for", async () => {
    const form = z.object({ city: z.string(), days: z.number().int().min(1) })
    const response_format = zodResponseFormat(form, "trip")
    const { choices } = await openai.chat.completions.parse({ model: "fake", messages, response_format })
    expect(choices[0].message.parsed).toEqual({ city: "Paris", days: 3 })
    const { responseFormat } = model.requests.at(-1) as ChatRequest
    expect(responseFormat).toMatchObject({ type: "json_schema", schema: { required: ["city", "days"] } })
    const wrong = { type: "json_schema", json_schema: { name: "n", schema: { type: "int" } } } as const
    await expect(
      openai.chat.completions.create({ model: "fake", messages, response_format: wrong }),
    ).rejects.toThrow('response_format.json_schema.schema.type is "int"')
  })

  test("reads log probabilities", async () => {
    const { choices } = await openai.chat.completions.create({
      model: "fake",
      messages,
      logprobs: true,
      top_logprobs: 1,
    })
    const tokens = choices[0].logprobs?.content ?? []
    expect(tokens.map(({ token }) => token).join("")).toBe("It is sunny.")
    expect(tokens[0].top_logprobs).toEqual([
      { token: "It is", logprob: -Math.LN2, bytes: [73, 116, 32, 105, 115] },
    ])
  })

  test("puts a stream together to the same message", async () => {
    const stream = openai.chat.completions.stream({
      model: "fake",
      messages,
      tools,
      stream_options: { include_usage: true },
    })
    const { choices, usage } = await stream.finalChatCompletion()
    expect(choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: {
        content: "One moment.",
        tool_calls: [{ function: { name: "get_weather", arguments: '{"city": "Paris", "days": 3}' } }],
      },
    })
    expect(usage?.completion_tokens).toBe(5)
  })

  test("runs a tool and goes on", async () => {
    const runner = openai.chat.completions.runTools({
      model: "fake",
      messages,
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            description: "The weather of a city.",
            parameters,
            parse: JSON.parse,
            function: ({ city }: { city: string }) => `${city}: sunny`,
          },
        },
      ],
    })
    expect(await runner.finalContent()).toBe("It is sunny.")
    expect(model.requests.at(-1)).toMatchObject({
      messages: [{ role: "user" }, { role: "assistant" }, { role: "tool", content: "Paris: sunny" }],
    })
  })

  test("reads responses, whole and streamed", async () => {
    const flat = [{ type: "function" as const, name: "get_weather", parameters, strict: false }]
    const whole = await openai.responses.create({ model: "fake", input: messages, tools: flat })
    expect(whole.output.map(({ type }) => type)).toEqual(["reasoning", "message", "function_call"])
    expect(whole).toMatchObject({ status: "completed", output_text: "One moment." })
    const next = await openai.responses.create({
      model: "fake",
      tools: flat,
      input: [
        ...messages,
        ...whole.output.filter((item) => item.type !== "reasoning"),
        { type: "function_call_output", call_id: "c", output: "sunny" },
      ] as OpenAI.Responses.ResponseInput,
    })
    expect(next.output_text).toBe("It is sunny.")
    const stream = openai.responses.stream({ model: "fake", input: messages, tools: flat })
    const events = await collected(stream)
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, i) => i))
    const final = await stream.finalResponse()
    expect(final.output.map((item) => ("content" in item ? item.content : item))).toMatchObject([
      [{ text: "The weather of Paris." }],
      [{ text: "One moment." }],
      { name: "get_weather", arguments: '{"city": "Paris", "days": 3}' },
    ])
    expect(final.usage).toMatchObject({ input_tokens: 11, input_tokens_details: { cached_tokens: 7 } })
  })

  test("completes texts, whole and streamed", async () => {
    const whole = await openai.completions.create({ model: "fake", prompt: ["a", "b"], n: 2 })
    expect(whole.choices.map(({ index, text }) => [index, text])).toEqual(
      [0, 1, 2, 3].map((i) => [i, "Hello."]),
    )
    // Each prompt once, each reply.
    expect(whole.usage).toMatchObject({ prompt_tokens: 22, completion_tokens: 20, total_tokens: 42 })
    const stream = await openai.completions.create({ model: "fake", prompt: "a", stream: true })
    expect((await collected(stream)).at(-1)?.choices[0].finish_reason).toBe("stop")
  })

  test("lists and finds the model", async () => {
    expect((await collected(openai.models.list())).map(({ id }) => id)).toEqual(["fake"])
    expect((await openai.models.retrieve("fake")).id).toBe("fake")
  })

  test("throws its own errors", async () => {
    const long = openai.chat.completions.create({
      model: "fake",
      messages: [{ role: "user", content: "x".repeat(2000) }],
    })
    await expect(long).rejects.toBeInstanceOf(OpenAI.BadRequestError)
    await expect(long).rejects.toMatchObject({ code: "context_length_exceeded", status: 400 })
    const unknown = openai.chat.completions.create({ model: "other", messages })
    await expect(unknown).rejects.toBeInstanceOf(OpenAI.NotFoundError)
    await expect(openai.embeddings.create({ model: "fake", input: "x" })).rejects.toMatchObject({
      status: 501,
    })
  })

  test("that aborts ends the reply", async () => {
    const stream = await openai.chat.completions.create({ model: "fake", messages, stream: true })
    stream.controller.abort()
    while (model.numLive > 0) await new Promise((resolve) => setTimeout(resolve, 1))
  })
})

describe("the Anthropic client", () => {
  const tools = [{ name: "get_weather", input_schema: parameters as Anthropic.Tool.InputSchema }]
  const thinking = { type: "enabled" as const, budget_tokens: 1024 }
  const ask = { model: "any", max_tokens: 2048, messages, tools, thinking }

  test("reads a message with thought, text and tool use", async () => {
    const message = await anthropic.messages.create(ask)
    expect(message).toMatchObject({
      role: "assistant",
      stop_reason: "tool_use",
      content: [
        { type: "thinking", thinking: "The weather of Paris." },
        { type: "text", text: "One moment." },
        { type: "tool_use", name: "get_weather", input: { city: "Paris", days: 3 } },
      ],
      usage: { input_tokens: 4, cache_read_input_tokens: 7, output_tokens: 5 },
    })
    expect(model.requests.at(-1)).toMatchObject({ thinking: { budget: 1024 }, sampling: { maxTokens: 2048 } })
  })

  test("puts a stream together to the same message", async () => {
    const whole = await anthropic.messages.create(ask)
    const streamed = await anthropic.messages.stream(ask).finalMessage()
    const withoutIds = ({ content }: Anthropic.Message) => content.map((one) => ({ ...one, id: undefined }))
    expect(withoutIds(streamed)).toEqual(withoutIds(whole))
    expect([streamed.stop_reason, streamed.usage.output_tokens]).toEqual(["tool_use", 5])
  })

  test("goes on after a tool's result", async () => {
    const { content } = await anthropic.messages.create(ask)
    const call = content.find((one) => one.type === "tool_use")
    const result = { type: "tool_result" as const, tool_use_id: call?.id ?? "", content: "sunny" }
    const again = [
      ...messages,
      { role: "assistant" as const, content },
      { role: "user" as const, content: [result] },
    ]
    const message = await anthropic.messages.create({ ...ask, messages: again })
    expect(message.content.at(-1)).toEqual({ type: "text", text: "It is sunny." })
    expect(model.requests.at(-1)).toMatchObject({
      messages: [
        { role: "user" },
        {
          role: "assistant",
          content: "One moment.",
          reasoning_content: "The weather of Paris.",
          tool_calls: [{ function: { name: "get_weather", arguments: { city: "Paris", days: 3 } } }],
        },
        { role: "tool", content: "sunny", tool_call_id: call?.id },
      ],
    })
  })

  test("counts tokens", async () => {
    const { input_tokens } = await anthropic.messages.countTokens({ model: "any", messages })
    expect(input_tokens).toBe('user: "Weather in Paris?"\n'.length)
  })

  test("throws its own errors", async () => {
    const wrong = anthropic.messages.create({ ...ask, messages: [] })
    await expect(wrong).rejects.toBeInstanceOf(Anthropic.BadRequestError)
    await expect(wrong).rejects.toMatchObject({
      error: { type: "error", error: { type: "invalid_request_error" } },
    })
  })
})

describe("the AI SDK", () => {
  const tools = {
    get_weather: tool({
      inputSchema: jsonSchema<{ city: string }>(parameters),
      execute: async ({ city }) => `${city}: sunny`,
    }),
  }
  const provider = () => createOpenAICompatible({ name: "a3b", baseURL: `${server.url}/v1` })("fake")

  test("reads a reply with its thought", async () => {
    const { text, reasoningText, usage } = await generateText({ model: provider(), prompt: "Weather?" })
    expect({ text, reasoningText }).toEqual({ text: "It is sunny.", reasoningText: "The weather of Paris." })
    expect(usage).toMatchObject({ inputTokens: 11, outputTokens: 5 })
  })

  test("streams, calls its tool and goes on", async () => {
    const { fullStream } = streamText({
      model: provider(),
      prompt: "Weather?",
      tools,
      stopWhen: ({ steps }) => steps.length === 2,
    })
    const parts = await collected(fullStream)
    const text = (type: string) =>
      parts.map((part) => (part.type === type && "text" in part ? part.text : "")).join("")
    expect(text("reasoning-delta")).toBe("The weather of Paris.".repeat(2))
    expect(text("text-delta")).toBe("One moment.It is sunny.")
    expect(parts).toContainEqual(
      expect.objectContaining({
        type: "tool-result",
        output: "Paris: sunny",
        input: { city: "Paris", days: 3 },
      }),
    )
  })
})

describe("LangChain's client", () => {
  const tools = [{ type: "function" as const, function: { name: "get_weather", parameters } }]
  const client = () =>
    new ChatOpenAI({
      model: "fake",
      apiKey: "none",
      configuration: { baseURL: `${server.url}/v1` },
      maxRetries: 0,
    })

  test("reads a reply and what it took", async () => {
    const reply = await client().invoke("Weather?")
    expect(reply.text).toBe("It is sunny.")
    expect(reply.usage_metadata).toMatchObject({ input_tokens: 11, output_tokens: 5, total_tokens: 16 })
  })

  test("puts a stream together to the same reply", async () => {
    const chunks = await collected(await client().stream("Weather?"))
    expect(chunks.length).toBeGreaterThan(2)
    expect(chunks.map(({ text }) => text).join("")).toBe("It is sunny.")
    const usages = chunks.flatMap(({ usage_metadata }) => usage_metadata ?? [])
    expect(usages.at(-1)).toMatchObject({ input_tokens: 11, output_tokens: 5 })
  })

  test("calls tools, whole and streamed, and goes on after their results", async () => {
    const calling = client().bindTools(tools)
    const question = new HumanMessage("Weather?")
    const args = { city: "Paris", days: 3 }
    const reply = await calling.invoke([question])
    expect(reply.tool_calls).toMatchObject([{ name: "get_weather", args }])
    const pieces = (await collected(await calling.stream([question]))).map(
      ({ tool_call_chunks = [] }) => tool_call_chunks[0]?.args ?? "",
    )
    expect(JSON.parse(pieces.join(""))).toEqual(args)
    const result = new ToolMessage({ content: "sunny", tool_call_id: reply.tool_calls?.[0].id ?? "" })
    expect((await calling.invoke([question, reply, result])).text).toBe("It is sunny.")
    expect(model.requests.at(-1)).toMatchObject({
      messages: [{ role: "user" }, { role: "assistant" }, { role: "tool", content: "sunny" }],
    })
  })

  test("gets an object in the form of a tool's arguments", async () => {
    const schema = { ...parameters, title: "get_weather" }
    const structured = client().withStructuredOutput(schema, {
      name: "get_weather",
      method: "functionCalling",
    })
    expect(await structured.invoke("Weather?")).toEqual({ city: "Paris", days: 3 })
    expect(model.requests.at(-1)).toMatchObject({ toolChoice: { name: "get_weather" } })
  })
})
