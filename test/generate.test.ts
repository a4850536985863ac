// The public path from end to end: a checkpoint is packed, loaded and asked, on every backend that there is.

import { existsSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, onTestFinished, test, vi } from "vitest"
import { addEvent, emptyReply, load } from "../src/index.ts"
import type { ChatEvent, ChatRequest, Llm, LoadOptions, Reply } from "../src/index.ts"
import { loadCpuBackend } from "../src/backend/cpu/cpu.ts"
import { UserError } from "../src/util/errors.ts"
import { ownHome } from "./own-home.ts"
import { scriptedCheckpoint } from "./scripted-checkpoint.ts"
import type { Script } from "./scripted-checkpoint.ts"

const folder = ownHome("generate")

const messages = [{ role: "user" as const, content: "How many?" }]

const thoughtful: Script = {
  family: "hybrid",
  says: [
    [
      "\n",
      "<think>",
      "35 heads, ",
      "94 legs: ",
      "x is 23.",
      "</think>",
      "\n\n",
      "There are ",
      "23 chickens",
      ".",
      "<|im_end|>",
    ],
  ],
}

let numLoaded = 0
async function loaded(script: Script, options: LoadOptions = {}): Promise<Llm> {
  const path = scriptedCheckpoint(join(folder, `script-${++numLoaded}`), script)
  const llm = await load(path, { backend: "reference", ...options })
  onTestFinished(() => llm.free())
  return llm
}

async function eventsOf(llm: Llm, request: Partial<ChatRequest> = {}): Promise<ChatEvent[]> {
  const events: ChatEvent[] = []
  for await (const event of llm.chat({ messages, ...request })) events.push(event)
  return events
}

async function replyOf(llm: Llm, request: Partial<ChatRequest> = {}): Promise<Reply> {
  const reply = emptyReply()
  for (const event of await eventsOf(llm, request)) addEvent(reply, event)
  return reply
}

const hasCpu = () => {
  try {
    loadCpuBackend({ threads: 1 }).free()
    return true
  } catch (error) {
    if (error instanceof UserError && error.code === "unsupported") return false
    throw error
  }
}
const backends = hasCpu() ? (["reference", "cpu"] as const) : (["reference"] as const)

describe.each(backends)("on the %s backend", (backend) => {
  test("a hybrid model thinks and answers", async () => {
    const llm = await loaded(thoughtful, { backend })
    expect(llm.model.backend.name).toBe(backend)
    const events = await eventsOf(llm)
    const types = [...new Set(events.map((event) => event.type))]
    expect(types).toEqual(["reasoning", "content", "usage", "finish"])
    const reply = emptyReply()
    for (const event of events) addEvent(reply, event)
    expect(reply).toMatchObject({
      reasoning: "35 heads, 94 legs: x is 23.",
      content: "There are 23 chickens.",
      finishReason: "stop",
    })
    expect(reply.diagnostic).toBeUndefined()
  })

  test("without thinking it answers at once", async () => {
    const reply = await replyOf(await loaded(thoughtful, { backend }), { thinking: "off" })
    expect(reply).toMatchObject({ reasoning: "", content: "There are 23 chickens.", finishReason: "stop" })
  })

  test("several replies at once are the same as one after the other", async () => {
    const llm = await loaded(thoughtful, { backend })
    const questions = ["How many?", "How many chickens are there?", "x".repeat(600)]
    const ask = (content: string) => replyOf(llm, { messages: [{ role: "user", content }] })
    for (const reply of await Promise.all(questions.map(ask)))
      expect(reply.content).toBe("There are 23 chickens.")
  })
})

test("usage counts prompt, reply and thinking, and what was cached", async () => {
  const llm = await loaded(thoughtful)
  const { usage } = await replyOf(llm)
  // <|im_start|> user \n How many? <|im_end|> \n <|im_start|> assistant \n, letter by letter
  expect(usage).toMatchObject({ promptTokens: 1 + 4 + 1 + 9 + 1 + 1 + 1 + 9 + 1, cachedTokens: 0 })
  // The opening tag belongs to no thought yet, the ending id to the reply.
  expect(usage).toMatchObject({ completionTokens: 10 })
  expect(usage?.reasoningTokens).toBeGreaterThanOrEqual(3)
  expect(usage?.prefillMs).toBeGreaterThan(0)
  expect((await replyOf(llm)).usage).toMatchObject({ promptTokens: 28, cachedTokens: 27 })
})

