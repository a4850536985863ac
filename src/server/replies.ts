// Step 9. The events of one request's replies, as they come, each with the number of its reply. However the reading
// ends, by itself, by a failure or because nobody goes on, all replies are ended with it, and that is told once.

import { addEvent, emptyReply } from "../chat/reply.ts"
import type { Reply } from "../chat/reply.ts"
import type { ChatEvent } from "../types.ts"

export interface ReplyEvent {
  /** Numbers the replies to one request from 0. */
  choice: number
  event: ChatEvent
}

type Step = { choice: number; result: IteratorResult<ChatEvent> }

export interface ReplyEnds {
  /** Makes replies that are still under way come to an end soon. */
  abort: () => void
  /** They have. */
  onEnd: () => void
  /** What is refused of them before any work is done has been refused. */
  settled: () => Promise<void>
}

/** An iterator of its own, because a generator that was left before its first step would tell nobody. */
export class Replies implements AsyncIterableIterator<ReplyEvent, void> {
  readonly #readers: readonly AsyncIterator<ChatEvent>[]
  /** The next event of each reply that goes on. */
  readonly #steps = new Map<number, Promise<Step>>()
  readonly #ends: ReplyEnds
  #ended: Promise<void> | undefined

  private constructor(sources: readonly AsyncIterable<ChatEvent>[], ends: ReplyEnds) {
    this.#readers = sources.map((source) => source[Symbol.asyncIterator]())
    this.#ends = ends
    for (const choice of this.#readers.keys()) this.#step(choice)
  }

  /** Begins all replies. What is refused before any work is done, such as a prompt too long, is thrown here. */
  static async begin(sources: readonly AsyncIterable<ChatEvent>[], ends: ReplyEnds): Promise<Replies> {
    const replies = new Replies(sources, ends)
    try {
      await Promise.race([Promise.all(replies.#steps.values()), ends.settled()])
    } catch (error) {
      await replies.#end()
      throw error
    }
    return replies
  }

  async next(): Promise<IteratorResult<ReplyEvent, void>> {
    try {
      while (this.#steps.size > 0 && this.#ended === undefined) {
        const { choice, result } = await Promise.race(this.#steps.values())
        if (result.done) this.#steps.delete(choice)
        else {
          this.#step(choice)
          return { done: false, value: { choice, event: result.value } }
        }
      }
    } catch (error) {
      await this.#end()
      throw error
    }
    return this.return()
  }

  async return(): Promise<IteratorResult<ReplyEvent, void>> {
    await this.#end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #step(choice: number): void {
    const step = this.#readers[choice].next().then((result) => ({ choice, result }))
    // When one reply fails, nobody waits for the others any more.
    step.catch(() => undefined)
    this.#steps.set(choice, step)
  }

  #end(): Promise<void> {
    return (this.#ended ??= this.#endAll())
  }

  /** What a reply throws now was thrown before, to whoever read it, or comes of its being ended. */
  async #endAll(): Promise<void> {
    this.#ends.abort()
    await Promise.allSettled(this.#readers.map((reader) => reader.return?.()))
    this.#ends.onEnd()
  }
}

/** Reads all replies to their ends. */
export async function gather(replies: Replies, numReplies: number): Promise<Reply[]> {
  const gathered = Array.from({ length: numReplies }, emptyReply)
  for await (const { choice, event } of replies) addEvent(gathered[choice], event)
  return gathered
}
