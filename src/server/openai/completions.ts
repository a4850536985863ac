// Steps 1 and 9. /v1/completions: a text, or several, continued as they stand, without a template.

import { z } from "zod"
import type { Reply } from "../../chat/reply.ts"
import type { ChatEvent, Json, TokenLogprob, Usage } from "../../types.ts"
import { openAiError } from "../api-error.ts"
import type { ApiError } from "../api-error.ts"
import { check, refuse } from "../body.ts"
import { newId, now } from "../endpoint.ts"
import type { Endpoint, RequestContext } from "../endpoint.ts"
import type { CompletionRequest } from "../served-model.ts"
import { eventText } from "../sse.ts"
import type { ReplyWriter } from "../sse.ts"
import type { AnswerHead } from "./chat-writer.ts"
import {
  priorityField,
  samplingFields,
  samplingOf,
  samplingOfChoice,
  stopField,
  stopsOf,
  streamFields,
} from "./fields.ts"
import { usageOf } from "./usage.ts"

const ids = z.array(z.number().int().min(0)).min(1)
const text = z.string().min(1)

const body = z.object({
  model: z.string().nullish(),
  prompt: z.union([text, z.array(text).min(1).max(16), ids, z.array(ids).min(1).max(16)], {
    error: "wanted a text or a list of token ids, or a list of at most 16 of them",
  }),
  max_tokens: z.number().int().min(1).nullish(),
  n: z.number().int().min(1).max(16).nullish(),
  stop: stopField,
  priority: priorityField,
  echo: z.boolean().nullish(),
  suffix: z.string().nullish(),
  best_of: z.number().nullish(),
  logprobs: z.number().int().min(0).max(20).nullish(),
  ...samplingFields,
  ...streamFields,
})

type Prompt = CompletionRequest["prompt"]

export async function completions(endpoint: Endpoint, c: RequestContext): Promise<Response> {
  const order = readOrder(await endpoint.body(c))
  endpoint.checkModel(order.model ?? undefined)
  const prompts = promptsOf(order.prompt)
  const repeats = order.n ?? 1
  const priority = endpoint.priority(c, order.priority ?? undefined)
  const sampling = samplingOf(order, order.max_tokens ?? 16) // as many as OpenAI takes where it is not said
  const replies = await endpoint.service.begin(endpoint.caller(c), (model, signal) =>
    prompts.flatMap((prompt) =>
      Array.from({ length: repeats }, (_, choice) =>
        model.complete({
          prompt,
          sampling: samplingOfChoice(sampling, choice),
          stop: stopsOf(order.stop),
          logprobs: order.logprobs ?? undefined,
          priority,
          signal,
        }),
      ),
    ),
  )
  const head = { id: newId("cmpl-"), created: now(), model: endpoint.modelId }
  const delivery = order.stream ? ("stream" as const) : ("whole" as const)
  const streamUsage = order.stream_options?.include_usage ? ("sent" as const) : ("left-out" as const)
  return endpoint.deliver(
    c,
    replies,
    { delivery, numReplies: prompts.length * repeats },
    {
      writer: () => new CompletionWriter(head, repeats, streamUsage),
      whole: (all) => completion(head, repeats, all),
    },
  )
}

function readOrder(json: Json): z.infer<typeof body> {
  const order = check(body, json)
  if (order.echo) refuse("echo", "the prompt is not repeated here: leave it out")
  if (order.suffix) refuse("suffix", "this model continues texts and does not fill gaps: leave it out")
  if ((order.best_of ?? 1) > (order.n ?? 1)) refuse("best_of", "all replies are sent here: ask for n")
  return order
}

/** One prompt, or several: a list of numbers is one. */
function promptsOf(prompt: z.infer<typeof body>["prompt"]): Prompt[] {
  if (typeof prompt === "string") return [prompt]
  return typeof prompt[0] === "number" ? [prompt as number[]] : (prompt as Prompt[]) // told apart by the first
}

class CompletionWriter implements ReplyWriter {
  readonly #head: AnswerHead
  readonly #repeats: number
  readonly #streamUsage: "sent" | "left-out"
  readonly #usages: Usage[] = []
  /** Of the text so far, by choice. */
  readonly #lengths: number[] = []

  constructor(head: AnswerHead, repeats: number, streamUsage: "sent" | "left-out") {
    this.#head = head
    this.#repeats = repeats
    this.#streamUsage = streamUsage
  }

  begin(): string[] {
    return []
  }

  push(choice: number, event: ChatEvent): string[] {
    if (event.type === "content") return [this.#content(choice, event)]
    if (event.type === "finish") return [this.#chunk(choice, "", event.reason)]
    if (event.type === "usage") this.#usages[choice] = event.usage
    return []
  }

  end(): string[] {
    const usage = { ...this.#shape, choices: [], usage: usageOfAll(this.#usages, this.#repeats) }
    return [...(this.#streamUsage === "sent" ? [eventText(usage)] : []), eventText("[DONE]")]
  }

  fail(error: ApiError): string[] {
    return [eventText(openAiError(error))]
  }

  get #shape() {
    return { ...this.#head, object: "text_completion" }
  }

  #content(choice: number, { text, logprobs }: ChatEvent & { type: "content" }): string {
    const offset = this.#lengths[choice] ?? 0
    this.#lengths[choice] = offset + text.length
    return this.#chunk(choice, text, null, logprobsOf(logprobs, offset))
  }

  #chunk(index: number, text: string, finish_reason: string | null, logprobs: object | null = null): string {
    return eventText({ ...this.#shape, choices: [{ index, text, logprobs, finish_reason }] })
  }
}

function completion(head: AnswerHead, repeats: number, replies: readonly Reply[]) {
  return {
    ...head,
    object: "text_completion",
    choices: replies.map(({ content, finishReason, logprobs }, index) => ({
      index,
      text: content,
      logprobs: logprobsOf(logprobs, 0),
      finish_reason: finishReason,
    })),
    usage: usageOfAll(
      replies.flatMap(({ usage }) => usage ?? []),
      repeats,
    ),
  }
}

/** In the form of OpenAI's completions: lists beside each other; `offset` characters came before. */
function logprobsOf(tokens: readonly TokenLogprob[] | undefined, offset: number) {
  if (tokens === undefined) return null
  let end = offset
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: tokens.map(({ token }) => (end += token.length) - token.length),
  }
}

/** Each prompt counts once, however often it was continued. */
function usageOfAll(usages: readonly Usage[], repeats: number) {
  const promptTokens = usages.reduce((sum, usage, i) => sum + (i % repeats === 0 ? usage.promptTokens : 0), 0)
  const all = usageOf(usages)
  return { ...all, prompt_tokens: promptTokens, total_tokens: promptTokens + all.completion_tokens }
}