test("a thinking-only model's prompt begins the thought", async () => {
  const llm = await loaded({
    ...thoughtful,
    family: "thinking",
    says: [["\n", "So, ", "</think>", "\n\n", "23", "<|im_end|>"]],
  })
  expect(await replyOf(llm)).toMatchObject({ reasoning: "So, ", content: "23" })
  await expect(replyOf(llm, { thinking: "off" })).rejects.toMatchObject({ code: "bad-request" })
})

test("a tool call comes as events and ends the reply", async () => {
  const call = ['{"name": "add", ', '"arguments": {"a": 3', ', "b": 4}}']
  const llm = await loaded({
    says: [["\n", "Let me add.", "\n\n", "<tool_call>", ...call, "</tool_call>", "<|im_end|>"]],
  })
  const tools = [{ type: "function" as const, function: { name: "add", parameters: {} } }]
  const events = await eventsOf(llm, { tools })
  const deltas = events.flatMap((event) => (event.type === "tool-call-delta" ? [event.arguments] : []))
  expect(deltas.join("")).toBe('{"a": 3, "b": 4}')
  expect(events).toContainEqual(
    expect.objectContaining({ type: "tool-call", index: 0, name: "add", arguments: '{"a": 3, "b": 4}' }),
  )
  expect(events.at(-1)).toEqual({ type: "finish", reason: "tool_calls" })
})

test("a call that the model makes by itself has arguments that satisfy their schema, and text before it is free", async () => {
  const parameters = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] }
  const tools = [{ type: "function" as const, function: { name: "add", parameters } }]
  const call = ["<tool_call>", '\n{"name": "add", "arguments": ', '{"a": ', "no", "3", "}}\n", "</tool_call>"]
  const said = ["\n", "<think>", "Add.", "</think>", "\n\n", "Let me add no"]
  const script: Script = {
    family: "hybrid",
    says: [said, ["Let me add no", ...call, "<|im_end|>"]],
  }
  const llm = await loaded(script)
  const reply = await replyOf(llm, { tools, sampling: { maxTokens: 200 } })
  expect(reply).toMatchObject({ reasoning: "Add.", content: "Let me add no", finishReason: "tool_calls" })
  expect(reply.toolCalls.map(({ function: called }) => called.name)).toEqual(["add"])
  expect(JSON.parse(String(reply.toolCalls[0].function.arguments))).toEqual({ a: expect.any(Number) })
  // What cannot be kept to is refused where that was promised, and else left to the model.
  const odd = { ...parameters, not: {} }
  const asked = (strict?: boolean) => [
    { type: "function" as const, function: { name: "add", parameters: odd, strict } },
  ]
  await expect(replyOf(llm, { tools: asked(true) })).rejects.toThrow("tools[0].function.parameters.not")
  const loose = await replyOf(llm, { tools: asked(), sampling: { maxTokens: 60 } })
  expect(loose.content).toBe("Let me add no")
})

