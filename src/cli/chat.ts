// Talks with a model: reads messages, streams replies, and takes commands that begin with a slash; or answers the one
// question that was given and ends.

import type { Command } from "commander"
import { ChatSession } from "./chat-session.ts"
import { isQuestion } from "./default-model.ts"
import { interruptible } from "./interrupt.ts"
import { modelArgument } from "./options.ts"
import { note } from "./output.ts"
import { addRequestOptions, requestOf } from "./request-options.ts"
import type { RequestOptions } from "./request-options.ts"
import { addSpeakerOptions, openSpeaker } from "./speaker.ts"
import type { SpeakerOptions } from "./speaker.ts"
import { readStdin } from "./stdin.ts"

interface ChatOptions extends SpeakerOptions, RequestOptions {}

export function define(command: Command): void {
  command.addArgument(modelArgument().argOptional()).argument("[question]", "answer this one and end")
  addSpeakerOptions(addRequestOptions(command)).action(chat)
}

async function chat(
  first: string | undefined,
  second: string | undefined,
  options: ChatOptions,
  command: Command,
): Promise<void> {
  const alone = second === undefined && first !== undefined
  const asks = alone && (options.remote !== undefined || isQuestion(first))
  const [named, question] = asks ? [undefined, first] : [first, second]
  const request = requestOf(options)
  const speaker = await interruptible((signal) => openSpeaker(named, command, signal))
  try {
    const { model, countTokens } = speaker
    const session = new ChatSession(model, { request, system: options.system, countTokens })
    if (question !== undefined) await session.answerOne(question)
    else if (process.stdin.isTTY) {
      note(speaker.greeting)
      await session.talk()
    } else await session.answerOne(await readStdin())
  } finally {
    await speaker.free()
  }
}
