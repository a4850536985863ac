// Steps 1 and 9 for the AI SDK: a `ChatModel` as a language model of its version 6 (`LanguageModelV3`), in process.
// Options in, content or a stream of parts out; of the SDK only types are used.

import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
} from "@ai-sdk/provider"
import { addEvent, emptyReply } from "../chat/reply.ts"
import type { ChatModel } from "../types.ts"
import { readCall } from "./call.ts"
import { endingOf } from "./ending.ts"
import { streamParts } from "./stream-parts.ts"

export interface LanguageModelOptions {
  /** What the model is called in results and traces. */
  modelId?: string
}

/**
 * A loaded model, or a remote one, for `generateText`, `streamText` and the like. `providerOptions.a3b` takes `thinking`
 * (`"on"`, `"off"`, `{ budget }`), `minP`, `repetitionPenalty` and `templateVariables`. The model stays the caller's to
 * free.
 */
export function a3b(model: ChatModel, options: LanguageModelOptions = {}): LanguageModelV3 {
  const { modelId = "qwen3-30b-a3b" } = options
  return {
    specificationVersion: "v3",
    provider: "a3b",
    modelId,
    supportedUrls: {},
    doGenerate: (call) => generate(model, modelId, call),
    doStream: async (call) => stream(model, modelId, call),
  }
}

async function generate(
  model: ChatModel,
  modelId: string,
  call: LanguageModelV3CallOptions,
): Promise<LanguageModelV3GenerateResult> {
  const { request, warnings } = readCall(call)
  const reply = emptyReply()
  try {
    for await (const event of model.chat({ ...request, signal: call.abortSignal })) addEvent(reply, event)
  } catch (error) {
    throw abortOf(call) ?? error
  }
  const { reasoning, content, toolCalls, usage, finishReason = "stop" } = reply
  const all: LanguageModelV3Content[] = [
    ...(reasoning === "" ? [] : [{ type: "reasoning" as const, text: reasoning }]),
    ...(content === "" ? [] : [{ type: "text" as const, text: content }]),
    ...toolCalls.map(({ id = "", function: { name, arguments: input } }) => ({
      type: "tool-call" as const,
      toolCallId: id,
      toolName: name,
      input: typeof input === "string" ? input : JSON.stringify(input),
    })),
  ]
  const finish = { ...reply, type: "finish" as const, reason: finishReason }
  return { content: all, ...endingOf(finish, usage), response: { modelId, timestamp: new Date() }, warnings }
}

function stream(
  model: ChatModel,
  modelId: string,
  call: LanguageModelV3CallOptions,
): LanguageModelV3StreamResult {
  const { request, warnings } = readCall(call)
  const cancelled = new AbortController()
  const signals = [cancelled.signal, ...(call.abortSignal ? [call.abortSignal] : [])]
  const events = model.chat({ ...request, signal: AbortSignal.any(signals) })
  const parts = streamParts(events, { modelId, warnings, abort: () => abortOf(call) })
  return {
    stream: new ReadableStream<LanguageModelV3StreamPart>({
      async pull(controller) {
        const { done, value } = await parts.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      // Nobody reads on: the step that runs is cut short, and nothing is generated any more.
      async cancel() {
        cancelled.abort()
        await parts.return()
      },
    }),
  }
}

/** The SDK knows an abort by the signal's own reason. */
function abortOf({ abortSignal }: LanguageModelV3CallOptions): unknown {
  return abortSignal?.aborted ? abortSignal.reason : undefined
}
