// Step 6. A conversation in, the assistant's next turn out: sampled by this package's own engine from an exported
// model, many at once. Knows tokens and templates; never what a good reply is.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pageTokens } from "../backend/backend.ts"
import type { Backend } from "../backend/backend.ts"
import type { ChatFormat } from "../chat/format.ts"
import { readFormat } from "../chat/format.ts"
import { render } from "../chat/messages.ts"
import { splitReply } from "../chat/reply.ts"
import type { Reply } from "../chat/reply.ts"
import { Engine } from "../engine/engine.ts"
import { plainSampling } from "../engine/sampling.ts"
import { generationDefaults } from "../generation-defaults.ts"
import { openBackend } from "../llm.ts"
import { planMemory } from "../model/memory.ts"
import { Qwen3Moe } from "../model/qwen3moe.ts"
import { packCheckpoint } from "../prepare.ts"
import { loadTokenizer } from "../tokenizer/tokenizer.ts"
import type { Tokenizer } from "../tokenizer/tokenizer.ts"
import type { Message, Tool } from "../types.ts"
import type { Quant } from "../weights/pack-plan.ts"
import type { PackedModel } from "../weights/packed.ts"
import type { AssistantMessage, Mode } from "./world/problem.ts"

export interface PolicyRequest {
  messages: readonly Message[]
  tools?: readonly Tool[]
  mode: Mode
  temperature: number
  maxTokens: number
  seed: number
  signal?: AbortSignal
}

export interface PolicyReply {
  message: AssistantMessage
  /** What the model itself read and wrote, the ending id included; absent where it is somewhere else. */
  tokens?: { prompt: Int32Array; reply: Int32Array }
  /** Whether it ended by itself. */
  finish: "stop" | "length"
}

export interface Policy {
  reply(request: PolicyRequest): Promise<PolicyReply>
  free(): Promise<void>
}

export interface LocalPolicyOptions {
  /** How the weights are stored; as they are where left out. */
  quant?: Quant
  backend?: "auto" | "cpu" | "reference"
  threads?: number
  signal?: AbortSignal
}

/** Sequences of one step. */
export const maxSequences = 64
const chunkTokens = 1024
/** Most memory of keys and values. */
const kvBytes = 2 ** 30

export class LocalPolicy implements Policy {
  readonly #format: ChatFormat
  readonly #tokenizer: Tokenizer
  readonly #engine: Engine
  readonly #backend: Backend
  readonly #folder: string
  readonly #stopIds: ReadonlySet<number>

  private constructor(packed: PackedModel, backend: Backend, folder: string) {
    this.#folder = folder
    this.#backend = backend
    this.#format = readFormat(packed.files)
    this.#tokenizer = loadTokenizer(packed.files)
    this.#stopIds = generationDefaults(packed.config, packed.generationConfig).stopIds
    const model = Qwen3Moe.load(backend, packed)
    const { maxPositions: maxContext } = model.config
    const kvPages = pagesOf(model, maxContext)
    this.#engine = new Engine(model, {
      maxContext,
      kvPages,
      chunkTokens,
      maxSequences,
      tokenizerSize: this.#tokenizer.size,
    })
  }

  /** Packs the Hugging Face folder `path` into a temporary file and opens it. */
  static async open(path: string, options: LocalPolicyOptions = {}): Promise<LocalPolicy> {
    const folder = mkdtempSync(join(tmpdir(), "a3b-policy-"))
    const { quant = "keep", threads, signal } = options
    let backend: Backend | undefined
    try {
      const packed = await packCheckpoint(path, { out: join(folder, "model.a3b"), quant, threads, signal })
      backend = await openBackend(options)
      return new LocalPolicy(packed, backend, folder)
    } catch (error) {
      backend?.free()
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  async reply(request: PolicyRequest): Promise<PolicyReply> {
    const { messages, tools, mode, temperature, maxTokens, seed, signal } = request
    const thinking = mode === "thinking" ? "on" : "off"
    const prompt = render(this.#format, { messages, tools, thinking })
    const ids = this.#tokenizer.encode(prompt)
    const sampling = { ...plainSampling, temperature, maxTokens, seed }
    const generation = this.#engine.generate(ids, { sampling, stopIds: this.#stopIds, signal })
    const reply: number[] = []
    for await (const id of generation) reply.push(id)
    const { toolFormat } = this.#format
    const message = messageOf(splitReply(this.#tokenizer.decode(reply), { prompt, toolFormat, tools }))
    if (generation.stopId !== undefined) reply.push(generation.stopId)
    const finish = generation.finishReason ?? "stop"
    return { message, tokens: { prompt: ids, reply: Int32Array.from(reply) }, finish }
  }

  async free(): Promise<void> {
    await this.#engine.free()
    this.#backend.free()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Room for all sequences at full length, or for what the memory set aside holds. */
function pagesOf({ config, backend }: Qwen3Moe, maxContext: number): number {
  const kv = backend.name === "reference" ? "f32" : "f16"
  const one = { config, contextTokens: pageTokens, kv, availableBytes: kvBytes } as const
  const needed = Math.ceil(maxContext / pageTokens)
  const affordable = Math.floor(kvBytes / planMemory(one).kvBytes)
  return Math.max(needed, Math.min(maxSequences * needed, affordable))
}

export function messageOf({ reasoning, content, toolCalls }: Reply): AssistantMessage {
  return {
    role: "assistant",
    content,
    ...(reasoning && { reasoning_content: reasoning }),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
  }
}
