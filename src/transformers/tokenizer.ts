// The tokenizer as users of Transformers and transformers.js know it: a function that encodes, with methods that
// render conversations and decode. A thin layer over the rooms tokenizer and chat.

import { formatOf, readFormat } from "../chat/format.ts"
import type { ChatFormat } from "../chat/format.ts"
import { normaliseMessages } from "../chat/messages.ts"
import type { IncomingMessage } from "../chat/messages.ts"
import { ChatTemplate } from "../chat/template.ts"
import type { TextStream } from "../tokenizer/stream.ts"
import { loadTokenizer } from "../tokenizer/tokenizer.ts"
import type { Tokenizer } from "../tokenizer/tokenizer.ts"
import type { Json, Tool } from "../types.ts"
import { UserError } from "../util/errors.ts"

/** One row per text, each as long as it is: nothing is padded. */
export interface BatchEncoding {
  input_ids: number[][]
  attention_mask: number[][]
}

export interface DecodeParameters {
  /** Leaves out tokens marked special; `<think>` and `<tool_call>` are not and stay. */
  skip_special_tokens?: boolean
}

export interface ChatTemplateParameters {
  tools?: readonly Tool[] | null
  /** A template's source, in place of the checkpoint's own. */
  chat_template?: string
  /** Ids where left out, text where false. */
  tokenize?: boolean
  add_generation_prompt?: boolean
  /** With ids: all that `generate` takes, instead of the ids alone. */
  return_dict?: boolean
  /** Switches between thinking and non-thinking mode where the checkpoint has both. */
  enable_thinking?: boolean
  /** Whatever else the template knows. */
  [variable: string]: unknown
}

export interface PreTrainedTokenizer {
  (text: string | readonly string[]): BatchEncoding
  encode(text: string): number[]
  decode(ids: ArrayLike<number>, options?: DecodeParameters): string
  batch_decode(batch: readonly ArrayLike<number>[], options?: DecodeParameters): string[]
  apply_chat_template(
    messages: readonly IncomingMessage[],
    options: ChatTemplateParameters & { tokenize: false },
  ): string
  apply_chat_template(
    messages: readonly IncomingMessage[],
    options: ChatTemplateParameters & { return_dict: true },
  ): BatchEncoding
  apply_chat_template(messages: readonly IncomingMessage[], options?: ChatTemplateParameters): number[]
  /** The id of a token by its name; refused where there is none. */
  convert_tokens_to_ids(token: string): number
  convert_tokens_to_ids(tokens: readonly string[]): number[]
  /** Decodes ids one by one, whole characters only. */
  stream(options?: DecodeParameters): TextStream
}

/** From a checkpoint's small files. */
export function tokenizerFrom(files: ReadonlyMap<string, Uint8Array>): PreTrainedTokenizer {
  const tokenizer = loadTokenizer(files)
  const encode = (text: string) => Array.from(tokenizer.encode(text))
  const decode = (ids: ArrayLike<number>, options?: DecodeParameters) =>
    tokenizer.decode(ids, decodeOptions(options))
  let format: ChatFormat | undefined
  const methods = {
    encode,
    decode,
    batch_decode: (batch: readonly ArrayLike<number>[], options?: DecodeParameters) =>
      batch.map((ids) => decode(ids, options)),
    apply_chat_template(messages: readonly IncomingMessage[], options: ChatTemplateParameters = {}) {
      const { chat_template: source, tokenize = true, return_dict, ...rest } = options
      const own =
        source === undefined ? (format ??= readFormat(files)) : formatOf(ChatTemplate.compile(source))
      const text = rendered(own, messages, rest)
      if (!tokenize) return text
      return return_dict ? encodingOf([encode(text)]) : encode(text)
    },
    convert_tokens_to_ids: (tokens: string | readonly string[]) =>
      typeof tokens === "string" ? idOf(tokenizer, tokens) : tokens.map((token) => idOf(tokenizer, token)),
    stream: (options?: DecodeParameters) => tokenizer.stream(decodeOptions(options)),
  }
  const call = (text: string | readonly string[]) => encodingOf([text].flat().map(encode))
  // The overloads above say more than one arrow function's type can.
  return Object.assign(call, methods) as PreTrainedTokenizer
}

function rendered(
  { template, argumentsForm }: ChatFormat,
  messages: readonly IncomingMessage[],
  options: ChatTemplateParameters,
): string {
  const { tools, add_generation_prompt: addGenerationPrompt = false, ...variables } = options
  return template.render({
    messages: normaliseMessages(messages, argumentsForm),
    tools: tools?.length ? tools : null,
    addGenerationPrompt,
    // What a template can read is JSON; what is undefined is not there.
    variables: Object.fromEntries(
      Object.entries(variables).filter((entry): entry is [string, Json] => entry[1] !== undefined),
    ),
  })
}

function encodingOf(rows: number[][]): BatchEncoding {
  return { input_ids: rows, attention_mask: rows.map((row) => row.map(() => 1)) }
}

function decodeOptions({ skip_special_tokens = false }: DecodeParameters = {}) {
  return { skipSpecialTokens: skip_special_tokens ? "yes" : "no" } as const
}

function idOf(tokenizer: Tokenizer, token: string): number {
  const id = tokenizer.idOf(token)
  if (id !== undefined) return id
  throw new UserError("bad-argument", `the tokenizer has no token ${JSON.stringify(token)}`)
}
