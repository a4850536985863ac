// The server as a program starts it: `a3b/server`, with a model of real weights.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { load } from "../src/llm.ts"
import type { Llm } from "../src/llm.ts"
import { remote } from "../src/remote/remote.ts"
import { serve } from "../src/server/index.ts"
import { scriptedCheckpoint } from "./scripted-checkpoint.ts"

const folder = mkdtempSync(join(tmpdir(), "a3b-serve-"))
let path: string
beforeAll(() => {
  vi.stubEnv("A3B_HOME", join(folder, "home"))
  path = scriptedCheckpoint(join(folder, "model"), { says: [["\n", "23 chickens", ".", "<|im_end|>"]] })
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

const open = () => load(path, { backend: "reference" })

async function answerAt(url: string): Promise<string> {
  let text = ""
  for await (const event of remote(url).chat({ messages: [{ role: "user", content: "How many?" }] }))
    if (event.type === "content") text += event.text
  return text
}

test("a loaded model is served under its name, and freed when the server closes", async () => {
  const llm = await open()
  const server = await serve(llm, { port: 0, modelId: "chickens" })
  expect(server.context).toBe(llm.context)
  expect(await remote(server.url).identity()).toEqual({
    dialect: "a3b",
    model: "chickens",
    context: llm.context,
  })
  expect(await answerAt(server.url)).toBe("23 chickens.")
  await server.close(1000)
  await expect(fetch(server.url)).rejects.toThrow("fetch failed")
  await expect(llm.chat({ messages: [{ role: "user", content: "a" }] }).next()).rejects.toThrow()
})

test("a model that is opened by a function is opened anew after an idle time", async () => {
  const opened: Llm[] = []
  const server = await serve(
    async () => {
      opened.push(await open())
      return opened[opened.length - 1]
    },
    { port: 0, idleMs: 1 },
  )
  await vi.waitFor(async () => {
    const health = (await (await fetch(`${server.url}/health`)).json()) as { model: string } // our own answer
    expect(health.model).toBe("unloaded")
  })
  expect(await answerAt(server.url)).toBe("23 chickens.")
  expect(opened).toHaveLength(2)
  await server.close(1000)
})

test("an address of the network is refused before the model is opened, without keys or leave", async () => {
  const opening = vi.fn(open)
  await expect(serve(opening, { host: "0.0.0.0", port: 0 })).rejects.toThrow(
    /^0\.0\.0\.0 can be reached from other machines, .* give --api-key-file \(apiKeyFile\)/,
  )
  expect(opening).not.toHaveBeenCalled()
  const server = await serve(opening, { host: "0.0.0.0", port: 0, anonymous: "allowed" })
  await server.close(0)
})

test("a server that cannot listen frees the model", async () => {
  const first = await serve(open, { port: 0 })
  const llm = await open()
  const port = Number(new URL(first.url).port)
  await expect(serve(llm, { port })).rejects.toThrow(/is in use/)
  await expect(llm.chat({ messages: [{ role: "user", content: "a" }] }).next()).rejects.toThrow()
  await first.close(0)
})

test("a loaded model cannot be freed while idle", async () => {
  const llm = await open()
  await expect(serve(llm, { port: 0, idleMs: 1 })).rejects.toThrow(
    /idleMs frees the model, .* give a function/,
  )
  await llm.free()
})
