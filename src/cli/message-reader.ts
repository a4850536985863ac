// What a person types in, whole messages out. A message is a line; several lines where a line ends in a backslash,
// stands between """ and """, or is pasted.

import { createInterface } from "node:readline"
import type { Interface } from "node:readline"

/** A message, Ctrl-C with nothing typed, or the end of all input. */
export type Reading = { kind: "message"; text: string } | { kind: "interrupt" } | { kind: "end" }

export interface MessageReaderOptions {
  input?: NodeJS.ReadableStream & { setRawMode?: (mode: boolean) => unknown }
  output?: NodeJS.WritableStream
  /** Words that Tab completes. */
  words?: readonly string[]
}

interface Line {
  text: string
  /** Whether it ended inside a paste. */
  pasted: boolean
}

/** A line, or Ctrl-C on one. */
type Typed = Line | { interrupted: "typed" | "empty" }

const fence = '"""'
const continued = "... "
/** Asks the terminal to mark what is pasted, and not to any more. */
const marksOn = "\x1b[?2004h"
const marksOff = "\x1b[?2004l"

export class MessageReader {
  readonly #input: NonNullable<MessageReaderOptions["input"]>
  readonly #output: NonNullable<MessageReaderOptions["output"]>
  readonly #terminal: Interface
  /** Read ahead of being asked for. */
  readonly #queue: Typed[] = []
  #state: "open" | "ended" = "open"
  #pasting = false
  #wake: () => void = () => undefined

  constructor({ input = process.stdin, output = process.stdout, words = [] }: MessageReaderOptions = {}) {
    this.#input = input
    this.#output = output
    const completer = (line: string) => [words.filter((word) => word.startsWith(line)), line]
    this.#terminal = createInterface({ input, output, terminal: true, historySize: 1000, completer })
    this.#terminal.on("line", (text) => this.#take({ text, pasted: this.#pasting }))
    this.#terminal.on("SIGINT", () => this.#interrupt())
    this.#terminal.on("close", () => this.#end())
    input.on("keypress", (_, key: { name?: string }) => {
      if (key.name === "paste-start") this.#pasting = true
      if (key.name === "paste-end") this.#pasting = false
    })
    this.#rest()
  }

  /** The next message; between two calls the terminal is as the shell left it, and Ctrl-C a signal. */
  async read(prompt: string): Promise<Reading> {
    const lines: Line[] = []
    this.#ask(prompt)
    try {
      for (;;) {
        const next = await this.#next()
        if (next === undefined) return lines.length > 0 ? message(lines) : { kind: "end" }
        if ("interrupted" in next) {
          if (next.interrupted === "empty" && lines.length === 0) return { kind: "interrupt" }
          lines.length = 0
        } else {
          lines.push(next)
          if (!isOpen(lines)) return message(lines)
        }
        this.#ask(lines.length > 0 ? continued : prompt)
      }
    } finally {
      this.#rest()
    }
  }

  close(): void {
    this.#terminal.close()
  }

  #ask(prompt: string): void {
    if (this.#state === "ended") return
    this.#input.setRawMode?.(true)
    this.#output.write(marksOn)
    this.#terminal.setPrompt(prompt)
    this.#terminal.prompt(true)
  }

  #rest(): void {
    if (this.#state === "ended") return
    this.#terminal.pause()
    this.#output.write(marksOff)
    this.#input.setRawMode?.(false)
  }

  async #next(): Promise<Typed | undefined> {
    while (this.#queue.length === 0 && this.#state === "open")
      await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#queue.shift()
  }

  #take(item: Typed): void {
    this.#queue.push(item)
    this.#wake()
  }

  #interrupt(): void {
    const interrupted = this.#terminal.line === "" ? "empty" : "typed"
    this.#terminal.write(null, { ctrl: true, name: "e" })
    this.#terminal.write(null, { ctrl: true, name: "u" })
    this.#output.write("^C\n")
    this.#take({ interrupted })
  }

  #end(): void {
    this.#output.write(marksOff)
    this.#state = "ended"
    this.#wake()
  }
}

/** Whether the message goes on in the next line. */
function isOpen(lines: readonly Line[]): boolean {
  const last = lines[lines.length - 1]
  if (last.pasted) return true
  if (!lines[0].text.startsWith(fence)) return last.text.endsWith("\\")
  const text = joined(lines)
  return text.length < 2 * fence.length || !text.endsWith(fence)
}

function message(lines: readonly Line[]): Reading {
  const text = joined(lines)
  const fenced = text.startsWith(fence)
  if (!fenced) return { kind: "message", text: lines.map(withoutBackslash).join("\n") }
  const inner = text.slice(fence.length).replace(/"""\s*$/, "")
  return { kind: "message", text: inner.replace(/^\n|\n$/g, "") }
}

function joined(lines: readonly Line[]): string {
  return lines
    .map(({ text }) => text)
    .join("\n")
    .trimEnd()
}

/** A pasted backslash is text. */
function withoutBackslash({ text, pasted }: Line): string {
  return !pasted && text.endsWith("\\") ? text.slice(0, -1) : text
}