describe("a call that the request asks for", () => {
  const tools = ["add", "sub"].map((name) => ({
    type: "function" as const,
    function: { name, parameters: {} },
  }))
  /** Would rather not call; once a call has begun, it is of `sub`. */
  const calling = (family: Script["family"], thinking?: "off"): Script => {
    const thought = { hybrid: ["\n", "<think>"], thinking: ["\n"], plain: [] }[family ?? "plain"]
    const thinks = thinking === "off" ? [] : [...thought, "A sum.", "</think>"]
    return {
      family,
      says: [
        family === "plain" || thinking === "off" ? ["\n", "I will not."] : thinks,
        ["</think>", "I will not.", "<|im_end|>"],
        ["<tool_call>", '\n{"name": "sub", ', '"arguments": {}}\n', "</tool_call>", "<|im_end|>"],
      ],
    }
  }

  test.each([
    ["plain", undefined, ""],
    ["hybrid", "off", ""],
    ["hybrid", "on", "A sum."],
    ["thinking", undefined, "A sum."],
  ] as const)("comes from a %s model with thinking %s", async (family, thinking, reasoning) => {
    const llm = await loaded(calling(family, thinking === "off" ? "off" : undefined))
    const reply = await replyOf(llm, { tools, thinking, toolChoice: "required" })
    expect(reply).toMatchObject({ reasoning, content: "", finishReason: "tool_calls" })
    expect(reply.toolCalls.map((call) => call.function)).toEqual([{ name: "sub", arguments: "{}" }])
    expect(llm.engine.load).toMatchObject({ running: 0, usedPages: 0 })
  })

  test("is of the named tool, and the last one where one is all that is wanted", async () => {
    const twice = ["</tool_call>", "\n", "<tool_call>", '\n{"name": "sub", "arguments": {}}', "</tool_call>"]
    const llm = await loaded({ says: [[":", " ", '{"a": 1}}\n', ...twice, "<|im_end|>"]] })
    const request = { tools, toolChoice: { name: "add" }, maxToolCalls: 1 }
    const reply = await replyOf(llm, request)
    expect(reply.toolCalls.map((call) => call.function)).toEqual([{ name: "add", arguments: '{"a": 1}' }])
    expect(reply.finishReason).toBe("tool_calls")
    expect(llm.engine.load).toMatchObject({ running: 0, usedPages: 0 })
    await expect(replyOf(llm, { ...request, toolChoice: { name: "div" } })).rejects.toThrow(
      'toolChoice names "div", which is none of the tools',
    )
    await expect(replyOf(llm, { toolChoice: "required" })).rejects.toThrow("there are no tools")
  })

  test("is not begun where the thought has used up all tokens", async () => {
    const llm = await loaded(calling("thinking"))
    const reply = await replyOf(llm, { tools, toolChoice: "required", sampling: { maxTokens: 2 } })
    expect(reply).toMatchObject({ reasoning: "A sum.", content: "", toolCalls: [], finishReason: "length" })
    expect(reply.usage?.completionTokens).toBe(2)
  })
})

