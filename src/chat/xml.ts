// Step 8. Reads the Coder's `<function=NAME> <parameter=KEY> value </parameter> ... </function>` and writes the
// arguments' JSON text as it goes: strings while they come, other types once they are complete. A call that is cut
// short keeps its JSON unfinished, so that nobody runs half a command.

import type { Tool } from "../types.ts"
import { coerce, kindsOf } from "./coerce.ts"
import type { CallReader, CallSink } from "./tools.ts"

const parameterTag = "<parameter="
const functionTag = "<function="
const endParameter = "</parameter>"
const endFunction = "</function>"
// A value may hold `</parameter>` itself: only one that the next parameter or the end follows closes it.
const valueEnd = /\n?<\/parameter>\s*(?=<parameter=|<\/function>)/
const lastEnd = /\n?<\/(parameter|function)>\s*$/

export class XmlReader implements CallReader {
  readonly #sink: CallSink
  readonly #tools: readonly Tool[]
  #phase: "function" | "parameters" | "value" = "function"
  #buffer = ""
  #name = ""
  #numParameters = 0
  #kinds: ReturnType<typeof kindsOf> = new Set()
  #value: "unbegun" | "begun" = "unbegun"
  #collected = "" // of a value that is not a string
  #stray = ""

  constructor(sink: CallSink, tools: readonly Tool[]) {
    this.#sink = sink
    this.#tools = tools
  }

  get position(): "value" | "structure" {
    return this.#phase === "value" && !lastEnd.test(this.#buffer) ? "value" : "structure"
  }

  push(text: string): string {
    this.#buffer += text
    let step = this.#step()
    while (step === "on") step = this.#step()
    if (step === "wait") return ""
    const foreign = this.#buffer
    this.#buffer = ""
    return foreign
  }

  end(by: "tag" | "reply"): void {
    const last = this.#phase === "value" ? lastEnd.exec(this.#buffer) : null
    if (last) {
      this.#feed(this.#buffer.slice(0, last.index))
      this.#finishValue()
    }
    if (this.#phase === "value") this.#cutShort()
    else if (this.#phase === "parameters") {
      if (by === "tag" || last?.[1] === "function") this.#finishCall()
      else this.#cutShort()
    }
    if (this.#stray !== "") this.#sink.complain(`text inside a tool call was dropped: ${this.#stray}`)
  }

  /** Reads one element; "wait" for more text, "foreign" where what comes is no call. */
  #step(): "on" | "wait" | "foreign" {
    if (this.#phase === "value") return this.#readValue()
    this.#buffer = this.#buffer.trimStart()
    return this.#phase === "function" ? this.#readFunction() : this.#readParameter()
  }

  #readFunction(): "on" | "wait" | "foreign" {
    const name = this.#takeTag(functionTag)
    if (name === undefined) return this.#mayBecome(functionTag) ? "wait" : "foreign"
    this.#name = name
    this.#numParameters = 0
    this.#phase = "parameters"
    this.#sink.start(name)
    return "on"
  }

  #readParameter(): "on" | "wait" {
    if (this.#buffer.startsWith(endFunction)) {
      this.#buffer = this.#buffer.slice(endFunction.length)
      this.#finishCall()
      return "on"
    }
    const key = this.#takeTag(parameterTag)
    if (key !== undefined) {
      this.#beginValue(key)
      return "on"
    }
    if (this.#mayBecome(parameterTag) || this.#mayBecome(endFunction)) return "wait"
    const next = this.#buffer.indexOf("<", 1)
    this.#stray += (next < 0 ? this.#buffer : this.#buffer.slice(0, next)).replace(/\s/g, "")
    this.#buffer = next < 0 ? "" : this.#buffer.slice(next)
    return "on"
  }

  #readValue(): "on" | "wait" {
    const end = valueEnd.exec(this.#buffer)
    const length = end ? end.index : heldFrom(this.#buffer)
    this.#feed(this.#buffer.slice(0, length))
    this.#buffer = this.#buffer.slice(end ? end.index + end[0].length : length)
    if (!end) return "wait"
    this.#finishValue()
    return "on"
  }

  /** The name in the tag that the buffer begins with, once all of it is there. */
  #takeTag(tag: string): string | undefined {
    const name = this.#buffer.startsWith(tag) && /^([^<>\n]*)>/.exec(this.#buffer.slice(tag.length))
    if (!name) return undefined
    this.#buffer = this.#buffer.slice(tag.length + name[0].length)
    return name[1].trim()
  }

  #mayBecome(tag: string): boolean {
    if (!this.#buffer.startsWith(tag)) return tag.startsWith(this.#buffer)
    return /^[^<>\n]*$/.test(this.#buffer.slice(tag.length))
  }

  #beginValue(key: string) {
    this.#phase = "value"
    this.#value = "unbegun"
    this.#collected = ""
    this.#kinds = kindsOf(this.#tools, this.#name, key)
    const before = this.#numParameters++ === 0 ? "{" : ", "
    this.#sink.arguments(`${before}${JSON.stringify(key)}: ${this.#isString() ? '"' : ""}`)
  }

  #feed(text: string) {
    if (text === "") return
    // One newline after the opening tag and one before the closing tag are the form's, not the value's.
    const value = this.#value === "unbegun" && text.startsWith("\n") ? text.slice(1) : text
    this.#value = "begun"
    if (this.#isString()) this.#sink.arguments(JSON.stringify(value).slice(1, -1))
    else this.#collected += value
  }

  #finishValue() {
    this.#sink.arguments(this.#isString() ? '"' : coerce(this.#collected, this.#kinds))
    this.#phase = "parameters"
  }

  #finishCall() {
    this.#sink.arguments(this.#numParameters === 0 ? "{}" : "}")
    this.#sink.end()
    this.#phase = "function"
  }

  #cutShort() {
    if (this.#phase === "value") {
      this.#feed(this.#buffer)
      if (!this.#isString()) this.#sink.arguments(JSON.stringify(this.#collected).slice(0, -1))
    }
    this.#sink.complain(`the arguments of ${this.#name} are cut short`)
    this.#sink.end()
  }

  #isString(): boolean {
    return this.#kinds.size === 1 && this.#kinds.has("string")
  }
}

/** Where the text begins that may yet turn out to end the value, or half a character. */
function heldFrom(text: string): number {
  for (let at = text.indexOf("<"); at >= 0; at = text.indexOf("<", at + 1))
    if (mayEnd(text.slice(at))) return text[at - 1] === "\n" ? at - 1 : at
  return /[\n\ud800-\udbff]$/.test(text) ? text.length - 1 : text.length
}

function mayEnd(text: string): boolean {
  if (endParameter.startsWith(text) || endFunction.startsWith(text)) return true
  if (text.startsWith(endFunction)) return text.slice(endFunction.length).trim() === ""
  if (!text.startsWith(endParameter)) return false
  const next = text.slice(endParameter.length).trimStart()
  return parameterTag.startsWith(next) || endFunction.startsWith(next)
}
