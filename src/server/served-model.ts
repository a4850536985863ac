// Steps 1 and 9. What the server asks of a model: replies, and texts continued as they stand; how prompts become
// tokens, for those who count them. Token ids are numbers that pass through here; what they mean is not known.

import type { Family } from "../chat/thinking.ts"
import type { Health } from "../engine/failures.ts"
import type { ChatEvent, ChatModel, ChatRequest, KvUsage, Sampling } from "../types.ts"

/** A text, or the ids of one, to go on with. */
export interface CompletionRequest {
  prompt: string | readonly number[]
  sampling?: Partial<Sampling>
  stop?: readonly string[]
  /** As of a `ChatRequest`. */
  logprobs?: number
  /** As of a `ChatRequest`. */
  priority?: number
  signal?: AbortSignal
}

export interface ModelLoad {
  running: number
  waiting: number
  usedPages: number
  pages: number
}

/** What the engine keeps now, and what it did since the model was opened. */
export interface EngineStatus {
  /** All pages that are taken, those kept for later prompts among them. */
  kv: KvUsage
  /** Tokens of prompts that were computed and that were still there, and tokens of replies. */
  tokens: { prefilled: number; reused: number; generated: number }
  /** Tokens that each expert was given: [layers][experts]. */
  experts: number[][]
  /**
   * Queries that chose what they read, one for each layer and key/value head: how many tried, and how many then read
   * everything; of the others, the sums of the least share kept of a head's attention and of tokens chosen.
   */
  attention: { scanned: number; fellBack: number; kept: number; tokens: number }
}

/** At once where the model is in this process, later where it is in another. */
type Soon<T> = T | Promise<T>

export interface ServedModel extends ChatModel {
  /** Most tokens of prompt and reply together. */
  readonly context: number
  readonly family: Family
  /** Whether it can be trusted, or shall be opened anew. */
  readonly health: Health
  /** How busy it is now. */
  readonly load: Soon<ModelLoad>
  readonly status: Soon<EngineStatus>
  /** Content, usage and finish only. */
  complete(request: CompletionRequest): AsyncIterable<ChatEvent>
  /** The prompt that the reply to this request would continue. */
  render(request: ChatRequest): Soon<string>
  encode(text: string): Soon<Int32Array>
  decode(ids: readonly number[]): Soon<string>
  /** What was asked for so far has been refused, or else it has begun. */
  settled(): Promise<void>
  free(): Promise<void>
}
