// Step 9. The events of one request's replies, as they come, each with the number of its reply. Ending early ends all.

import type { ChatEvent } from "../types.ts"
import { addEvent, emptyReply } from "../chat/reply.ts"
import type { Reply } from "../chat/reply.ts"

export interface ReplyEvent {
  /** Numbers the replies to one request from 0. */
  choice: number
  event: ChatEvent
}

export type Replies = AsyncGenerator<ReplyEvent, void>

type Step = { choice: number; result: IteratorResult<ChatEvent> }

/** Begins all replies. What is refused before any work is done, such as a prompt too long, is thrown here. */
export async function beginReplies(sources: readonly AsyncIterable<ChatEvent>[]): Promise<Replies> {
  const readers = sources.map((source) => source[Symbol.asyncIterator]())
  const steps = new Map(readers.map((reader, choice) => [choice, nextStep(reader, choice)]))
  try {
    await Promise.race([Promise.all(steps.values()), nextTurn()])
  } catch (error) {
    await endAll(readers)
    throw error
  }
  return interleave(readers, steps)
}

/** Reads all replies to their ends. */
export async function gather(replies: Replies, numReplies: number): Promise<Reply[]> {
  const gathered = Array.from({ length: numReplies }, emptyReply)
  for await (const { choice, event } of replies) addEvent(gathered[choice], event)
  return gathered
}

async function* interleave(
  readers: readonly AsyncIterator<ChatEvent>[],
  steps: Map<number, Promise<Step>>,
): Replies {
  try {
    while (steps.size > 0) {
      const { choice, result } = await Promise.race(steps.values())
      if (result.done) steps.delete(choice)
      else {
        yield { choice, event: result.value }
        steps.set(choice, nextStep(readers[choice], choice))
      }
    }
  } finally {
    await endAll(readers)
  }
}

function nextStep(reader: AsyncIterator<ChatEvent>, choice: number): Promise<Step> {
  const step = reader.next().then((result) => ({ choice, result }))
  // When one reply fails, nobody waits for the others any more.
  step.catch(() => undefined)
  return step
}

/** What a reply throws at its end was thrown before, to whoever read it. */
async function endAll(readers: readonly AsyncIterator<ChatEvent>[]): Promise<void> {
  await Promise.allSettled(readers.map((reader) => reader.return?.()))
}

/** A refusal takes no longer than the current turn of the event loop; work does. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
