// Conversations in a line, for tests: `u1 a1 u2` is one after another, `u1/` begins anew behind u1.

import { withTurn } from "../src/state/conversation.ts"
import type { Conversation, Turn } from "../src/state/conversation.ts"
import { plainSettings } from "../src/state/settings.ts"

/** `talk("u1 a1", "u1/ a2")`: a user's turn, its reply, and another reply in the same place. */
export function talk(...lines: string[]): Conversation {
  let conversation: Conversation = {
    id: "c",
    title: "Talk",
    changedAt: 1,
    settings: plainSettings,
    turns: {},
    chosen: {},
  }
  for (const line of lines) {
    const behind = /^(\w*)\/ */.exec(line)
    let parent = behind?.[1] || null
    for (const id of line.slice(behind?.[0].length ?? 0).split(" ")) {
      conversation = withTurn(conversation, turnOf(id, parent))
      parent = id
    }
  }
  return conversation
}

function turnOf(id: string, parent: string | null): Turn {
  const base = { id, parent, text: `text of ${id}` }
  if (id.startsWith("u")) return { ...base, role: "user", files: [] }
  return { ...base, role: "assistant", state: "done", at: 1, calls: [] }
}
