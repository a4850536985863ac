import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { talk } from "../../test/conversations.ts"
import { following, pathOf, pathTo, search, titleOf, withTurn } from "./conversation.ts"
import type { Conversation, Turn } from "./conversation.ts"

const ids = (turns: readonly Turn[]) => turns.map(({ id }) => id).join(" ")

describe("a conversation with branches", () => {
  const branched = talk("u1 a1 u2 a2", "a1/ u3 a3", "u1/ a4")

  test("is read along the turns that were chosen last", () => {
    expect(ids(pathOf(branched))).toBe("u1 a4")
  })

  test("is read on where it was left when an older branch is chosen again", () => {
    expect(ids(pathOf(withTurn(branched, branched.turns.a1)))).toBe("u1 a1 u3 a3")
  })

  test("knows which turns stand in one place, oldest first", () => {
    expect(ids(following(branched, "a1"))).toBe("u2 u3")
    expect(ids(following(branched, null))).toBe("u1")
  })

  test("leads from any turn to the first", () => {
    expect(ids(pathTo(branched, "a2"))).toBe("u1 a1 u2 a2")
  })
})

test("what is added behind any turn that is read is at the end of what is read then", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 1, maxLength: 30 }), (places) => {
      let conversation: Conversation = { ...talk("u0"), turns: {}, chosen: {} }
      for (const [i, place] of places.entries()) {
        const parents = [null, ...pathOf(conversation).map(({ id }) => id)]
        const parent = parents[place % parents.length]
        conversation = withTurn(conversation, { role: "user", id: `t${i}`, parent, text: "", files: [] })
        const path = pathOf(conversation)
        expect(path.at(-1)?.id).toBe(`t${i}`)
        expect(ids(path)).toBe(ids(pathTo(conversation, `t${i}`)))
      }
    }),
  )
})

test("a title is the first line in short, or the file's name", () => {
  expect(titleOf("  What is it?\nTell me.")).toBe("What is it?")
  expect(titleOf("x".repeat(100))).toBe(`${"x".repeat(59)}…`)
  expect(titleOf("", [{ name: "notes.txt", text: "" }])).toBe("notes.txt")
})

test("a search wants all words, in the title or anywhere that was said, and gives the latest first", () => {
  const first = { ...talk("u1 a1"), id: "1", title: "Primes", changedAt: 1 }
  const second = { ...talk("u1 a1 u7"), id: "2", title: "Primes again", changedAt: 2 }
  const found = (query: string) => search([first, second], query).map(({ id }) => id)
  expect(found("")).toEqual(["2", "1"])
  expect(found("PRIMES u7")).toEqual(["2"])
  expect(found("primes u8")).toEqual([])
})