describe("a form that the request asks for", () => {
  const schema = {
    type: "object",
    properties: { heads: { type: "integer", minimum: 0 } },
    required: ["heads"],
  }
  const responseFormat = { type: "json_schema" as const, schema }
  const answer = ['{"heads": ', "35", "}", "<|im_end|>"]

  test.each<[Script["family"], ChatRequest["thinking"], string[], string]>([
    ["plain", undefined, ["\n", "There are ", ...answer], ""],
    ["hybrid", "off", ["\n\n", "There are ", ...answer], ""],
    ["hybrid", "on", ["\n", "<think>", "Heads.", "</think>", "\n\n", "There are ", ...answer], "Heads."],
    ["thinking", undefined, ["\n", "Heads.", "</think>", "\n\n", "There are ", ...answer], "Heads."],
  ])(
    "is kept to by a %s model with thinking %s from its thought's end on",
    async (family, thinking, says, reasoning) => {
      const llm = await loaded({ family, says: [says, ...["{", '"'].map((token) => [token, "There are "])] })
      const reply = await replyOf(llm, { thinking, responseFormat, sampling: { maxTokens: 200 } })
      expect(reply).toMatchObject({ reasoning, finishReason: "stop" })
      expect(JSON.parse(reply.content)).toEqual({ heads: expect.any(Number) })
      expect(llm.engine.load).toMatchObject({ running: 0, usedPages: 0 })
    },
  )

  test("begins anew behind a thought that its budget ended", async () => {
    const llm = await loaded({
      family: "thinking",
      says: [
        ["\n", "Hmm. ", "Hmm. "],
        ["\n\n", "It is 23.", ...answer],
      ],
    })
    const reply = await replyOf(llm, {
      thinking: { budget: 5 },
      responseFormat,
      sampling: { maxTokens: 300 },
    })
    expect(reply).toMatchObject({ finishReason: "stop", diagnostic: "the thought was ended by its budget" })
    expect(JSON.parse(reply.content)).toEqual({ heads: expect.any(Number) })
  })

  test("keeps a model from ending inside its thought, and says where it was cut", async () => {
    const llm = await loaded({
      family: "thinking",
      says: [
        ["\n", "Hmm. ", "<|im_end|>"],
        ["<|im_end|>", "Hmm. "],
      ],
    })
    // Without the end all ids are about as probable, the thought's end among them: a draw could take it.
    const sampling = { temperature: 0, maxTokens: 20 }
    const reply = await replyOf(llm, { responseFormat, sampling })
    expect(reply).toMatchObject({ content: "", finishReason: "length" })
  })

  test("leaves the choice between the form and a call of a tool, whose arguments are kept to as well", async () => {
    const parameters = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] }
    const tools = [{ type: "function" as const, function: { name: "add", parameters } }]
    const call = [
      "<tool_call>",
      '\n{"name": "add", "arguments": ',
      '{"a": ',
      "no",
      "3",
      "}}\n",
      "</tool_call>",
      "<|im_end|>",
    ]
    const llm = await loaded({ family: "hybrid", says: [["\n", "<think>", "Add.", "</think>", ...call]] })
    const reply = await replyOf(llm, { tools, responseFormat, sampling: { maxTokens: 200 } })
    expect(reply).toMatchObject({ reasoning: "Add.", content: "", finishReason: "tool_calls" })
    expect(JSON.parse(String(reply.toolCalls[0].function.arguments))).toEqual({ a: expect.any(Number) })
  })

  test("can be a pattern", async () => {
    const llm = await loaded({ says: [["\n", "35", " legs", " heads", "<|im_end|>"]] })
    const regex = { type: "regex" as const, pattern: "\\d+ heads" }
    expect((await replyOf(llm, { responseFormat: regex, sampling: { maxTokens: 60 } })).content).toMatch(
      /^\d+ heads$/,
    )
  })

  test("is refused before any work where it cannot be kept to", async () => {
    const llm = await loaded(thoughtful)
    const wrong = { type: "json_schema" as const, schema: { properties: { a: { type: "int" } } } }
    await expect(replyOf(llm, { responseFormat: wrong })).rejects.toMatchObject({
      code: "bad-request",
      message: expect.stringContaining("responseFormat.schema.properties.a.type"),
    })
  })
})

describe("log probabilities", () => {
  test("come with the content, token for token, and add up to one", async () => {
    const llm = await loaded(thoughtful)
    const events = await eventsOf(llm, { logprobs: 3, sampling: { temperature: 0 } })
    const content = events.flatMap((event) => (event.type === "content" ? [event] : []))
    const tokens = content.flatMap(({ logprobs }) => logprobs ?? [])
    expect(tokens.map(({ token }) => token).join("")).toBe(content.map(({ text }) => text).join(""))
    expect(Buffer.from(tokens.flatMap(({ bytes }) => [...bytes])).toString()).toBe("There are 23 chickens.")
    for (const { token, logprob, top } of tokens) {
      expect(top.map((one) => one.logprob)).toEqual([...top.map((one) => one.logprob)].sort((a, b) => b - a))
      expect(top[0]).toMatchObject({ token, logprob })
      expect(logprob).toBeLessThan(0)
    }
    // Not derived from the code under test: the logits after the same ids, summed up here.
    const prompt = llm.tokenizer.encode("There are 23 chickens")
    const logits = Array.from((await llm.engine.logits(prompt)).at(-1) ?? []).slice(0, llm.tokenizer.size)
    const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0)
    const expected = Math.max(...logits) - Math.log(sum)
    expect(tokens.at(-1)?.logprob).toBeCloseTo(expected, 4)
    await expect(eventsOf(llm, { logprobs: 21 })).rejects.toThrow("logprobs is 21")
  })
})

