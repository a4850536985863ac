// Step 8. Reads `{"name": ..., "arguments": {...}}`, one character after the other. The arguments go out exactly as
// the model writes them, while it writes them, and are never written anew. What is not valid JSON goes out all the
// same: clients check arguments anyway, and the end of the reply says what was wrong.

import type { CallReader, CallSink } from "./tools.ts"

type Phase = "before" | "key" | "in-key" | "colon" | "value" | "next" | "after" | "broken"

export class HermesReader implements CallReader {
  readonly #sink: CallSink
  #phase: Phase = "before"
  #token = "" // the key or value being read
  #depth = 0
  #quote: "none" | "open" | "escape" = "none"
  #key = ""
  #name: string | undefined
  #arguments: string | undefined // once complete
  #pace: "pieces" | "whole" = "whole" // only an object is known to go out as it is written
  #unsent = "" // of the arguments
  #stray = ""

  constructor(sink: CallSink) {
    this.#sink = sink
  }

  get position(): "value" | "structure" {
    return this.#quote === "none" ? "structure" : "value"
  }

  push(text: string): string {
    for (let i = 0; i < text.length; i++) {
      if (this.#phase === "before" && /[^\s{]/.test(text[i])) return text.slice(i)
      if (this.#phase === "after" && /[^\s{},\]]/.test(text[i])) return text.slice(i)
      this.#read(text[i])
    }
    this.#send()
    return ""
  }

  end(by: "tag" | "reply"): void {
    if (this.#name !== undefined) {
      if (this.#readsArguments() || (by === "reply" && this.#arguments === undefined)) this.#cutShort()
      else this.#finishCall()
    }
    if (this.#stray !== "") this.#sink.complain(`text inside a tool call was dropped: ${this.#stray}`)
  }

  #read(c: string): void {
    const isSpace = /\s/.test(c)
    switch (this.#phase) {
      case "before":
      case "after":
        if (c === "{") this.#phase = "key"
        else if (!isSpace) this.#drop(c, "after")
        return
      case "key":
      case "next":
        if (c === "}") this.#finishCall()
        else if (c === '"' && this.#phase === "key") this.#begin("in-key", c)
        else if (c === ",") this.#phase = "key"
        else if (!isSpace) this.#drop(c, "broken")
        return
      case "in-key":
        this.#append(c)
        if (this.#quote === "none") this.#finishKey()
        return
      case "colon":
        if (c === ":") this.#begin("value", "")
        else if (!isSpace) this.#drop(c, "broken")
        return
      case "value":
        this.#readValue(c, isSpace)
        return
      case "broken":
        this.#drop(c, "broken")
        return
      default:
        this.#phase satisfies never
    }
  }

  #readValue(c: string, isSpace: boolean): void {
    const isOutside = this.#depth === 0 && this.#quote === "none"
    if (isOutside && isSpace && this.#token === "") return
    if (isOutside && (isSpace || c === "," || c === "}" || c === "]")) {
      this.#finishValue() // a number or a word ends where something else begins
      this.#read(c)
      return
    }
    this.#append(c)
    if (this.#depth === 0 && this.#quote === "none" && /["}\]]/.test(c)) this.#finishValue()
  }

  #begin(phase: "in-key" | "value", c: string) {
    this.#phase = phase
    this.#token = ""
    this.#depth = 0
    if (c !== "") this.#append(c)
  }

  #append(c: string) {
    if (this.#token === "") this.#pace = this.#readsArguments() && c === "{" ? "pieces" : "whole"
    if (this.#pace === "pieces") this.#unsent += c
    this.#token += c
    if (this.#quote === "escape") this.#quote = "open"
    else if (this.#quote === "open") this.#quote = c === "\\" ? "escape" : c === '"' ? "none" : "open"
    else if (c === '"') this.#quote = "open"
    else if (c === "{" || c === "[") this.#depth++
    else if (c === "}" || c === "]") this.#depth--
  }

  #finishKey() {
    const key = parsed(this.#token)
    this.#key = key === "parameters" ? "arguments" : String(key)
    this.#phase = "colon"
  }

  #finishValue() {
    const isArguments = this.#readsArguments()
    this.#phase = "next"
    if (isArguments) {
      this.#arguments = this.#pace === "pieces" ? this.#token : argumentsText(this.#token)
      if (this.#pace === "whole") this.#unsent = this.#arguments
    }
    const name = this.#key === "name" && this.#name === undefined ? parsed(this.#token) : undefined
    if (typeof name !== "string") return
    this.#name = name
    this.#sink.start(name)
  }

  #finishCall() {
    this.#phase = "after"
    if (this.#name === undefined) this.#sink.complain("a tool call has no name")
    else {
      if (this.#arguments === undefined) this.#unsent = this.#arguments = "{}"
      this.#send()
      if (parsed(this.#arguments) === undefined)
        this.#sink.complain(`the arguments of ${this.#name} are not valid JSON`)
      this.#sink.end()
    }
    this.#name = this.#arguments = undefined
    this.#unsent = ""
  }

  #cutShort() {
    if (this.#readsArguments() && this.#pace === "whole") this.#unsent = this.#token
    this.#send()
    this.#sink.complain(`the arguments of ${this.#name} are cut short`)
    this.#sink.end()
  }

  #readsArguments(): boolean {
    return this.#phase === "value" && this.#key === "arguments" && this.#arguments === undefined
  }

  #send() {
    if (this.#name === undefined || this.#unsent === "") return
    this.#sink.arguments(this.#unsent)
    this.#unsent = ""
  }

  #drop(c: string, phase: Phase) {
    this.#stray += c
    this.#phase = phase
  }
}

/** Some replies quote the whole object as a string, or write null for no arguments. */
function argumentsText(token: string): string {
  const value = parsed(token)
  return value === null ? "{}" : typeof value === "string" ? value : token
}

/** The JSON value, or undefined where the text is none. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
