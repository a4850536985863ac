// Step 8. Ids and their text in, reasoning, content and tool calls out: a state machine that begins where the
// prompt's last turn ends. Knows tags, never what they were decoded from or who reads the events.
//
// A call inside a thought is held: if the reply ends with it, the model forgot to end its thought and the call
// counts, with a diagnostic; if more follows, it was only thought about. A call that began always ends with the text
// it got, with a diagnostic where that is not valid; a block that never became a call is content. So no text is
// lost, and no answer is empty without a diagnostic.

import type { ChatEvent, Tool, Usage } from "../types.ts"
import { CallEvents } from "./calls.ts"
import type { ToolFormat } from "./format.ts"
import { HeldCalls } from "./held.ts"
import { TagScanner } from "./tags.ts"
import type { Piece, TagIds } from "./tags.ts"
import { beginsThinking, promptTail } from "./thinking.ts"
import type { CallReader } from "./tools.ts"
import { TrimmedText } from "./trim.ts"

export interface ParserOptions {
  /** The rendered prompt; only the turn that the reply continues counts. */
  prompt: string
  /** From `findTags`. */
  tags: TagIds
  toolFormat: ToolFormat
  /** Without tools, a call's tags are content like any other. */
  tools?: readonly Tool[]
}

// What templates write around thoughts and calls by themselves and is therefore no part of either.
const nothing = /(?!)/
const newlinesBefore = /^\n+/
const newlinesAfter = /\n+$/
const spacesBefore = /^\s+/
const beforeCall = { hermes: /\n$/, xml: /\s+$/ }

export class ReplyParser {
  readonly #scanner: TagScanner
  readonly #tools: readonly Tool[]
  readonly #toolFormat: ToolFormat
  readonly #calls = new CallEvents((event) => this.#events.push(event))
  #events: ChatEvent[] = []
  #phase: "reasoning" | "content" | "call"
  #text: TrimmedText
  #held: HeldCalls | undefined
  #block: { reader: CallReader; raw: string; firstCall: number } | undefined
  /** A call's closing tag that text came before. */
  #lateEnd: "none" | "expected" = "none"
  readonly #said = new Set<"reasoning" | "content">()
  #reasoningTokens = 0

  constructor({ prompt, tags, toolFormat, tools = [] }: ParserOptions) {
    this.#scanner = new TagScanner(tags, toolFormat === "xml" && tools.length > 0 ? ["function"] : [])
    this.#tools = tools
    this.#toolFormat = toolFormat
    this.#phase = beginsThinking(prompt) ? "reasoning" : "content"
    this.#text = this.#begin(this.#phase, /<\/?think>/.test(promptTail(prompt)) ? newlinesBefore : nothing)
  }

  /** Where the reply is; a stop string, for one, only counts in its content. */
  get phase(): "reasoning" | "content" | "call" {
    return this.#phase
  }

  /** Ids pushed so far that belong to a thought. */
  get reasoningTokens(): number {
    return this.#reasoningTokens
  }