describe("stop strings", () => {
  test("end the content before them, across tokens", async () => {
    const llm = await loaded(thoughtful)
    const events = await eventsOf(llm, { stop: ["re 23 chick"] })
    const reply = emptyReply()
    for (const event of events) addEvent(reply, event)
    expect(reply).toMatchObject({ content: "There a", finishReason: "stop" })
    expect(events.at(-1)).toMatchObject({ stopString: "re 23 chick" })
    expect(llm.engine.load).toMatchObject({ running: 0, usedPages: 0 })
  })

  test("count in the content only", async () => {
    const reply = await replyOf(await loaded(thoughtful), { stop: ["94"] })
    expect(reply.content).toBe("There are 23 chickens.")
    expect(reply.reasoning).toContain("94")
  })
})

describe("a thought that does not end", () => {
  const brooding: Script = {
    family: "hybrid",
    says: [
      ["\n", "<think>", "Hmm. ", "Wait. ", "Hmm. "],
      ["\n\n", "It is 23.", "<|im_end|>"],
    ],
  }

  test("is ended by its budget, and an answer follows", async () => {
    const reply = await replyOf(await loaded(brooding), { thinking: { budget: 5 } })
    const stopText =
      "Considering the limited time by the user, I have to give the solution based on the thinking directly now."
    expect(reply.reasoning).toBe(`Hmm. Wait. Hmm. Wait. Hmm. \n\n${stopText}`)
    expect(reply).toMatchObject({ content: "It is 23.", finishReason: "stop" })
    expect(reply.diagnostic).toBe("the thought was ended by its budget")
  })

  test("is ended when it goes round in circles", async () => {
    const reply = await replyOf(await loaded(brooding))
    expect(reply).toMatchObject({
      content: "It is 23.",
      diagnostic: "the thought repeated itself and was ended",
    })
  })

  test("is cut off by maxTokens, which is told", async () => {
    const reply = await replyOf(await loaded(brooding), { sampling: { maxTokens: 20 } })
    expect(reply).toMatchObject({ content: "", finishReason: "length" })
    expect(reply.diagnostic).toBe("the reply ended inside its thinking")
  })
})

describe("what is asked for", () => {
  test("is refused beyond the context, with both numbers", async () => {
    const llm = await loaded(thoughtful, { context: 128 })
    const request = { messages: [{ role: "user" as const, content: "x".repeat(200) }] }
    await expect(replyOf(llm, request)).rejects.toThrow(
      "context is 128 tokens; prompt has 219: shorten it or raise --context",
    )
  })

  test("is drawn as generation_config.json says where the request does not", async () => {
    const generationConfig = { temperature: 0.6, top_k: 20, top_p: 0.95, repetition_penalty: 1.05 }
    const llm = await loaded({ ...thoughtful, generationConfig })
    expect(llm.defaults.sampling).toMatchObject({
      temperature: 0.6,
      topK: 20,
      topP: 0.95,
      repetitionPenalty: 1.05,
    })
    await expect(replyOf(llm, { sampling: { topP: 3 } })).rejects.toThrow("topP is 3")
  })

  test("can be cancelled at any moment", async () => {
    const llm = await loaded(thoughtful)
    const abort = new AbortController()
    const events: ChatEvent[] = []
    const reading = async () => {
      for await (const event of llm.chat({ messages, signal: abort.signal })) {
        events.push(event)
        abort.abort()
      }
    }
    await expect(reading()).rejects.toMatchObject({ code: "cancelled" })
    expect(events.length).toBeGreaterThan(0)
    expect(llm.engine.load).toMatchObject({ running: 0, usedPages: 0 })
  })

  test("can be cancelled while a long prompt is read, and is over soon", async () => {
    const llm = await loaded(thoughtful, { backend: backends.at(-1) })
    const abort = new AbortController()
    const content = "x".repeat(3900)
    const reading = replyOf(llm, { messages: [{ role: "user", content }], signal: abort.signal })
    reading.catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 15))
    expect(llm.engine.load.running).toBe(1)
    const start = performance.now()
    abort.abort()
    await expect(reading).rejects.toMatchObject({ code: "cancelled" })
    expect(performance.now() - start).toBeLessThan(1000)
    expect(llm.engine.load).toMatchObject({ running: 0, usedPages: 0 })
  })

  test("frees its pages when the reader leaves", async () => {
    const llm = await loaded(thoughtful)
    for await (const _ of llm.chat({ messages })) break
    expect(llm.engine.load).toMatchObject({ running: 0, usedPages: 0 })
  })
})

