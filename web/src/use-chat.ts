// The user's side of the conversation: every way to ask for a reply, and to stop one. Replies run on when another
// conversation is opened.

import { useMemo, useRef } from "react"
import type { Dispatch } from "react"
import { streamReply } from "./api/chat.ts"
import type { ReplyEvent } from "./api/chat.ts"
import { newId, pathOf, pathTo, titleOf, withTurn } from "./state/conversation.ts"
import type { Conversation, Reply, TextFile, UserTurn } from "./state/conversation.ts"
import type { Action, State } from "./state/reducer.ts"
import { requestBody } from "./state/request.ts"

export interface ChatActions {
  /** Goes on at the end of the open conversation, or begins one. */
  send(text: string, files: readonly TextFile[]): void
  /** Another message in this one's place, as a branch. */
  edit(turn: UserTurn, text: string): void
  /** Another reply in this one's place, as a branch. */
  regenerate(reply: Reply): void
  /** The reply that follows the results of this one's calls. */
  goOn(reply: Reply): void
  stop(reply: Reply): void
}

/** What came is drawn so often; more is more work than can be seen. */
const drawMs = 50

export function useChat(state: State, dispatch: Dispatch<Action>): ChatActions {
  const latest = useRef(state)
  latest.current = state
  return useMemo(() => new Asking(() => latest.current, dispatch), [dispatch])
}

class Asking implements ChatActions {
  readonly #state: () => State
  readonly #dispatch: Dispatch<Action>
  /** By the reply's id. */
  readonly #running = new Map<string, AbortController>()

  constructor(state: () => State, dispatch: Dispatch<Action>) {
    this.#state = state
    this.#dispatch = dispatch
  }

  send = (text: string, files: readonly TextFile[]): void => {
    const open = this.#open ?? this.#begin(titleOf(text, files))
    const parent = pathOf(open).at(-1)?.id ?? null
    this.#ask(open, { role: "user", id: newId(), parent, text, files })
  }

  edit = (turn: UserTurn, text: string): void => {
    if (this.#open) this.#ask(this.#open, { ...turn, id: newId(), text })
  }

  regenerate = (reply: Reply): void => {
    if (this.#open) void this.#reply(this.#open, reply.parent)
  }

  goOn = (reply: Reply): void => {
    if (this.#open) void this.#reply(this.#open, reply.id)
  }

  stop = (reply: Reply): void => {
    this.#running.get(reply.id)?.abort()
  }

  get #open(): Conversation | undefined {
    const { open, conversations } = this.#state()
    return open === null ? undefined : conversations[open]
  }

  #begin(title: string): Conversation {
    const { settings } = this.#state().preferences
    const conversation = { id: newId(), title, changedAt: Date.now(), settings, turns: {}, chosen: {} }
    this.#dispatch({ type: "begun", conversation })
    return conversation
  }

  #ask(conversation: Conversation, turn: UserTurn): void {
    this.#dispatch({ type: "turns-added", conversation: conversation.id, turns: [turn], at: Date.now() })
    void this.#reply(withTurn(conversation, turn), turn.id)
  }

  async #reply(conversation: Conversation, parent: string | null): Promise<void> {
    const at = Date.now()
    const reply: Reply = { role: "assistant", id: newId(), parent, text: "", calls: [], state: "running", at }
    const place = { conversation: conversation.id, turn: reply.id }
    const abort = new AbortController()
    this.#running.set(reply.id, abort)
    this.#dispatch({ type: "turns-added", conversation: conversation.id, turns: [reply], at })
    const body = requestBody(parent === null ? [] : pathTo(conversation, parent), conversation.settings)
    const { apiKey } = this.#state().preferences
    try {
      const events = streamReply(body, { apiKey, signal: abort.signal })
      for await (const some of gathered(events))
        this.#dispatch({ type: "reply-grown", ...place, events: some })
      this.#dispatch({ type: "reply-ended", ...place, state: "done" })
    } catch (error) {
      const note = error instanceof Error ? error.message : String(error)
      const end = abort.signal.aborted
        ? ({ state: "stopped" } as const)
        : ({ state: "failed", note } as const)
      this.#dispatch({ type: "reply-ended", ...place, ...end })
    }
    this.#running.delete(reply.id)
  }
}

/** Events in the bunches in which they are drawn. What came before a failure is given before it. */
async function* gathered(events: AsyncIterable<ReplyEvent>): AsyncGenerator<ReplyEvent[]> {
  let bunch: ReplyEvent[] = []
  let drawnAt = 0
  try {
    for await (const event of events) {
      bunch.push(event)
      if (performance.now() - drawnAt < drawMs) continue
      yield bunch
      bunch = []
      drawnAt = performance.now()
    }
  } catch (error) {
    yield bunch
    throw error
  }
  yield bunch
}
