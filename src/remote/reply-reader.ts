// Step 9. The pieces of one reply as a server sends them in, the events of a local model out. A thought comes in a
// field of its own, under one of two names, or as text between tags, which then the parser of local replies reads.

import { ReplyParser } from "../chat/parser.ts"
import { TrimmedText } from "../chat/trim.ts"
import type { ChatEvent, ChatRequest, FinishReason } from "../types.ts"
import type { Chunk } from "./chunks.ts"
import { asList, asObject, asText } from "./json.ts"
import type { JsonObject } from "./json.ts"
import { ToolCallReader } from "./tool-call-reader.ts"
import { usageOf } from "./usage.ts"

export interface ReplyReaderOptions {
  request: Pick<ChatRequest, "tools" | "stop">
  /** Tells that the server sent what cannot be read. */
  broken: (why: string) => Error
}

const newlinesBefore = /^\n+/
const newlinesAfter = /\n+$/
/** The prompt's end where the reply does not think, or has thought: newlines before its content are the template's. */
const afterThought = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
const natural = new Set(["stop", "length", "tool_calls", "function_call"])

export class ReplyReader {
  readonly #options: ReplyReaderOptions
  readonly #calls: ToolCallReader
  #events: ChatEvent[] = []
  #thought: TrimmedText | undefined
  #content: ReplyParser | undefined
  /** White space before content that may yet come. */
  #blank = ""
  readonly #said = new Set<"reasoning" | "content">()
  readonly #diagnostics: string[] = []
  #numCalls = 0
  #ended: "open" | "done" = "open"
  #choice: JsonObject = {}
  #usage: JsonObject | undefined
  #timings: JsonObject | undefined
  readonly #startedMs = performance.now()
  #firstMs: number | undefined
  #lastMs = this.#startedMs

  constructor(options: ReplyReaderOptions) {
    this.#options = options
    const emit = (event: ChatEvent) => void this.#events.push(event)
    this.#calls = new ToolCallReader({ emit, nextIndex: () => this.#numCalls++, broken: options.broken })
  }

  push(chunk: Chunk): ChatEvent[] {
    this.#events = []
    if (chunk === "done") this.#ended = "done"
    else this.#take(chunk)
    return this.#events
  }

  /** All that is still to come. `by` says who ended it; a server must have said that it did. */
  end(by: "server" | "reader"): ChatEvent[] {
    this.#events = []
    const finish = asText(this.#choice.finish_reason)
    if (by === "server" && finish === undefined && this.#ended === "open")
      throw this.#options.broken("broke off in the middle of its reply")
    const reason = finish === "length" ? "length" : "stop"
    this.#closeThought()
    this.#closeContent(reason)
    this.#calls.end()
    const usage = usageOf(this.#usage, this.#timings, this.#times)
    if (usage) this.#events.push({ type: "usage", usage })
    this.#events.push(this.#finish(reason))
    return this.#events
  }

  #take(chunk: JsonObject): void {
    this.#usage = asObject(chunk.usage) ?? this.#usage
    this.#timings = asObject(chunk.timings) ?? this.#timings
    const choice = asObject(asList(chunk.choices)[0])
    if (!choice) return
    const told = Object.entries(choice).filter(([, value]) => value !== null)
    this.#choice = { ...this.#choice, ...Object.fromEntries(told) }
    // A server that does not stream sends one `message`.
    const delta = asObject(choice.delta) ?? asObject(choice.message)
    if (delta) this.#speak(delta)
  }

  #speak(delta: JsonObject): void {
    const thought = asText(delta.reasoning_content) || asText(delta.reasoning) || ""
    const content = asText(delta.content) || asText(delta.refusal) || ""
    const calls = asList(delta.tool_calls).map((call) => asObject(call) ?? {})
    if (thought === "" && content === "" && calls.length === 0) return
    this.#lastMs = performance.now()
    this.#firstMs ??= this.#lastMs
    if (thought !== "") this.#think(thought)
    if (content !== "") this.#say(content)
    for (const call of calls) this.#call(call)
  }

  #think(text: string): void {
    this.#closeContent("stop")
    this.#thought ??= new TrimmedText((said) => this.#emit({ type: "reasoning", text: said }), newlinesBefore)
    this.#thought.push(text)
  }

  #say(text: string): void {
    this.#closeThought()
    if (this.#content) return this.#emitAll(this.#content.push(0, text))
    this.#blank += text
    if (this.#blank.trim() === "") return
    const prompt = this.#said.has("reasoning") ? afterThought : ""
    const { tools } = this.#options.request
    this.#content = new ReplyParser({ prompt, tags: {}, toolFormat: "hermes", tools })
    this.#emitAll(this.#content.push(0, this.#blank))
    this.#blank = ""
  }

  #call(delta: JsonObject): void {
    this.#closeThought()
    // What is odd about text that a call follows is no matter: it is not all of the reply.
    const numBefore = this.#diagnostics.length
    this.#closeContent("stop")
    this.#diagnostics.length = numBefore
    this.#calls.push(delta)
  }

  #closeThought(): void {
    this.#thought?.close(newlinesAfter)
    this.#thought = undefined
  }

  #closeContent(reason: "stop" | "length"): void {
    const parser = this.#content
    this.#content = undefined
    this.#blank = ""
    if (parser) this.#emitAll(parser.end("", reason))
  }

  /** The parser numbers the calls that it finds in the text by itself. */
  #emitAll(events: readonly ChatEvent[]): void {
    for (const event of events) {
      if (event.type === "finish") this.#diagnostics.push(...[event.diagnostic ?? []].flat())
      else if (event.type === "tool-call-start") this.#emit({ ...event, index: this.#numCalls++ })
      else if ("index" in event) this.#emit({ ...event, index: this.#numCalls - 1 })
      else this.#emit(event)
    }
  }

  #emit(event: ChatEvent): void {
    if (event.type === "reasoning" || event.type === "content") this.#said.add(event.type)
    this.#events.push(event)
  }

  get #times() {
    const firstMs = this.#firstMs ?? this.#lastMs
    return { prefillMs: firstMs - this.#startedMs, decodeMs: this.#lastMs - firstMs }
  }

  #finish(reason: "stop" | "length"): ChatEvent {
    const called: FinishReason = reason === "stop" && this.#numCalls > 0 ? "tool_calls" : reason
    const { stop = [] } = this.#options.request
    // vLLM's name and SGLang's; both may also be a token's number.
    const stopString = asText(this.#choice.stop_reason) ?? asText(this.#choice.matched_stop)
    const diagnostic = this.#diagnostic()
    return {
      type: "finish",
      reason: called,
      ...(stopString !== undefined && stop.includes(stopString) && { stopString }),
      ...(diagnostic !== "" && { diagnostic }),
    }
  }

  #diagnostic(): string {
    const told = asText(this.#choice.diagnostic) // of another a3b
    if (told !== undefined) return told
    const finish = asText(this.#choice.finish_reason)
    const odd = finish !== undefined && !natural.has(finish) ? [`the server ended the reply: ${finish}`] : []
    return [...odd, ...this.#silence(), ...this.#diagnostics, ...this.#calls.diagnostics].join("; ")
  }

  #silence(): string[] {
    const { stop = [] } = this.#options.request
    // A reply that may have been stopped at its first word is nothing odd; of text the parser has told.
    if (stop.length > 0 || this.#numCalls > 0 || this.#said.has("content") || this.#diagnostics.length > 0)
      return []
    return [this.#said.has("reasoning") ? "the reply ended inside its thinking" : "the reply is empty"]
  }
}
