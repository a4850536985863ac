// Answers one prompt: streams the reply, or prints it whole as JSON.

import type { Command } from "commander"
import type { Reply } from "../chat/reply.ts"
import type { ChatRequest, Message } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { interruptible } from "./interrupt.ts"
import { addJsonOption, modelArgument, required } from "./options.ts"
import { printJson, sink } from "./output.ts"
import { readStdin } from "./stdin.ts"
import { ReplyView } from "./reply-view.ts"
import { addRequestOptions, requestOf } from "./request-options.ts"
import type { RequestOptions } from "./request-options.ts"
import { addSpeakerOptions, openSpeaker } from "./speaker.ts"
import type { Speaker, SpeakerOptions } from "./speaker.ts"

interface RunOptions extends SpeakerOptions, RequestOptions {
  prompt?: string
  json?: boolean
}

export function define(command: Command): void {
  command
    .addArgument(modelArgument().argOptional())
    .option("--prompt <text>", "what to answer; - reads it from stdin")
  addJsonOption(addSpeakerOptions(addRequestOptions(command))).action(run)
}

async function run(named: string | undefined, options: RunOptions, command: Command): Promise<void> {
  const prompt = required(options.prompt, "--prompt <text>", command)
  const request = requestOf(options)
  const messages = await readMessages(prompt, options.system)
  await interruptible(async (signal) => {
    const start = performance.now()
    const speaker = await openSpeaker(named, command, signal)
    const loadMs = performance.now() - start
    try {
      const reply = await answer(speaker, { ...request, messages, signal }, options)
      if (options.json) printJson(asJson(reply, loadMs))
    } finally {
      await speaker.free()
    }
  })
}

async function readMessages(prompt: string, system: string | undefined): Promise<Message[]> {
  const content = prompt === "-" ? await readStdin() : prompt
  if (content.trim() === "") throw new UserError("bad-argument", "the prompt is empty: give --prompt a text")
  const user: Message = { role: "user", content }
  return system === undefined ? [user] : [{ role: "system", content: system }, user]
}

async function answer(
  { model, countTokens }: Speaker,
  request: ChatRequest,
  { json }: RunOptions,
): Promise<Reply> {
  const view = new ReplyView({ thinking: "shown", countTokens, ...(json && { out: sink, err: sink }) })
  try {
    for await (const event of model.chat(request)) view.push(event)
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
