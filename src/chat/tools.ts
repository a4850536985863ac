// Step 8. What the two readers of tool calls, Hermes JSON and Coder XML, have in common: text of a call block in,
// name and raw pieces of arguments out, whose concatenation never depends on how the text was split.

/** Where a reader sends what it has read. */
export interface CallSink {
  /** A call begins; its name is known. */
  start(name: string): void
  /** The next piece of the arguments' JSON text. */
  arguments(piece: string): void
  /** The call's arguments are all there, or all that will come. */
  end(): void
  /** Something the client should know about the reply, told with its end. */
  complain(diagnostic: string): void
}

export interface CallReader {
  /** Takes text of the block; gives back what comes after the calls and is not one. */
  push(text: string): string
  /** The block ends: by its closing tag, or because the reply does. */
  end(by: "tag" | "reply"): void
  /** Inside a value a tag is part of the value. */
  readonly position: "value" | "structure"
}
