// The spine: the whole path of one reply, and the only file that knows every room. Loads a model, picks the backend,
// and walks each request down (render, encode, schedule, forward) and up again (sample, decode, parse).

import type { Backend, PrefillMode, Promote } from "./backend/backend.ts"
import { chunkTokens, pageTokens } from "./backend/backend.ts"
import { CallLimit } from "./call-limit.ts"
import type { ChatFormat } from "./chat/format.ts"
import { readFormat } from "./chat/format.ts"
import { render } from "./chat/messages.ts"
import { ReplyParser } from "./chat/parser.ts"
import { findTags } from "./chat/tags.ts"
import type { TagIds } from "./chat/tags.ts"
import { beginsThinking, promptTail, stopThinkingText } from "./chat/thinking.ts"
import { Constrainer } from "./constrain/constrainer.ts"
import { replyGrammar } from "./constrain/reply.ts"
import { ContentLogprobs, checkLogprobs } from "./content-logprobs.ts"
import { availableMemory, contextFor, kvPolicyFor } from "./context.ts"
import type { OwnedConstraint } from "./constrain/xgrammar.ts"
import type { ConstraintOptions } from "./engine/constraint.ts"
import { Engine } from "./engine/engine.ts"
import type { Generation } from "./engine/generation.ts"
import type { Session } from "./engine/sessions.ts"
import type { KvPolicy } from "./engine/tiers.ts"
import type { ThinkingLimit, ThoughtState } from "./engine/thought.ts"
import { generationDefaults, withDefaults } from "./generation-defaults.ts"
import type { GenerationDefaults } from "./generation-defaults.ts"
import { parseConfig } from "./model/config.ts"
import { Qwen3Moe } from "./model/qwen3moe.ts"
import { prepare } from "./prepare.ts"
import type { PrepareOptions } from "./prepare.ts"
import { fingerprintOf } from "./session.ts"
import { StopStrings } from "./stop-strings.ts"
import { checkRows, loadTokenizer } from "./tokenizer/tokenizer.ts"
import type { Tokenizer } from "./tokenizer/tokenizer.ts"
import type { ChatEvent, ChatModel, ChatRequest, Sampling, Thinking } from "./types.ts"
import { UserError, messageOf } from "./util/errors.ts"
import type { PackedModel } from "./weights/packed.ts"

export interface LoadOptions extends PrepareOptions {
  /** `auto` is the native backend, or the slow reference where there is none, which `onNotice` is told. */
  backend?: "auto" | "cpu" | "reference"
  /** Most tokens of prompt and reply together; what the model and the memory allow where left out. */
  context?: number
  /** How keys and values are kept; `auto` where left out: in 16 bits if the context fits so, else in fewer. */
  kv?: "auto" | "f16" | "T1" | "T2" | "T3"
  /** Most bytes for keys and values; what the weights leave where left out. */
  kvBudget?: number
  /** `auto` where left out: tokens that are made beyond 32,768 read only a part of the compressed pages; see README. */
  attention?: "auto" | "exact"
  /** How attention reads prompts: `exact` where left out; `fast` may round, and then how a prompt was cut can show. */
  prefillMode?: PrefillMode
  /** Whether weights whose mapping lies in small pages move to huge ones in the background; `auto` where left out. */
  promote?: Promote
}

export interface GenerateRequest {
  sampling?: Partial<Sampling>
  /** In place of the checkpoint's own. */
  stopIds?: ReadonlySet<number>
  thinking?: ThinkingLimit
  /** What the reply must be, from the end of its thought on. */
  constraint?: ConstraintOptions
  /** Log probabilities are wanted, and those of so many of the most probable ids. */
  logprobs?: number
  /** As of a `ChatRequest`. */
  priority?: number
  signal?: AbortSignal
}

/** Whoever begins a constraint frees it. */
type OwnedConstraintOptions = ConstraintOptions & { constraint: OwnedConstraint }

const compressedNotice =
  "keys and values of such a context do not fit in 16 bits: older ones are kept in fewer; --kv f16 refuses instead"

