// Talks with a model: reads messages, streams replies, and takes commands that begin with a slash; or answers the one
// question that was given and ends.

import type { Command } from "commander"
import { load } from "../llm.ts"
import type { Llm } from "../llm.ts"
import { ChatSession } from "./chat-session.ts"
import { defaultModel, isQuestion } from "./default-model.ts"
import { interruptible } from "./interrupt.ts"
import { showingProgress } from "./loading.ts"
import { addContextOption, addKvOptions, addModelOptions, modelArgument } from "./options.ts"
import type { KvOptions, ModelOptions } from "./options.ts"
import { note } from "./output.ts"
import { addRequestOptions, requestOf } from "./request-options.ts"
import type { RequestOptions } from "./request-options.ts"
import { readStdin } from "./stdin.ts"
import { count } from "./units.ts"

interface ChatOptions extends ModelOptions, KvOptions, RequestOptions {
  context?: number
}

export function define(command: Command): void {
  command.addArgument(modelArgument().argOptional()).argument("[question]", "answer this one and end")
  addModelOptions(addKvOptions(addContextOption(addRequestOptions(command)))).action(chat)
}

async function chat(
  first: string | undefined,
  second: string | undefined,
  options: ChatOptions,
): Promise<void> {
  const alone = second === undefined && first !== undefined && isQuestion(first)
  const [named, question] = alone ? [undefined, first] : [first, second]
  const request = requestOf(options)
  const model = named ?? defaultModel()
  const llm = await interruptible((signal) =>
    showingProgress((onProgress) => load(model, { ...options, signal, onNotice: note, onProgress })),
  )
  try {
    const countTokens = (text: string) => llm.tokenizer.encode(text).length
    const session = new ChatSession(llm, { request, system: options.system, countTokens })
    if (question !== undefined) await session.answerOne(question)
    else if (process.stdin.isTTY) {
      note(greeting(model, llm))
      await session.talk()
    } else await session.answerOne(await readStdin())
  } finally {
    await llm.free()
  }
}

function greeting(model: string, { model: { backend }, context }: Llm): string {
  const threads = `${backend.threads} thread${backend.threads === 1 ? "" : "s"}`
  return `${model}\n${backend.device}, ${threads}, context of ${count(context)} tokens; /help lists the commands`
}
