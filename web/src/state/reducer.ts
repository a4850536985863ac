// All that the page knows, and every way in which it changes. Pure: an action and a state in, the next state out.

import type { ReplyEvent } from "../api/chat.ts"
import { grown } from "./growth.ts"
import { withTurn } from "./conversation.ts"
import type { Call, Conversation, Reply, Turn } from "./conversation.ts"
import type { Preferences } from "./preferences.ts"
import type { ChatSettings } from "./settings.ts"

export interface State {
  conversations: Readonly<Record<string, Conversation>>
  /** The one on the screen; nothing is a new one. */
  open: string | null
  preferences: Preferences
  /** `missing`: this browser keeps nothing. */
  storage: "reading" | "ready" | "missing"
}

/** A conversation and a turn in it. */
interface Place {
  conversation: string
  turn: string
}

export type Action =
  | { type: "read"; conversations: readonly Conversation[]; storage: "ready" | "missing" }
  | { type: "imported"; conversations: readonly Conversation[] }
  | { type: "opened"; conversation: string | null }
  | { type: "begun"; conversation: Conversation }
  | { type: "renamed"; conversation: string; title: string }
  | { type: "deleted"; conversation: string }
  | { type: "turns-added"; conversation: string; turns: readonly Turn[]; at: number }
  | { type: "chosen"; conversation: string; turn: Turn }
  | ({ type: "reply-grown"; events: readonly ReplyEvent[] } & Place)
  | ({ type: "reply-ended"; state: Exclude<Reply["state"], "running">; note?: string } & Place)
  | ({ type: "call-answered"; call: string; result: string } & Place)
  | { type: "settings-changed"; settings: Partial<ChatSettings> }
  | { type: "preferences-changed"; preferences: Partial<Preferences> }

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "read":
      return { ...state, storage: action.storage, ...added(state, action.conversations) }
    case "imported":
      return { ...state, ...added(state, action.conversations) }
    case "opened":
      return { ...state, open: action.conversation }
    case "begun":
      return { ...state, open: action.conversation.id, ...added(state, [action.conversation]) }
    case "renamed":
      return changed(state, action.conversation, (one) => ({ ...one, title: action.title }))
    case "deleted":
      return without(state, action.conversation)
    case "turns-added":
      return changed(state, action.conversation, (one) => ({
        ...action.turns.reduce(withTurn, one),
        changedAt: action.at,
      }))
    case "chosen":
      return changed(state, action.conversation, (one) => withTurn(one, action.turn))
    case "reply-grown":
      return replyChanged(state, action, (reply) => grown(reply, action.events))
    case "reply-ended":
      return replyChanged(state, action, (reply) => ended(reply, action))
    case "call-answered":
      return replyChanged(state, action, (reply) => answered(reply, action))
    case "settings-changed":
      return settingsChanged(state, action.settings)
    case "preferences-changed":
      return { ...state, preferences: { ...state.preferences, ...action.preferences } }
    default:
      return action satisfies never
  }
}

function added({ conversations }: State, more: readonly Conversation[]): Pick<State, "conversations"> {
  return { conversations: { ...conversations, ...Object.fromEntries(more.map((one) => [one.id, one])) } }
}

function without(state: State, id: string): State {
  const { [id]: _gone, ...conversations } = state.conversations
  return { ...state, conversations, open: state.open === id ? null : state.open }
}

/** The same state where there is no such conversation: it may have been deleted while a reply ran. */
function changed(state: State, id: string, change: (one: Conversation) => Conversation): State {
  const one = state.conversations[id]
  return one ? { ...state, ...added(state, [change(one)]) } : state
}

function replyChanged(state: State, place: Place, change: (reply: Reply) => Reply): State {
  return changed(state, place.conversation, (one) => {
    const turn = one.turns[place.turn]
    if (turn?.role !== "assistant") return one
    return { ...one, turns: { ...one.turns, [turn.id]: change(turn) } }
  })
}

/** The first end counts: whoever stops a reply does not want to hear that its connection broke. */
function ended(reply: Reply, { state, note }: { state: Reply["state"]; note?: string }): Reply {
  if (reply.state !== "running") return reply
  return { ...reply, state, ...(note !== undefined && { note }) }
}

function answered(reply: Reply, { call, result }: { call: string; result: string }): Reply {
  const answer = (one: Call) => (one.id === call ? { ...one, result } : one)
  return { ...reply, calls: reply.calls.map(answer) }
}

/** Of the open conversation, and of those to come. */
function settingsChanged(state: State, settings: Partial<ChatSettings>): State {
  const { preferences, open } = state
  const next = {
    ...state,
    preferences: { ...preferences, settings: { ...preferences.settings, ...settings } },
  }
  if (open === null) return next
  return changed(next, open, (one) => ({ ...one, settings: { ...one.settings, ...settings } }))
}

/** Of the open conversation, else those that a new one will have. */
export function settingsOf({ open, conversations, preferences }: State): ChatSettings {
  return (open === null ? undefined : conversations[open]?.settings) ?? preferences.settings
}
