// The nouns of the path, in path order. Imports nothing; every room may import it.

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

// ---- step 1: what comes in

/** One tool call as OpenAI's API writes it. Templates take `arguments` as text or as an object. */
export interface ToolCall {
  id?: string
  type?: "function"
  function: { name: string; arguments: string | { [key: string]: Json } }
}

/** One part of a message's content; only text is known to this model. */
export interface TextPart {
  type: "text"
  text: string
}

export interface Message {
  role: "system" | "user" | "assistant" | "tool"
  content?: string | readonly TextPart[] | null
  /** Earlier thinking of an assistant turn; the template decides whether it is shown again. */
  reasoning_content?: string | null
  tool_calls?: readonly ToolCall[] | null
  tool_call_id?: string
  name?: string
}

export interface Tool {
  type: "function"
  function: {
    name: string
    description?: string
    parameters?: { [key: string]: Json }
    /**
     * Whether the arguments of calls are kept to the parameters: `true` refuses parameters that cannot be kept to, `false`
     * lets any object pass; left out they are kept to where they can be. The template is not shown it.
     */
    strict?: boolean
  }
}

/** How the next id is drawn from the logits. */
export interface Sampling {
  /** 0 is greedy. */
  temperature: number
  /** 0 keeps all. */
  topK: number
  /** 1 keeps all. */
  topP: number
  /** 0 keeps all; else drops ids with less than minP times the top probability. */
  minP: number
  presencePenalty: number
  frequencyPenalty: number
  /** 1 is none. */
  repetitionPenalty: number
  /** Fixed seed for a repeatable draw; random when absent. */
  seed?: number
  /** Added to the logits of single ids. */
  logitBias?: Readonly<Record<number, number>>
  /** Most tokens to generate; the context limit when absent. */
  maxTokens?: number
}

/**
 * `on` and `off` choose the mode where the checkpoint has two; a budget is `on` with at most that many
 * thinking tokens, after which the model is made to answer.
 */
export type Thinking = "on" | "off" | { budget: number }

/** What a reply's content must be. A reply that may call tools is such a content or calls, nothing else. */
export type ResponseFormat =
  | { type: "text" }
  /** Any JSON object. */
  | { type: "json_object" }
  /** JSON that satisfies the schema (JSON Schema 2020-12). */
  | { type: "json_schema"; schema: Json }
  /** A text that matches as a whole, in JavaScript's syntax. */
  | { type: "regex"; pattern: string }

/** Which tool a reply must call: any, or the named one. */
export type ToolChoice = "required" | { name: string }

export interface ChatRequest {
  messages: readonly Message[]
  tools?: readonly Tool[]
  /** The reply calls a tool; the model decides where left out. */
  toolChoice?: ToolChoice
  /** The reply ends after so many calls. */
  maxToolCalls?: number
  thinking?: Thinking
  /** Kept to from the end of the thought on; a reply that is cut before its end finishes with `length`. */
  responseFormat?: ResponseFormat
  /** Content comes with the log probabilities of its tokens, and of so many of the most probable ones (0 to 20). */
  logprobs?: number
  /** Fields left out come from the checkpoint's generation_config.json. */
  sampling?: Partial<Sampling>
  /** Generation ends before the first of these strings in the content. */
  stop?: readonly string[]
  /** Of requests that wait for room, lower numbers go first and may set others back; 0 where left out. */
  priority?: number
  /** Further variables for the chat template. */
  templateVariables?: Readonly<Record<string, Json>>
  signal?: AbortSignal
}

// ---- step 8: what goes out

/** Of the model's own distribution, before bias, penalties, constraint, temperature and truncation. */
export interface Logprob {
  /** Half a character is shown as U+FFFD. */
  token: string
  /** Natural logarithm of the probability. */
  logprob: number
  /** The token's UTF-8. */
  bytes: readonly number[]
}

export interface TokenLogprob extends Logprob {
  /** The most probable tokens, best first. */
  top: readonly Logprob[]
}

export type FinishReason = "stop" | "length" | "tool_calls"

export interface Usage {
  promptTokens: number
  /** Prompt tokens whose keys and values were still in the cache. */
  cachedTokens: number
  completionTokens: number
  reasoningTokens: number
  /** From the request to the first generated id. */
  prefillMs: number
  /** From the first generated id to the last. */
  decodeMs: number
  /** How its keys and values were kept in the end, where not all of them in 16 bits. */
  kv?: KvUsage
}

/** Pages of 128 tokens by the way they are kept: T0 in 16 bits, T1, T2 and T3 in ever fewer. */
export interface KvUsage {
  tiers: Record<"T0" | "T1" | "T2" | "T3", number>
  bytes: number
  /** Less than the same pages in 16 bits. */
  savedBytes: number
}

/**
 * `index` numbers the reply's tool calls from 0. Concatenated deltas are exactly the final `arguments`.
 * `logprobs`, where they were asked for, are those of the tokens since the last content.
 * `stopString` is the one that ended the reply, if one did.
 */
export type ChatEvent =
  | { type: "reasoning"; text: string }
  | { type: "content"; text: string; logprobs?: readonly TokenLogprob[] }
  | { type: "tool-call-start"; index: number; id: string; name: string }
  | { type: "tool-call-delta"; index: number; arguments: string }
  | { type: "tool-call"; index: number; id: string; name: string; arguments: string }
  | { type: "usage"; usage: Usage }
  | { type: "finish"; reason: FinishReason; stopString?: string; diagnostic?: string }

/** What server, agent, eval and apps talk to: a local model or a remote one. */
export interface ChatModel {
  chat(request: ChatRequest): AsyncIterable<ChatEvent>
}
