// The nouns of the page, and the tree that a conversation is: each turn names the one before it, and among several
// that follow the same turn one is chosen. What is read down the screen is the path of the chosen ones.

import type { ChatSettings } from "./settings.ts"

/** A file whose text went into a message. */
export interface TextFile {
  name: string
  text: string
}

/** What a reply asked a tool to do; the result is what the user, or the user's program, answered. */
export interface Call {
  id: string
  name: string
  /** JSON, in the model's own spelling; incomplete while it is written. */
  arguments: string
  result?: string
}

export interface Thought {
  text: string
  tokens: number
  /** Since the request. */
  fromMs: number
  toMs: number
}

/** What a reply took; counted while it runs, and corrected by the server's own counts at its end. */
export interface Measures {
  promptTokens?: number
  cachedTokens?: number
  tokens: number
  /** Since the request: the first and the latest token. */
  firstMs: number
  lastMs: number
}

interface TurnBase {
  id: string
  /** The turn before; nothing for the first. */
  parent: string | null
  text: string
}

export interface UserTurn extends TurnBase {
  role: "user"
  files: readonly TextFile[]
}

export interface Reply extends TurnBase {
  role: "assistant"
  /** `stopped`: by the user, or because the page went away. */
  state: "running" | "done" | "stopped" | "failed"
  /** When it was asked for, in milliseconds since 1970. */
  at: number
  thought?: Thought
  calls: readonly Call[]
  measures?: Measures
  /** Why it failed, or what is odd about it. */
  note?: string
  /** It was cut by the limit of tokens. */
  cut?: "length"
}

export type Turn = UserTurn | Reply

export interface Conversation {
  id: string
  title: string
  /** In milliseconds since 1970. */
  changedAt: number
  settings: ChatSettings
  /** By id, oldest first. */
  turns: Readonly<Record<string, Turn>>
  /** By the turn before, `start` for none: which of those that follow it is read. */
  chosen: Readonly<Record<string, string>>
}

export function newId(): string {
  return crypto.randomUUID()
}

/** Turns with the same one before them, oldest first. */
export function following({ turns }: Conversation, parent: string | null): Turn[] {
  return Object.values(turns).filter((turn) => turn.parent === parent)
}

/** The turns that are read, first to last. */
export function pathOf(conversation: Conversation): Turn[] {
  const path: Turn[] = []
  let parent: string | null = null
  for (;;) {
    const next: Turn | undefined = conversation.turns[conversation.chosen[parent ?? "start"]]
    if (!next || next.parent !== parent) return path
    path.push(next)
    parent = next.id
  }
}

/** The turns that are read up to this one, itself among them. */
export function pathTo(conversation: Conversation, id: string): Turn[] {
  const path: Turn[] = []
  for (
    let turn: Turn | undefined = conversation.turns[id];
    turn;
    turn = conversation.turns[turn.parent ?? ""]
  )
    path.unshift(turn)
  return path
}

/** With a turn put behind its parent and chosen. */
export function withTurn(conversation: Conversation, turn: Turn): Conversation {
  return {
    ...conversation,
    turns: { ...conversation.turns, [turn.id]: turn },
    chosen: { ...conversation.chosen, [turn.parent ?? "start"]: turn.id },
  }
}

/** The first line of what was asked, or the file's name, in short. */
export function titleOf(text: string, files: readonly TextFile[] = []): string {
  const line = text.trim().split("\n")[0].trim() || files[0]?.name || ""
  return line.length > 60 ? `${line.slice(0, 59).trimEnd()}…` : line
}

/** Conversations that have all the words in their title or turns, latest first. */
export function search(conversations: Iterable<Conversation>, query: string): Conversation[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  const found = [...conversations].filter((conversation) => {
    if (words.length === 0) return true
    const texts = [conversation.title, ...Object.values(conversation.turns).map((turn) => turn.text)]
    const all = texts.join("\n").toLowerCase()
    return words.every((word) => all.includes(word))
  })
  return found.sort((a, b) => b.changedAt - a.changedAt)
}
