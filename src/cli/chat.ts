// Talks with a model: reads messages, streams replies, and takes commands that begin with a slash.

import type { Command } from "commander"
import { load } from "../llm.ts"
import type { Llm } from "../llm.ts"
import { UserError } from "../util/errors.ts"
import { listModels } from "../weights/store.ts"
import { ChatSession } from "./chat-session.ts"
import { interruptible } from "./interrupt.ts"
import { showingProgress } from "./loading.ts"
import { addContextOption, addModelOptions, modelArgument } from "./options.ts"
import type { ModelOptions } from "./options.ts"
import { note } from "./output.ts"
import { addRequestOptions, requestOf } from "./request-options.ts"
import type { RequestOptions } from "./request-options.ts"
import { readStdin } from "./stdin.ts"
import { count } from "./units.ts"

interface ChatOptions extends ModelOptions, RequestOptions {
  context?: number
}

export function define(command: Command): void {
  command.addArgument(modelArgument().argOptional())
  addModelOptions(addContextOption(addRequestOptions(command))).action(chat)
}

async function chat(named: string | undefined, options: ChatOptions): Promise<void> {
  const request = requestOf(options)
  const model = named ?? onlyModel()
  const llm = await interruptible((signal) =>
    showingProgress((onProgress) => load(model, { ...options, signal, onNotice: note, onProgress })),
  )
  try {
    const countTokens = (text: string) => llm.tokenizer.encode(text).length
    const session = new ChatSession(llm, { request, system: options.system, countTokens })
    if (process.stdin.isTTY) {
      note(greeting(model, llm))
      await session.talk()
    } else await session.answerOne(await readStdin())
  } finally {
    await llm.free()
  }
}

/** The stored model, where there is one only. */
function onlyModel(): string {
  const ready = listModels().filter(({ state }) => state === "ready")
  if (ready.length === 1) return ready[0].name
  if (ready.length === 0)
    throw new UserError(
      "not-found",
      "there is no model yet: get one with a3b pull Qwen/Qwen3-30B-A3B-Thinking-2507",
    )
  const names = ready.map(({ name }) => name).join(", ")
  throw new UserError("bad-argument", `there are several models: name one of ${names}`)
}

function greeting(model: string, { model: { backend }, context }: Llm): string {
  const threads = `${backend.threads} thread${backend.threads === 1 ? "" : "s"}`
  return `${model}\n${backend.device}, ${threads}, context of ${count(context)} tokens; /help lists the commands`
}
