// The shapes of answers as OpenAI's and Anthropic's references have them, and our own fields beside them, each named;
// a field that is none of these fails. Written from the references, not from the server.

import { z } from "zod"

const count = z.number().int().min(0)
const text = z.string()
const seconds = z.number().int().positive()

const openAiError = z.strictObject({
  error: z.strictObject({
    message: text.min(1),
    type: text.min(1),
    param: text.nullable(),
    code: text.nullable(),
  }),
})
const anthropicError = z.strictObject({
  type: z.literal("error"),
  error: z.strictObject({ type: text.min(1), message: text.min(1) }),
})

const usage = z.strictObject({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.strictObject({ cached_tokens: count }),
  completion_tokens_details: z.strictObject({ reasoning_tokens: count }),
})

const token = { token: text, logprob: z.number().max(0), bytes: z.array(count.max(255)) }
const logprobs = z
  .strictObject({
    content: z.array(z.strictObject({ ...token, top_logprobs: z.array(z.strictObject(token)).max(20) })),
    refusal: z.null(),
  })
  .nullable()
const reason = z.enum(["stop", "length", "tool_calls", "content_filter"])
const chatHead = { id: text.startsWith("chatcmpl-"), created: seconds, model: text }

const chatCompletion = z.strictObject({
  ...chatHead,
  object: z.literal("chat.completion"),
  choices: z
    .array(
      z.strictObject({
        index: count,
        message: z.strictObject({
          role: z.literal("assistant"),
          content: text.nullable(),
          refusal: z.null(),
          reasoning_content: text.optional(),
          reasoning: text.optional(),
          tool_calls: z
            .array(
              z.strictObject({
                id: text.min(1),
                type: z.literal("function"),
                function: z.strictObject({ name: text, arguments: text }),
              }),
            )
            .optional(),
        }),
        logprobs,
        finish_reason: reason,
        diagnostic: text.optional(),
      }),
    )
    .min(1),
  usage,
})

const delta = z.strictObject({
  role: z.literal("assistant").optional(),
  content: text.optional(),
  reasoning_content: text.optional(),
  reasoning: text.optional(),
  tool_calls: z
    .array(
      z.strictObject({
        index: count,
        id: text.optional(),
        type: z.literal("function").optional(),
        function: z.strictObject({ name: text.optional(), arguments: text }),
      }),
    )
    .optional(),
})
const chatChunk = z.strictObject({
  ...chatHead,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(
    z.strictObject({
      index: count,
      delta,
      logprobs,
      finish_reason: reason.nullable(),
      diagnostic: text.optional(),
    }),
  ),
  usage: usage.optional(),
})

const completion = z.strictObject({
  id: text.startsWith("cmpl-"),
  created: seconds,
  model: text,
  object: z.literal("text_completion"),
  choices: z.array(
    z.strictObject({
      index: count,
      text,
      logprobs: z
        .strictObject({
          tokens: z.array(text),
          token_logprobs: z.array(z.number()),
          top_logprobs: z.array(z.record(text, z.number())),
          text_offset: z.array(count),
        })
        .nullable(),
      finish_reason: z.enum(["stop", "length"]).nullable(),
    }),
  ),
  usage: usage.optional(),
})

const outputText = z.strictObject({
  type: z.literal("output_text"),
  text,
  annotations: z.array(z.never()),
  logprobs: z.array(z.never()),
})
const thoughtText = z.strictObject({ type: z.literal("reasoning_text"), text })
const status = z.enum(["in_progress", "completed", "incomplete"])
const item = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("reasoning"),
    id: text,
    summary: z.array(z.never()),
    content: z.array(thoughtText),
    status,
  }),
  z.strictObject({
    type: z.literal("message"),
    id: text,
    role: z.literal("assistant"),
    status,
    content: z.array(outputText),
  }),
  z.strictObject({
    type: z.literal("function_call"),
    id: text,
    call_id: text,
    name: text,
    arguments: text,
    status,
  }),
])
const response = z.strictObject({
  id: text.startsWith("resp_"),
  object: z.literal("response"),
  created_at: seconds,
  status: z.enum(["in_progress", "completed", "incomplete", "failed"]),
  error: z.strictObject({ code: text, message: text }).nullable(),
  incomplete_details: z.strictObject({ reason: z.literal("max_output_tokens") }).nullable(),
  model: text,
  output: z.array(item),
  instructions: text.nullable(),
  max_output_tokens: count.nullable(),
  parallel_tool_calls: z.boolean(),
  metadata: z.strictObject({}),
  store: z.literal(false),
  previous_response_id: z.null(),
  usage: z
    .strictObject({
      input_tokens: count,
      input_tokens_details: z.strictObject({ cached_tokens: count }),
      output_tokens: count,
      output_tokens_details: z.strictObject({ reasoning_tokens: count }),
      total_tokens: count,
    })
    .nullable(),
})
const place = { sequence_number: count, output_index: count }
const inItem = { ...place, item_id: text }
const inPart = { ...inItem, content_index: count }
const part = z.union([outputText, thoughtText])
const responseEvent = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.enum([
      "response.created",
      "response.in_progress",
      "response.completed",
      "response.incomplete",
      "response.failed",
    ]),
    sequence_number: count,
    response,
  }),
  z.strictObject({
    type: z.enum(["response.output_item.added", "response.output_item.done"]),
    ...place,
    item,
  }),
  z.strictObject({
    type: z.enum(["response.content_part.added", "response.content_part.done"]),
    ...inPart,
    part,
  }),
  z.strictObject({
    type: z.enum(["response.output_text.delta", "response.reasoning_text.delta"]),
    ...inPart,
    delta: text,
  }),
  z.strictObject({
    type: z.enum(["response.output_text.done", "response.reasoning_text.done"]),
    ...inPart,
    text,
  }),
  z.strictObject({ type: z.literal("response.function_call_arguments.delta"), ...inItem, delta: text }),
  z.strictObject({ type: z.literal("response.function_call_arguments.done"), ...inItem, arguments: text }),
])

