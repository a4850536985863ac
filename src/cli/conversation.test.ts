import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { testFolder } from "../../test/checkpoint-files.ts"
import { refusal } from "../../test/refusal.ts"
import { Conversation } from "./conversation.ts"

const reply = (content: string, reasoning = "") => ({ reasoning, content, toolCalls: [] })

function talk(): Conversation {
  const conversation = new Conversation("Be brief.")
  conversation.ask("How many?")
  conversation.take(reply("23.", "2x + 4y"))
  return conversation
}

test("keeps who said what, thoughts apart", () => {
  expect(talk().messages).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "How many?" },
    { role: "assistant", content: "23.", reasoning_content: "2x + 4y" },
  ])
})

test("files go before the next message, and only that", () => {
  const path = join(testFolder(), "notes.txt")
  writeFileSync(path, "Chickens have two legs.")
  const conversation = new Conversation()
  expect(conversation.addFile(path)).toBe("Chickens have two legs.")
  conversation.ask("How many?")
  conversation.ask("Sure?")
  expect(conversation.messages.map(({ content }) => content)).toEqual([
    "notes.txt:\n\nChickens have two legs.\n\nHow many?",
    "Sure?",
  ])
})

test("a call and its result keep the call's id", () => {
  const conversation = new Conversation()
  conversation.ask("Weather?")
  const call = { id: "call_1", type: "function" as const, function: { name: "weather", arguments: "{}" } }
  conversation.take({ reasoning: "", content: "", toolCalls: [call] })
  conversation.answerCall("call_1", "sunny")
  expect(conversation.messages.slice(1)).toEqual([
    { role: "assistant", content: "", tool_calls: [call] },
    { role: "tool", content: "sunny", tool_call_id: "call_1" },
  ])
})

test("the latest question can be taken back with all that followed it", () => {
  const conversation = talk()
  conversation.ask("And sheep?")
  conversation.take(reply("12."))
  conversation.takeBack()
  expect(conversation.messages).toEqual(talk().messages)
})

test("a reset keeps the system message", () => {
  const conversation = talk()
  conversation.reset()
  expect(conversation.messages).toEqual([{ role: "system", content: "Be brief." }])
})

test("a saved conversation goes on where it was", () => {
  const path = join(testFolder(), "talk.json")
  talk().save(path)
  const conversation = new Conversation()
  conversation.load(path)
  expect(conversation.messages).toEqual(talk().messages)
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ messages: talk().messages })
})

test("a list of messages can be loaded as well", () => {
  const path = join(testFolder(), "talk.json")
  writeFileSync(path, JSON.stringify(talk().messages))
  const conversation = new Conversation()
  conversation.load(path)
  expect(conversation.messages).toHaveLength(3)
})

test("refuses what is no conversation and keeps the one it has", async () => {
  const folder = testFolder()
  const conversation = talk()
  for (const text of ["{", "[1]", '{"messages": 3}', '[{"role": "robot"}]']) {
    const path = join(folder, "talk.json")
    writeFileSync(path, text)
    expect((await refusal(() => conversation.load(path))).code).toBe("bad-file")
  }
  expect((await refusal(() => conversation.load(join(folder, "missing")))).code).toBe("not-found")
  expect((await refusal(() => conversation.addFile(folder))).code).toBe("bad-file")
  expect(conversation.messages).toEqual(talk().messages)
})