describe("loading", () => {
  test("takes the packed file as well, and packs a checkpoint once", async () => {
    const llm = await loaded(thoughtful)
    const again = await load(llm.packed.path, { backend: "reference" })
    expect((await replyOf(again)).content).toBe("There are 23 chickens.")
    await again.free()
    expect(existsSync(llm.packed.path)).toBe(true)
  })

  test("gives the longest context where none is asked for", async () => {
    expect((await loaded(thoughtful)).context).toBe(4096)
    await expect(loaded(thoughtful, { context: 5000 })).rejects.toThrow(
      "the model has positions for 4,096 tokens",
    )
  })

  test("falls back on the reference where there is no native backend, and says what is missing", async () => {
    vi.resetModules()
    const missing = () => {
      throw new Error("no native addon: install a compiler")
    }
    vi.doMock("../src/backend/cpu/native.ts", () => ({ loadAddon: missing }))
    const { openBackend } = await import("../src/llm.ts")
    const notices: string[] = []
    const backend = await openBackend({ onNotice: (text) => notices.push(text) })
    expect(backend.name).toBe("reference")
    expect(notices).toEqual([
      "no native addon: install a compiler; until then the slow reference backend is used",
    ])
    await expect(openBackend({ backend: "cpu" })).rejects.toThrow("no native addon")
    vi.doUnmock("../src/backend/cpu/native.ts")
    vi.resetModules()
  })

  test("a freed model refuses further work", async () => {
    const llm = await loaded(thoughtful)
    await llm.free()
    await expect(replyOf(llm)).rejects.toThrow("freed")
  })

  test("a model is freed at the end of its scope", async () => {
    const models: Llm[] = []
    {
      await using llm = await load(scriptedCheckpoint(join(folder, "scope"), thoughtful), {
        backend: "reference",
      })
      models.push(llm)
    }
    await expect(replyOf(models[0])).rejects.toThrow("freed")
  })

  test("a model without memory for it is refused before it is loaded", async () => {
    const available = vi.spyOn(process, "availableMemory").mockReturnValue(1000)
    await expect(loaded(thoughtful)).rejects.toMatchObject({ code: "model-too-large" })
    available.mockRestore()
  })

  test("a tokenizer with more ids than the embedding has rows is refused", async () => {
    const path = scriptedCheckpoint(join(folder, "too-many-ids"), thoughtful)
    const other = scriptedCheckpoint(join(folder, "other"), {
      says: [Array.from({ length: 60 }, (_, i) => `word ${i}`)],
    })
    await expect(load(path, { backend: "reference", tokenizer: other })).rejects.toThrow("the embedding only")
  })
})

test("the example of the short API streams an answer", async () => {
  const path = scriptedCheckpoint(join(folder, "example"), thoughtful)
  vi.doMock("a3b", () => import("../src/index.ts"))
  vi.spyOn(process, "argv", "get").mockReturnValue(["node", "chat.ts", path, "How many?"])
  const written = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const) {
    const keep = (text: string | Uint8Array) => ((written[name] += String(text)), true)
    vi.spyOn(process[name], "write").mockImplementation(keep)
  }
  vi.spyOn(console, "error").mockImplementation((text) => void (written.stderr += text))
  vi.spyOn(console, "log").mockImplementation(() => undefined)
  await import("../examples/chat.ts").finally(() => vi.restoreAllMocks())
  expect(written.stdout).toBe("There are 23 chickens.")
  expect(written.stderr).toContain("35 heads, 94 legs: x is 23.")
  expect(written.stderr).toMatch(/10 tokens, [\d.]+ a second/)
})
