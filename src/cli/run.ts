// Answers one prompt: streams the reply, or prints it whole as JSON.

import type { Command } from "commander"
import type { Reply } from "../chat/reply.ts"
import { load } from "../llm.ts"
import type { Llm } from "../llm.ts"
import type { ChatRequest, Message } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { defaultModel } from "./default-model.ts"
import { interruptible } from "./interrupt.ts"
import { showingProgress } from "./loading.ts"
import {
  addContextOption,
  addJsonOption,
  addKvOptions,
  addModelOptions,
  modelArgument,
  required,
} from "./options.ts"
import type { KvOptions, ModelOptions } from "./options.ts"
import { note, printJson, sink } from "./output.ts"
import { readStdin } from "./stdin.ts"
import { ReplyView } from "./reply-view.ts"
import { addRequestOptions, requestOf } from "./request-options.ts"
import type { RequestOptions } from "./request-options.ts"

interface RunOptions extends ModelOptions, KvOptions, RequestOptions {
  prompt?: string
  context?: number
  json?: boolean
}

export function define(command: Command): void {
  command
    .addArgument(modelArgument().argOptional())
    .option("--prompt <text>", "what to answer; - reads it from stdin")
  addJsonOption(addModelOptions(addKvOptions(addContextOption(addRequestOptions(command))))).action(run)
}

async function run(named: string | undefined, options: RunOptions, command: Command): Promise<void> {
  const prompt = required(options.prompt, "--prompt <text>", command)
  const request = requestOf(options)
  const messages = await readMessages(prompt, options.system)
  const model = named ?? defaultModel()
  await interruptible(async (signal) => {
    const start = performance.now()
    const llm = await showingProgress((onProgress) =>
      load(model, { ...options, signal, onNotice: note, onProgress }),
    )
    const loadMs = performance.now() - start
    try {
      const reply = await answer(llm, { ...request, messages, signal }, options)
      if (options.json) printJson(asJson(reply, loadMs))
    } finally {
      await llm.free()
    }
  })
}

async function readMessages(prompt: string, system: string | undefined): Promise<Message[]> {
  const content = prompt === "-" ? await readStdin() : prompt
  if (content.trim() === "") throw new UserError("bad-argument", "the prompt is empty: give --prompt a text")
  const user: Message = { role: "user", content }
  return system === undefined ? [user] : [{ role: "system", content: system }, user]
}

async function answer(llm: Llm, request: ChatRequest, { json }: RunOptions): Promise<Reply> {
  const countTokens = (text: string) => llm.tokenizer.encode(text).length
  const view = new ReplyView({ thinking: "shown", countTokens, ...(json && { out: sink, err: sink }) })
  try {
    for await (const event of llm.chat(request)) view.push(event)
  } finally {
    view.end()
  }
  return view.reply
}

/** Names as in OpenAI's API, times as everywhere else here. */
function asJson({ reasoning, content, toolCalls, usage, finishReason, diagnostic }: Reply, loadMs: number) {
  const { promptTokens = 0, cachedTokens = 0, completionTokens = 0, reasoningTokens = 0 } = usage ?? {}
  const { prefillMs = 0, decodeMs = 0 } = usage ?? {}
  const perSecond = (numTokens: number, ms: number) => (ms > 0 ? (1000 * numTokens) / ms : null)
  return {
    reasoning,
    content,
    tool_calls: toolCalls,
    finish_reason: finishReason,
    diagnostic,
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
      cached_tokens: cachedTokens,
      reasoning_tokens: reasoningTokens,
    },
    kv: usage?.kv,
    timings: {
      loadMs,
      prefillMs,
      decodeMs,
      prefillTokensPerSecond: perSecond(promptTokens - cachedTokens, prefillMs),
      decodeTokensPerSecond: perSecond(completionTokens - 1, decodeMs),
    },
  }
}