const messageUsage = z.strictObject({
  input_tokens: count,
  cache_read_input_tokens: count,
  cache_creation_input_tokens: count,
  output_tokens: count,
})
const stopReason = z.enum(["end_turn", "max_tokens", "stop_sequence", "tool_use"])
const block = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("thinking"), thinking: text, signature: text }),
  z.strictObject({ type: z.literal("text"), text }),
  z.strictObject({ type: z.literal("tool_use"), id: text, name: text, input: z.record(text, z.unknown()) }),
])
const messageHead = {
  id: text.startsWith("msg_"),
  type: z.literal("message"),
  role: z.literal("assistant"),
  model: text,
  usage: messageUsage,
  stop_sequence: text.nullable(),
}
const message = z.strictObject({ ...messageHead, content: z.array(block), stop_reason: stopReason })
const messageEvent = z.union([
  anthropicError,
  z.strictObject({
    type: z.literal("message_start"),
    message: z.strictObject({ ...messageHead, content: z.array(z.never()), stop_reason: z.null() }),
  }),
  z.strictObject({ type: z.literal("content_block_start"), index: count, content_block: block }),
  z.strictObject({
    type: z.literal("content_block_delta"),
    index: count,
    delta: z.discriminatedUnion("type", [
      z.strictObject({ type: z.literal("thinking_delta"), thinking: text }),
      z.strictObject({ type: z.literal("signature_delta"), signature: text }),
      z.strictObject({ type: z.literal("text_delta"), text }),
      z.strictObject({ type: z.literal("input_json_delta"), partial_json: text }),
    ]),
  }),
  z.strictObject({ type: z.literal("content_block_stop"), index: count }),
  z.strictObject({
    type: z.literal("message_delta"),
    delta: z.strictObject({ stop_reason: stopReason, stop_sequence: text.nullable() }),
    usage: messageUsage,
  }),
  z.strictObject({ type: z.literal("message_stop") }),
])

interface Shapes {
  whole: z.ZodType
  /** Of a stream, for each of its events. */
  event?: z.ZodType
  /** What the data of a whole stream ends with. */
  last?: RegExp
}

const failed = '\\{"error":'

const model = z.strictObject({
  ...{ id: text, object: z.literal("model"), type: z.literal("model"), created: seconds, created_at: text },
  ...{ owned_by: z.literal("a3b"), display_name: text, context_length: count, max_model_len: count },
})

/** By path, of answers with status 200. */
export const shapes: Readonly<Record<string, Shapes>> = {
  "/v1/chat/completions": {
    whole: chatCompletion,
    event: z.union([chatChunk, openAiError]),
    last: new RegExp(`^(\\[DONE\\]$|${failed})`),
  },
  "/v1/completions": {
    whole: completion,
    event: z.union([completion, openAiError]),
    last: new RegExp(`^(\\[DONE\\]$|${failed})`),
  },
  "/v1/responses": {
    whole: response,
    event: responseEvent,
    last: /^\{"type":"response\.(completed|incomplete|failed)"/,
  },
  "/v1/messages": { whole: message, event: messageEvent, last: /^\{"type":"(message_stop|error)"/ },
  "/v1/messages/count_tokens": { whole: z.strictObject({ input_tokens: count }) },
  "/tokenize": { whole: z.strictObject({ tokens: z.array(count), count, max_model_len: count }) },
  "/detokenize": { whole: z.strictObject({ prompt: text, content: text }) },
  // Under any name, where the server goes by any.
  "/v1/models/%00": { whole: model },
}

export function errorShape(path: string): z.ZodType {
  return path.startsWith("/v1/messages") ? anthropicError : openAiError
}

/** Of what was refused before its path was read. */
export const anyError = z.union([openAiError, anthropicError])
