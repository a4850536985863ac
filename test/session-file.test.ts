// A conversation with the model that comes with the package, saved to a file and gone on with by another process's model.

import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { addEvent, emptyReply } from "../src/chat/reply.ts"
import { load, readSession, writeSession } from "../src/index.ts"
import type { ChatRequest, Llm, LoadOptions, Message } from "../src/index.ts"
import { ownHome } from "./own-home.ts"

const folder = ownHome("session")

async function nano(options: LoadOptions = {}): Promise<Llm> {
  const llm = await load(join(import.meta.dirname, "../models/nano"), { context: 2048, kv: "T2", ...options })
  onTestFinished(() => llm.free())
  return llm
}

const asked = (content: string): Message => ({ role: "user", content })
const first: ChatRequest = {
  messages: [asked("A farm has chickens and sheep, 35 heads and 94 legs. How many chickens?")],
  sampling: { temperature: 0 },
}

async function reply(llm: Llm, request: ChatRequest) {
  const reply = emptyReply()
  for await (const event of llm.chat(request)) addEvent(reply, event)
  const { content, reasoning, usage } = reply
  return { content, reasoning, cached: usage?.cachedTokens ?? 0 }
}

describe("a conversation in a file", () => {
  const path = join(folder, "conversations", "farm")
  let next: ChatRequest
  let expected: Awaited<ReturnType<typeof reply>>
  beforeAll(async () => {
    const llm = await load(join(import.meta.dirname, "../models/nano"), { context: 2048, kv: "T2" })
    const { content } = await reply(llm, first)
    writeSession(path, llm.saveSession(first))
    next = { ...first, messages: [...first.messages, { role: "assistant", content }, asked("Who are you?")] }
    expected = await reply(llm, next)
    await llm.free()
  })

  test("goes on in another model of the same file, without reading the prompt again", async () => {
    const llm = await nano()
    llm.restoreSession(readSession(path))
    expect(await reply(llm, next)).toEqual(expected)
    expect(expected.cached).toBeGreaterThan(20)
  })

  test("is there whole, for its owner alone, and nothing is left beside it", () => {
    expect(readdirSync(join(folder, "conversations"))).toEqual(["farm"])
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test("is refused by a model that keeps keys and values otherwise", async () => {
    // In 16 bits the norms are those of the file: keys are of another size.
    const llm = await nano({ kv: "f16" })
    expect(() => llm.restoreSession(readSession(path))).toThrow(/is of model [0-9a-f]{64}; this is/)
  })

  test.each([
    ["is cut anywhere", (bytes: Buffer) => bytes.subarray(0, -1), /has \d+ bytes and says \d+/],
    ["is longer", (bytes: Buffer) => Buffer.concat([bytes, bytes]), /has \d+ bytes and says \d+/],
    ["is cut in its header", (bytes: Buffer) => bytes.subarray(0, 40), /ends inside its header/],
    ["is empty", () => Buffer.alloc(0), /is too short/],
    ["is something else", () => Buffer.from("\x02\0\0\0\0\0\0\0{}"), /is no a3b-session/],
    [
      "has a negative size",
      (bytes: Buffer) =>
        Buffer.from(bytes.toString("latin1").replace(/"pages":\[\[\d/, '"pages":[[-'), "latin1"),
      /wrong header/,
    ],
  ])("is refused where it %s", (_, change, message) => {
    const broken = join(folder, "broken")
    writeFileSync(broken, change(readFileSync(path)))
    expect(() => readSession(broken)).toThrow(message)
  })
})