/** Opens a packed file, folder, GGUF file or hub id; what is not packed yet is packed first. */
export async function load(model: string, options: LoadOptions = {}): Promise<Llm> {
  const packed = await prepare(model, options)
  const tokenizer = loadTokenizer(packed.files)
  const backend = await openBackend(options)
  try {
    const asked = options.kv ?? "auto"
    const request = {
      config: parseConfig(packed.config),
      weightBytes: [...packed.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0),
      kv: backend.name === "reference" && (asked === "auto" || asked === "f16") ? "f32" : asked,
      kvBudgetBytes: options.kvBudget,
      chunkTokens: chunkTokens[options.prefillMode ?? "exact"],
      availableBytes: availableMemory(),
    } as const
    // Refused, if it must be, before any weight is mapped.
    const context = contextFor(options.context, request)
    const kv = kvPolicyFor(context, request, options.attention)
    if (kv && asked === "auto") options.onNotice?.(compressedNotice)
    return new Llm(
      packed,
      tokenizer,
      Qwen3Moe.load(backend, packed, kv ? "balanced" : "as stored"),
      context,
      kv,
      request.chunkTokens,
    )
  } catch (error) {
    backend.free()
    throw error
  }
}

export class Llm implements ChatModel {
  readonly packed: PackedModel
  readonly tokenizer: Tokenizer
  readonly model: Qwen3Moe
  readonly engine: Engine
  readonly defaults: GenerationDefaults
  /** Most tokens of prompt and reply together. */
  readonly context: number
  readonly #tags: TagIds
  readonly #constrainer: Constrainer
  #format: ChatFormat | undefined

  /** Use `load`. */
  constructor(
    packed: PackedModel,
    tokenizer: Tokenizer,
    model: Qwen3Moe,
    context: number,
    kv?: KvPolicy,
    rows = chunkTokens.exact,
  ) {
    checkRows(tokenizer, model.config.vocab)
    this.packed = packed
    this.tokenizer = tokenizer
    this.model = model
    this.#tags = findTags((token) => tokenizer.idOf(token))
    this.defaults = generationDefaults(packed.config, packed.generationConfig)
    this.context = context
    const { stopIds } = this.defaults
    this.#constrainer = new Constrainer({ tokenizer, tags: this.#tags, stopIds })
    const kvPages = Math.ceil(this.context / pageTokens)
    const fingerprint = fingerprintOf(packed, model.norms)
    const limits = { maxContext: this.context, kvPages, chunkTokens: rows, kv, fingerprint }
    this.engine = new Engine(model, { ...limits, tokenizerSize: tokenizer.size })
  }

