// A model behind our own server, over a socket: by the library as by the command line, and the same as it is here.

import { existsSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { addEvent, emptyReply } from "../src/chat/reply.ts"
import type { Reply } from "../src/chat/reply.ts"
import { remote } from "../src/remote/remote.ts"
import { addKey, readAccounts } from "../src/server/keys.ts"
import { listen } from "../src/server/server.ts"
import type { RunningServer } from "../src/server/running-server.ts"
import type { ChatModel, ChatRequest, Tool } from "../src/types.ts"
import { FakeModel, untilAborted } from "./fake-model.ts"
import { Installed } from "./installed.ts"
import type { Outcome, RunOptions } from "./installed.ts"
import { serving } from "./serving.ts"

const thought = ["<think>\n", "35 heads,", " 94 legs\n", "</think>", "\n\n"]
const called = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich"}}\n</tool_call>'
const model = new FakeModel({
  says: ({ tools, thinking }) => [
    ...(thinking === "off" ? [] : thought),
    ...(tools ? ["One moment.", "\n", called] : ["There are ", "23 chickens."]),
  ],
})
const tools: Tool[] = [{ type: "function", function: { name: "get_weather" } }]
const messages: ChatRequest["messages"] = [{ role: "user", content: "How many?" }]

let server: RunningServer
let installed: Installed
beforeAll(async () => {
  installed = new Installed()
  server = await listen(serving(model), { host: "127.0.0.1", port: 0 })
})
afterAll(async () => {
  installed.remove()
  await server.close(0)
})

async function replyOf(one: ChatModel, request: Partial<ChatRequest>): Promise<Reply> {
  const reply = emptyReply()
  for await (const event of one.chat({ messages, ...request })) addEvent(reply, event)
  return reply
}

/** Without what differs from reply to reply. */
function timeless({ toolCalls, usage, ...reply }: Reply): object {
  const counts = usage && { ...usage, prefillMs: 0, decodeMs: 0 }
  return { ...reply, usage: counts, toolCalls: toolCalls.map(({ function: said }) => said) }
}

describe("a model behind our own server", () => {
  test.each<[string, Partial<ChatRequest>]>([
    ["thinks and answers", {}],
    ["answers without thinking", { thinking: "off" }],
    ["calls a tool", { tools }],
    ["is stopped at its first word", { stop: ["There"] }],
  ])("%s as the model itself", async (_, request) => {
    const here = await replyOf(model, request)
    for (const delivery of ["stream", "whole"] as const) {
      const there = await replyOf(remote(server.url, { delivery }), request)
      // Which stop string it was, OpenAI's API has no word for.
      expect(timeless(there)).toEqual(timeless({ ...here, stopString: there.stopString }))
    }
  })

  test("is asked what it was asked", async () => {
    const request: Partial<ChatRequest> = {
      tools,
      toolChoice: "required",
      thinking: { budget: 7 },
      sampling: { temperature: 0.5, topK: 0, minP: 0.1, repetitionPenalty: 1.1, seed: 3, maxTokens: 99 },
      stop: ["x"],
      templateVariables: { flag: true },
    }
    await replyOf(remote(server.url), request)
    expect(model.requests.at(-1)).toMatchObject(request)
  })

  test("tells who it is", async () => {
    expect(await remote(server.url).identity()).toEqual({ dialect: "a3b", model: "fake", context: 1000 })
  })

  test("refuses what it refuses here", async () => {
    const long = remote(server.url).chat({ messages: [{ role: "user", content: "a".repeat(1000) }] })
    await expect(long.next()).rejects.toMatchObject({ code: "context-exceeded" })
    await expect(remote(server.url, { model: "other" }).chat({ messages }).next()).rejects.toMatchObject({
      code: "not-found",
    })
  })

  test("ends its work when the reading ends", async () => {
    for await (const _ of remote(server.url).chat({ messages })) break
    while (model.numLive > 0) await new Promise((resolve) => setTimeout(resolve, 1))
  })
})

describe("the command line", () => {
  const a3b = (args: string[], options?: RunOptions): Promise<Outcome> => installed.run(args, options)

  test("run streams the answer to stdout, the thought to stderr", async () => {
    const { code, stdout, stderr } = await a3b(["run", "--remote", server.url, "--prompt", "How many?"])
    expect({ code, stdout }).toEqual({ code: 0, stdout: "There are 23 chickens.\n" })
    expect(stderr).toMatch(/^35 heads, 94 legs\n\nthought for [\d.]+ s\n5 tokens/)
  })

  test("run --json gives what a local model's does", async () => {
    const args = ["run", "--remote", server.url, "--remote-model", "fake", "--prompt", "How many?", "--json"]
    const { code, stdout } = await a3b([...args, "--no-think", "--seed", "5"])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      reasoning: "",
      content: "There are 23 chickens.",
      finish_reason: "stop",
      usage: { prompt_tokens: 11, completion_tokens: 5, cached_tokens: 7, reasoning_tokens: 2 },
    })
    expect(model.requests.at(-1)).toMatchObject({ thinking: "off", sampling: { seed: 5 } })
  })

  test("chat answers a question, or one from stdin", async () => {
    const asked = await a3b(["chat", "--remote", server.url, "Hello?"])
    expect(asked.stdout).toBe("There are 23 chickens.\n")
    const piped = await a3b(["chat", "--remote", `${server.url}/v1/`], { input: "How many?" })
    expect(piped.stdout).toBe("There are 23 chickens.\n")
  })

  // util-linux's `script` gives the command a terminal.
  test.runIf(process.platform === "linux" && existsSync("/usr/bin/script"))(
    "chat greets with the server's name and its model's",
    async () => {
      const command = `"${process.execPath}" "${installed.main}" chat --remote ${server.url}`
      const { stdout } = await installed.spawn("script", ["-qec", command, "/dev/null"], {
        env: { TERM: "xterm" },
        stdin: "open",
        during: (child) => {
          child.stdout.on("data", (text: string) => text.includes("\x1b[3G") && child.stdin.write("/exit\r"))
        },
      })
      expect(stdout).toContain(`fake at ${server.url}/v1`)
      expect(stdout).toContain("a3b, context of 1,000 tokens; /help lists the commands")
    },
  )

  test("Ctrl-C ends the work of the server", async () => {
    model.work = untilAborted
    const { code } = await a3b(["run", "--remote", server.url, "--prompt", "How many?"], {
      during: (child) => {
        const wait = setInterval(() => {
          if (model.numLive === 0) return
          clearInterval(wait)
          child.kill("SIGINT")
        }, 5)
      },
    })
    model.work = async () => undefined
    expect(code).toBe(130)
    while (model.numLive > 0) await new Promise((resolve) => setTimeout(resolve, 1))
  })

  test("takes the key from the environment, and shows it nowhere", async () => {
    const file = join(installed.folder, "remote-keys.json")
    const key = addKey(file, { name: "alice" })
    const closed = await listen(serving(new FakeModel(), { accounts: readAccounts(file) }), {
      host: "127.0.0.1",
      port: 0,
    })
    const args = ["run", "--remote", closed.url, "--prompt", "How many?"]
    expect((await a3b(args, { env: { A3B_API_KEY: key } })).stdout).toBe("Hello.\n")
    const refused = await a3b(args)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(
      /^error: http:\S+ answered 401 \(there is no API key: [^\n]+A3B_API_KEY[^\n]+\n$/,
    )
    const wrong = await a3b(args, { env: { A3B_API_KEY: `${key}x`, A3B_DEBUG: "1" } })
    expect(wrong.stderr).toContain("the API key is not known")
    expect(wrong.stderr).not.toContain(key)
    await closed.close(0)
  })

  test.each<[string[], RegExp]>([
    [["--remote", "localhost:8000"], /^error: "localhost:8000" is no address of a server: wanted [^\n]+\n$/],
    [
      ["--remote", "http://127.0.0.1:1"],
      /^error: http:\/\/127\.0\.0\.1:1\/v1 failed: fetch failed \([^\n]+\): check [^\n]+\n$/,
    ],
    [
      ["--remote", "http://127.0.0.1:1", "--threads", "2"],
      /^error: --threads is for a model of this machine/,
    ],
    [["some-model", "--remote", "http://127.0.0.1:1"], /^error: some-model would be a model of this machine/],
    [["--remote-model", "a"], /^error: --remote-model names a model of a server: give --remote <url> too\n$/],
  ])("refuses %j", async (args, message) => {
    const { code, stderr } = await a3b(["run", ...args, "--prompt", "How many?"])
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(message) })
  })

  test("has help for it", async () => {
    const { stdout } = await a3b(["chat", "--help"])
    expect(stdout).toMatch(/--remote <url> +talk with the model of an OpenAI-compatible server/)
    expect(stdout).toMatch(/--remote-model <name>/)
    expect((await a3b(["--help"])).stdout).toMatch(/A3B_API_KEY +key of the server that --remote names/)
  })
})
