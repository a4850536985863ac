import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { talk } from "../../test/conversations.ts"
import type { Conversation, Reply } from "./conversation.ts"
import { fromJson, toJson, toMarkdown } from "./export.ts"

function withReply(more: Partial<Reply>): Conversation {
  const one = talk("u1 a1")
  return { ...one, turns: { ...one.turns, a1: { ...(one.turns.a1 as Reply), ...more } } }
}

const full = withReply({
  thought: { text: "Hm.", tokens: 2, fromMs: 1, toMs: 5 },
  calls: [
    { id: "x", name: "now", arguments: "{}", result: "noon" },
    { id: "y", name: "add", arguments: '{"a": 1}' },
  ],
  measures: { tokens: 4, firstMs: 1, lastMs: 9, promptTokens: 11, cachedTokens: 7 },
  note: "odd",
  cut: "length",
})

describe("JSON", () => {
  test("comes back as it went out, branches and all", () => {
    const all = [full, { ...talk("u1 a1", "u1/ a2", "/ u3"), id: "d" }]
    expect(fromJson(toJson(all))).toEqual(all)
  })

  test("has nothing running when it comes back", () => {
    const [read] = fromJson(toJson([withReply({ state: "running" })]))
    expect(read.turns.a1).toMatchObject({ state: "stopped" })
  })

  test("of any other kind gives conversations that are sound, or none", () => {
    expect(fromJson("{")).toEqual([])
    expect(fromJson("null")).toEqual([])
    fc.assert(
      fc.property(fc.json(), fc.json(), fc.json(), (turn, chosen, settings) => {
        const text = `{"conversations": [{"id": "c", "turns": {"t": ${turn}}, "chosen": ${chosen}, "settings": ${settings}}]}`
        const read = fromJson(text)
        expect(read).toHaveLength(1)
        expect(fromJson(toJson(read))).toEqual(read)
      }),
    )
  })
})

describe("Markdown", () => {
  test("is what was read down the screen", () => {
    expect(toMarkdown(full)).toBe(
      [
        "# Talk",
        "## User",
        "text of u1",
        "## Assistant",
        "<details><summary>Thinking</summary>",
        "Hm.",
        "</details>",
        "text of a1",
        "**now**",
        "```json\n{}\n```",
        "```\nnoon\n```",
        "**add**",
        '```json\n{"a": 1}\n```',
        "",
      ].join("\n\n"),
    )
  })

  test("has fences longer than those inside", () => {
    const one = talk("u1")
    const files = [{ name: "a.md", text: "````\ncode\n````" }]
    const turns = { u1: { ...one.turns.u1, role: "user" as const, files } }
    expect(toMarkdown({ ...one, turns })).toContain("a.md:\n\n`````\n````\ncode\n````\n`````")
  })
})