  /** How the checkpoint writes conversations; read when it is first needed. */
  get format(): ChatFormat {
    return (this.#format ??= readFormat(this.packed.files))
  }

  async *chat(request: ChatRequest): AsyncGenerator<ChatEvent> {
    const prompt = render(this.format, request) // messages -> text
    const ids = this.tokenizer.encode(prompt) // text -> ids
    const text = this.tokenizer.stream() // ids -> text, holds partial characters
    const { toolFormat } = this.format
    const reply = new ReplyParser({ prompt, tags: this.#tags, toolFormat, tools: request.tools }) // text -> events
    const stops = new StopStrings(request.stop)
    const calls = new CallLimit(request.maxToolCalls)
    const logprobs = new ContentLogprobs(this.tokenizer)
    const pass = (events: ChatEvent[]) => logprobs.pass(calls.pass(stops.pass(events)))
    const constraint = this.#constraint(prompt, request)
    try {
      const generation = this.#generation(prompt, ids, request, constraint) // ids -> ids
      for await (const id of generation) {
        const { phase } = reply
        const events = reply.push(id, text.push(id))
        const drawn = generation.takeLogprobs()
        if (drawn && phase === "content" && reply.phase === "content") logprobs.note(drawn)
        yield* pass(events)
        if (stops.found !== undefined || calls.state === "reached") break
      }
      const reason = stops.found === undefined ? (generation.finishReason ?? "stop") : "stop"
      for (const event of pass(reply.end(text.end(), reason, generation.usage)))
        yield event.type === "finish" ? explained(event, generation.thought, stops.found) : event
    } finally {
      constraint?.constraint.free()
    }
  }

  /** Ids after these ids; for whoever needs no text. */
  generate(ids: Int32Array, { sampling, stopIds, ...rest }: GenerateRequest = {}): Generation {
    checkLogprobs(rest.logprobs)
    return this.engine.generate(ids, {
      ...rest,
      sampling: withDefaults(sampling, this.defaults.sampling),
      stopIds: stopIds ?? this.defaults.stopIds,
    })
  }

  /**
   * Keys and values of a conversation whose reply has ended, by its request or its ids: a copy, to be kept with
   * `writeSession` or otherwise. Throws `not-found` once others have taken its pages.
   */
  saveSession(of: ChatRequest | Int32Array): Session {
    return this.engine.save(of instanceof Int32Array ? of : this.tokenizer.encode(render(this.format, of)))
  }

  /**
   * Takes a saved conversation back in, for its next turn: a prompt that begins as it does need not be read again.
   * Throws what `Session` says where it is of another model, is damaged or does not fit.
   */
  restoreSession(session: Session): void {
    this.engine.restore(session)
  }

  /** Cancels what runs and gives all memory back. */
  async free(): Promise<void> {
    await this.engine.free()
    this.#constrainer.free()
    this.model.backend.free()
  }

  [Symbol.dispose](): void {
    void this.free()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.free()
  }

  #generation(
    prompt: string,
    ids: Int32Array,
    { sampling, logprobs, priority, signal, ...request }: ChatRequest,
    constraint: ConstraintOptions | undefined,
  ): Generation {
    const thinking = this.#thinkingLimit(prompt, request.thinking)
    return this.generate(ids, { sampling, thinking, constraint, logprobs, priority, signal })
  }

  /** What the reply must be, where the request says so. Compiled while the prompt is read. */
  #constraint(prompt: string, request: ChatRequest): OwnedConstraintOptions | undefined {
    const mayThink = this.#mayBeginThinking(prompt)
    const after = beginsThinking(prompt) || mayThink ? "thought" : "prompt"
    const grammar = replyGrammar(request, { toolFormat: this.format.toolFormat, after })
    if (!grammar) return undefined
    const { think, toolCall } = this.#tags
    if (grammar.begins === "reply")
      return { constraint: this.#constrainer.begin(grammar.text), openId: mayThink ? think : undefined }
    // Without an id for the tag nothing tells where a call begins.
    if (toolCall === undefined) return undefined
    return { constraint: this.#constrainer.begin(grammar.text), startId: toolCall }
  }

  /** Whether the prompt leaves it to the model. */
  #mayBeginThinking(prompt: string): boolean {
    return this.format.family === "hybrid" && !/<\/?think>/.test(promptTail(prompt))
  }

  /** Every thought is watched for going round in circles; a budget limits it besides. */
  #thinkingLimit(prompt: string, thinking: Thinking | undefined): ThinkingLimit | undefined {
    const { think: openId, endThink: closeId } = this.#tags
    const budget = typeof thinking === "object" ? thinking.budget : Infinity
    if (!(budget >= 0))
      throw new UserError(
        "bad-argument",
        `the thinking budget is ${budget}: wanted a number of tokens from 0 up`,
      )
    if (closeId === undefined) return undefined
    const stopIds = this.tokenizer.encode(stopThinkingText)
    return { starts: beginsThinking(prompt) ? "inside" : "outside", openId, closeId, budget, stopIds }
  }
}

type Finish = ChatEvent & { type: "finish" }

/** The stop string that ended the reply, and a thought that was cut short, are told with its end. */
function explained(finish: Finish, thought: ThoughtState, stopString: string | undefined): Finish {
  const event = stopString === undefined ? finish : { ...finish, stopString }
  const why = {
    budget: "the thought was ended by its budget",
    loop: "the thought repeated itself and was ended",
  }
  if (thought !== "budget" && thought !== "loop") return event
  return { ...event, diagnostic: [why[thought], event.diagnostic].filter(Boolean).join("; ") }
}

/** The native backend; where there is none, and none was asked for, the reference. */
export async function openBackend(
  options: Pick<LoadOptions, "backend" | "threads" | "prefillMode" | "promote" | "onNotice">,
): Promise<Backend> {
  const { backend = "auto", threads, prefillMode, promote = "auto", onNotice } = options
  if (backend === "cpu" || (backend === "auto" && (await hasAddon(onNotice)))) {
    const { loadCpuBackend } = await import("./backend/cpu/cpu.ts")
    return loadCpuBackend({ threads, prefillMode, promote })
  }
  const { ReferenceBackend } = await import("./backend/reference/reference.ts")
  return new ReferenceBackend()
}

async function hasAddon(onNotice: LoadOptions["onNotice"]): Promise<boolean> {
  const { loadAddon } = await import("./backend/cpu/native.ts")
  try {
    loadAddon()
    return true
  } catch (error) {
    onNotice?.(`${messageOf(error)}; until then the slow reference backend is used`)
    return false
  }
}