  /** One id with the text that it completed. */
  push(id: number, text: string): ChatEvent[] {
    this.#events = []
    if (this.#phase === "reasoning") this.#reasoningTokens++
    for (const piece of this.#scanner.push(id, text)) this.#take(piece)
    return this.#events
  }

  /** The last text and why no more comes. The last event is "finish", with `usage` before it if it is given. */
  end(text: string, reason: "stop" | "length", usage?: Usage): ChatEvent[] {
    this.#events = []
    for (const piece of this.#scanner.end(text)) this.#take(piece)
    if (this.#held) this.#settleHeld(reason)
    if (this.#phase === "call") this.#closeBlock("reply", "")
    this.#text.close(this.#phase === "reasoning" ? newlinesAfter : nothing)
    this.#complainOfSilence()
    if (usage) this.#events.push({ type: "usage", usage })
    const called = reason === "stop" && this.#calls.numCalls > 0
    const { diagnostics } = this.#calls
    this.#events.push({
      type: "finish",
      reason: called ? "tool_calls" : reason,
      ...(diagnostics.length > 0 && { diagnostic: diagnostics.join("; ") }),
    })
    return this.#events
  }

  #take(piece: Piece) {
    if (this.#held) {
      if (this.#held.take(piece) === "held") return
      this.#releaseHeld()
    }
    this.#handle(piece)
  }

  #handle(piece: Piece) {
    if (this.#phase === "reasoning") this.#think(piece)
    else if (this.#phase === "content") this.#answer(piece)
    else this.#call(piece)
  }

  #think(piece: Piece) {
    if (piece.tag === "endThink") {
      this.#text.close(newlinesAfter)
      this.#enter("content", newlinesBefore)
    } else if (piece.tag === "toolCall" && this.#tools.length > 0) this.#held = new HeldCalls(piece)
    else if (piece.tag !== "think" || this.#said.size > 0) this.#text.push(piece.text)
  }

  #answer(piece: Piece) {
    const isSilent = !this.#said.has("content") && this.#calls.numCalls === 0
    const isCall = this.#tools.length > 0 && piece.tag === "toolCall"
    if (isCall) this.#openBlock(piece.text)
    else if (piece.tag === "function" && this.#text.isLineStart) {
      this.#openBlock("")
      this.#call(piece)
    } else if (piece.tag === "think" && isSilent) this.#enter("reasoning", newlinesBefore)
    else if (piece.tag === "endThink" && isSilent) this.#enter("content", newlinesBefore)
    else if (piece.tag === "endToolCall" && this.#lateEnd === "expected") this.#lateEnd = "none"
    else {
      if (piece.tag === "endThink")
        this.#calls.complain("a thought ended that had not begun: content before it may be reasoning")
      this.#text.push(piece.text)
    }
  }

  #call(piece: Piece) {
    const block = this.#block! // the phase "call" begins with it
    const isStructure = block.reader.position === "structure"
    if (isStructure && piece.tag === "endToolCall") return this.#closeBlock("tag", piece.text)
    if (isStructure && piece.tag === "toolCall") {
      this.#closeBlock("tag", "")
      return this.#openBlock(piece.text)
    }
    if (this.#calls.numCalls === block.firstCall) block.raw += piece.text
    const foreign = block.reader.push(piece.text)
    if (foreign === "") return
    const hasCalled = this.#calls.numCalls > block.firstCall
    this.#closeBlock("tag", "")
    if (!hasCalled) return // the block went out whole
    this.#lateEnd = "expected"
    this.#handle({ text: foreign })
  }

  #openBlock(opening: string) {
    const dropped = this.#text.close(beforeCall[this.#toolFormat])
    const reader = this.#calls.reader(this.#toolFormat, this.#tools)
    this.#block = { reader, raw: dropped + opening, firstCall: this.#calls.numCalls }
    this.#phase = "call"
  }

  #closeBlock(by: "tag" | "reply", closing: string) {
    const block = this.#block! // the phase "call" begins with it
    block.reader.end(by)
    if (this.#calls.numCalls > block.firstCall) return this.#enter("content", spacesBefore)
    this.#calls.complain("a tool call could not be read and is left in the content")
    this.#enter("content", nothing)
    this.#text.push(block.raw + closing)
  }

  #releaseHeld() {
    const { pieces } = this.#held! // checked by the caller
    this.#held = undefined
    for (const piece of pieces)
      if (piece.tag === "endThink") this.#think(piece)
      else this.#text.push(piece.text)
  }

  #settleHeld(reason: "stop" | "length") {
    if (reason === "length") return this.#releaseHeld()
    const { pieces } = this.#held! // checked by the caller
    this.#held = undefined
    this.#calls.complain("a tool call came inside the thinking and ended it")
    this.#text.close(newlinesAfter)
    this.#enter("content", spacesBefore)
    for (const piece of pieces) if (piece.tag !== "endThink") this.#handle(piece)
  }

  #enter(phase: "reasoning" | "content", leading: RegExp) {
    this.#phase = phase
    this.#text = this.#begin(phase, leading)
  }

  #begin(type: "reasoning" | "content", leading: RegExp): TrimmedText {
    const emit = (text: string) => {
      this.#said.add(type)
      this.#events.push({ type, text })
    }
    return new TrimmedText(emit, leading)
  }

  #complainOfSilence() {
    if (this.#phase === "reasoning") this.#calls.complain("the reply ended inside its thinking")
    else if (!this.#said.has("content") && this.#calls.numCalls === 0)
      this.#calls.complain("the reply is empty")
  }
}
