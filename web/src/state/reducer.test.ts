import { describe, expect, test } from "vitest"
import { talk } from "../../test/conversations.ts"
import type { ReplyEvent } from "../api/chat.ts"
import { tokensPerSecond } from "./growth.ts"
import type { Reply } from "./conversation.ts"
import { plainPreferences, readPreferences } from "./preferences.ts"
import { reduce, settingsOf } from "./reducer.ts"
import type { Action, State } from "./reducer.ts"
import { plainSettings } from "./settings.ts"

const preferences = plainPreferences(1280, ["en"])
const place = { conversation: "c", turn: "a1" }

function stateOf(...lines: string[]): State {
  return { conversations: { c: talk(...lines) }, open: "c", preferences, storage: "ready" }
}

function running(): State {
  const state = stateOf("u1")
  const reply: Reply = {
    role: "assistant",
    id: "a1",
    parent: "u1",
    text: "",
    calls: [],
    state: "running",
    at: 0,
  }
  return reduce(state, { type: "turns-added", conversation: "c", turns: [reply], at: 5 })
}

function after(state: State, ...actions: Action[]): Reply {
  return actions.reduce(reduce, state).conversations.c.turns.a1 as Reply
}

const grown = (...events: ReplyEvent[]): Action => ({ type: "reply-grown", ...place, events })

describe("a reply", () => {
  test("grows by its thought, which has a time and tokens of its own, then by its text", () => {
    const reply = after(
      running(),
      grown({ type: "thought", text: "Let me ", atMs: 400 }, { type: "thought", text: "see.", atMs: 900 }),
      grown({ type: "text", text: "It ", atMs: 1000 }, { type: "text", text: "is.", atMs: 1400 }),
    )
    expect(reply.thought).toEqual({ text: "Let me see.", tokens: 2, fromMs: 400, toMs: 900 })
    expect(reply).toMatchObject({ text: "It is.", measures: { tokens: 4, firstMs: 400, lastMs: 1400 } })
    expect(tokensPerSecond(reply.measures!)).toBe(3)
  })

  test("takes the server's counts over its own", () => {
    const usage = { promptTokens: 11, cachedTokens: 7, tokens: 6, thoughtTokens: 4 }
    const reply = after(
      running(),
      grown({ type: "thought", text: "Hm", atMs: 1 }, { type: "usage", ...usage, atMs: 2 }),
    )
    expect(reply.thought?.tokens).toBe(4)
    expect(reply.measures).toMatchObject({ promptTokens: 11, cachedTokens: 7, tokens: 6 })
  })

  test("gathers the pieces of several calls", () => {
    const piece = (index: number, text: string, head: object = {}) =>
      ({ type: "call", index, arguments: text, atMs: 1, ...head }) as ReplyEvent
    const reply = after(
      running(),
      grown(piece(0, "", { id: "x", name: "add" }), piece(0, '{"a":'), piece(0, "1}")),
      grown(piece(1, "{}", { id: "y", name: "now" })),
      { type: "call-answered", ...place, call: "y", result: "noon" },
    )
    expect(reply.calls).toEqual([
      { id: "x", name: "add", arguments: '{"a":1}' },
      { id: "y", name: "now", arguments: "{}", result: "noon" },
    ])
  })

  test("that was stopped does not fail afterwards", () => {
    const ends: Action[] = [
      { type: "reply-ended", ...place, state: "stopped" },
      { type: "reply-ended", ...place, state: "failed", note: "the connection broke" },
    ]
    const reply = after(running(), ...ends)
    expect([reply.state, reply.note]).toEqual(["stopped", undefined])
  })

  test("of a conversation that was deleted meanwhile goes nowhere", () => {
    const state = reduce(running(), { type: "deleted", conversation: "c" })
    expect(reduce(state, grown({ type: "text", text: "x", atMs: 1 }))).toBe(state)
    expect([state.conversations, state.open]).toEqual([{}, null])
  })
})

describe("settings", () => {
  test("are those of the open conversation, and of the next one", () => {
    const state = reduce(stateOf("u1"), { type: "settings-changed", settings: { system: "Be brief." } })
    expect(settingsOf(state).system).toBe("Be brief.")
    expect(settingsOf({ ...state, open: null }).system).toBe("Be brief.")
    const other = { ...talk("u1"), id: "d" }
    const switched = reduce(reduce(state, { type: "imported", conversations: [other] }), {
      type: "opened",
      conversation: "d",
    })
    expect(settingsOf(switched)).toEqual(plainSettings)
  })

  test("that were stored are read field by field, whatever else is there", () => {
    const stored = { theme: "dark", panel: 7, settings: { thinking: "off", budgetTokens: null } }
    const read = readPreferences(JSON.stringify(stored), preferences)
    expect(read).toEqual({ ...preferences, theme: "dark", settings: { ...plainSettings, thinking: "off" } })
    expect(readPreferences("{broken", preferences)).toEqual(preferences)
    expect(readPreferences("[]", preferences)).toEqual(preferences)
  })
})
