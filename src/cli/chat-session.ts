// One sitting at the terminal: messages and slash commands in, replies out. Ctrl-C stops a reply; at the prompt the
// second one leaves.

import type { Reply } from "../chat/reply.ts"
import type { ChatModel, ChatRequest, Thinking } from "../types.ts"
import { UserError } from "../util/errors.ts"
import { Conversation } from "./conversation.ts"
import { isCancelled } from "./failure.ts"
import { interruptible } from "./interrupt.ts"
import { MessageReader } from "./message-reader.ts"
import { note, paint } from "./output.ts"
import { ReplyView } from "./reply-view.ts"
import { parseSlash, slashHelp } from "./slash-commands.ts"
import type { SlashCommands } from "./slash-commands.ts"
import { count } from "./units.ts"

export interface SessionOptions {
  request: Omit<ChatRequest, "messages" | "signal">
  system?: string
  /** Not where the tokenizer is elsewhere. */
  countTokens?: (text: string) => number
}

export class ChatSession {
  readonly #model: ChatModel
  readonly #options: SessionOptions
  readonly #conversation: Conversation
  #thinking: Thinking | undefined
  #thoughts: "shown" | "folded" = "shown"
  #latestThought = ""
  #state: "talking" | "leaving" = "talking"
  /** Ctrl-C since the latest message. */
  #interrupts = 0

  constructor(model: ChatModel, options: SessionOptions) {
    this.#model = model
    this.#options = options
    this.#thinking = options.request.thinking
    this.#conversation = new Conversation(options.system)
  }

  readonly #commands: SlashCommands = {
    think: {
      takes: "[tokens]",
      meaning: "think before answering, at most so many tokens",
      run: (tokens) => this.#think(tokens === "" ? "on" : { budget: budgetOf(tokens) }),
    },
    no_think: { meaning: "answer without thinking", run: () => this.#think("off") },
    fold: { meaning: "show thoughts as one line, or in full again", run: () => this.#fold() },
    thought: { meaning: "show the latest thought", run: () => note(this.#latestThought || "no thought yet") },
    file: {
      takes: "<path>",
      meaning: "put a file's text before the next message",
      run: (path) => this.#addFile(path),
    },
    reset: { meaning: "forget the conversation", run: () => this.#conversation.reset() },
    save: {
      takes: "<path>",
      meaning: "write the conversation to a file",
      run: (path) => this.#conversation.save(needed(path)),
    },
    load: {
      takes: "<path>",
      meaning: "go on with a saved conversation",
      run: (path) => this.#conversation.load(needed(path)),
    },
    help: { meaning: "show this list", run: () => note(slashHelp(this.#commands)) },
    exit: { meaning: "leave, as Ctrl-D does", run: () => (this.#state = "leaving") },
  }

  /** Until the person leaves. */
  async talk(): Promise<void> {
    const words = Object.keys(this.#commands).map((name) => `/${name}`)
    // Replies may go to a file; the prompt stays where the person is.
    const output = process.stdout.isTTY ? process.stdout : process.stderr
    const reader = new MessageReader({ words, output })
    try {
      while (this.#state === "talking") {
        const reading = await reader.read("> ")
        if (reading.kind === "end") return
        if (reading.kind === "interrupt") this.#interrupted()
        else await this.#handle(reading.text, reader)
      }
    } finally {
      reader.close()
    }
  }

  /** One message, one reply. */
  async answerOne(text: string): Promise<void> {
    if (text.trim() === "") throw new UserError("bad-argument", "there is nothing to answer: stdin is empty")
    this.#conversation.ask(text.trimEnd())
    await this.#reply()
  }

  #interrupted(): void {
    if (++this.#interrupts > 1) throw new UserError("cancelled", "left by Ctrl-C")
    note("Ctrl-C once more, or /exit, leaves")
  }

  /** What a message or a command runs into is shown, and the talk goes on. */
  async #handle(text: string, reader: MessageReader): Promise<void> {
    this.#interrupts = 0
    try {
      const slash = parseSlash(text)
      if (slash) this.#run(slash.name, slash.argument)
      else if (text.trim() !== "") await this.#converse(text, reader)
    } catch (error) {
      if (isCancelled(error)) {
        this.#interrupts = 1
        note("stopped")
      } else if (error instanceof UserError) note(paint("red", `error: ${error.message}`, process.stderr))
      else throw error
    }
  }

  #run(name: string, argument: string): void {
    if (!Object.hasOwn(this.#commands, name)) return note(`there is no /${name}; /help lists what there is`)
    this.#commands[name].run(argument)
    if (name === "reset" || name === "save" || name === "load") this.#tellLength()
  }

  /** A question and its reply; of a reply that calls tools the person gives the results. */
  async #converse(text: string, reader: MessageReader): Promise<void> {
    this.#conversation.ask(text)
    for (;;) {
      const { toolCalls } = await this.#reply()
      if (toolCalls.length === 0) return
      for (const { id, function: called } of toolCalls) {
        const result = await reader.read(`result of ${called.name}: `)
        if (result.kind !== "message") return this.#conversation.takeBack()
        this.#conversation.answerCall(id, result.text)
      }
    }
  }

  async #reply(): Promise<Reply> {
    const { request, countTokens } = this.#options
    const { messages } = this.#conversation
    const view = new ReplyView({ thinking: this.#thoughts, countTokens })
    try {
      await interruptible(async (signal) => {
        const events = this.#model.chat({ ...request, thinking: this.#thinking, messages, signal })
        for await (const event of events) view.push(event)
      })
      this.#conversation.take(view.reply)
      return view.reply
    } catch (error) {
      // What was said before Ctrl-C stays said.
      if (isCancelled(error) && view.reply.content) this.#conversation.take({ ...view.reply, toolCalls: [] })
      else this.#conversation.takeBack()
      throw error
    } finally {
      view.end()
      this.#latestThought = view.reply.reasoning
    }
  }

  #think(thinking: Thinking): void {
    this.#thinking = thinking
    const limit = typeof thinking === "object" ? ` for at most ${count(thinking.budget)} tokens` : ""
    note(thinking === "off" ? "answering without thinking" : `thinking before answering${limit}`)
  }

  #fold(): void {
    this.#thoughts = this.#thoughts === "shown" ? "folded" : "shown"
    note(`thoughts are ${this.#thoughts}`)
  }

  #addFile(path: string): void {
    const text = this.#conversation.addFile(needed(path))
    const numTokens = this.#options.countTokens?.(text)
    const length = numTokens === undefined ? `${count(text.length)} characters` : `${count(numTokens)} tokens`
    note(`${path}: ${length} go before the next message`)
  }

  #tellLength(): void {
    const { length } = this.#conversation.messages
    note(`${count(length)} message${length === 1 ? "" : "s"} in the conversation`)
  }
}

function needed(path: string): string {
  if (path !== "") return path
  throw new UserError("bad-argument", "which file? name it after the command")
}

function budgetOf(text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new UserError("bad-argument", `/think takes a number of tokens, not ${text}: for example /think 2000`)
}
