// The commands that run a model, as a user runs them: run, chat, logits, bench, serve.

import { execFile } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { parseConfig } from "../src/model/config.ts"
import { tensorSpecs } from "../src/model/tensors.ts"
import { encodeHeader, layOut, noHash } from "../src/weights/packed-header.ts"
import type { TensorNote } from "../src/weights/packed-header.ts"
import { aprilConfig } from "./april-config.ts"
import { Installed } from "./installed.ts"
import type { Outcome } from "./installed.ts"
import { scriptedCheckpoint } from "./scripted-checkpoint.ts"
import type { Script } from "./scripted-checkpoint.ts"

const thoughtful: Script = {
  family: "hybrid",
  says: [
    [
      "\n",
      "<think>",
      "35 heads, ",
      "94 legs",
      "</think>",
      "\n\n",
      "There are ",
      "23 chickens",
      ".",
      "<|im_end|>",
    ],
  ],
}
const calling: Script = {
  says: [
    [
      "\n",
      "<tool_call>",
      '{"name": "get_weather", ',
      '"arguments": {"city": "Paris"}}',
      "</tool_call>",
      "<|im_end|>",
    ],
  ],
}
/** Goes on for ever. */
const endless: Script = { says: [["\n", "round ", "and ", "again ", "round "]] }

const tools = [{ type: "function", function: { name: "get_weather", parameters: { type: "object" } } }]

let installed: Installed
const models: Record<"thoughtful" | "calling" | "endless", string> = {
  thoughtful: "",
  calling: "",
  endless: "",
}
beforeAll(() => {
  installed = new Installed()
  const make = (name: string, script: Script) => scriptedCheckpoint(join(installed.folder, name), script)
  models.thoughtful = make("thoughtful", thoughtful)
  models.calling = make("calling", calling)
  models.endless = make("endless", { ...endless, context: 262_144 })
  writeFileSync(join(installed.folder, "tools.json"), JSON.stringify(tools))
})
afterAll(() => installed.remove())
const a3b: Installed["run"] = (args, options) => installed.run(args, options)

describe("run", () => {
  test("streams the answer to stdout, the thought and the speed to stderr", async () => {
    const { code, stdout, stderr } = await a3b(["run", models.thoughtful, "--prompt", "How many?"])
    expect({ code, stdout }).toEqual({ code: 0, stdout: "There are 23 chickens.\n" })
    expect(stderr).toMatch(/^packing [^\n]+\nLoading checkpoint shards: 100% 1\/1 [^\n]+\n/)
    expect(stderr).toContain("\n35 heads, 94 legs\n\nthought for ")
    expect(stderr).toMatch(/\n9 tokens, [\d.]+ a second; \d+ read in [\d.]+ s\n$/)
    expect(stderr).not.toContain("\x1b")
  })

  test("--json prints one object and nothing else", async () => {
    const { code, stdout, stderr } = await a3b(["run", models.thoughtful, "--prompt", "How many?", "--json"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(JSON.parse(stdout)).toEqual({
      reasoning: "35 heads, 94 legs",
      content: "There are 23 chickens.",
      tool_calls: [],
      finish_reason: "stop",
      usage: {
        prompt_tokens: expect.any(Number),
        completion_tokens: 9,
        total_tokens: expect.any(Number),
        cached_tokens: 0,
        reasoning_tokens: expect.any(Number),
      },
      timings: {
        loadMs: expect.any(Number),
        prefillMs: expect.any(Number),
        decodeMs: expect.any(Number),
        prefillTokensPerSecond: expect.any(Number),
        decodeTokensPerSecond: expect.any(Number),
      },
    })
  })

  test("--prompt - reads stdin, and an empty prompt is refused", async () => {
    const piped = await a3b(["run", models.thoughtful, "--prompt", "-", "--json"], { input: "How many?" })
    const given = await a3b(["run", models.thoughtful, "--prompt", "How many?", "--json"])
    expect(JSON.parse(piped.stdout).usage).toEqual(JSON.parse(given.stdout).usage)
    const empty = await a3b(["run", models.thoughtful, "--prompt", "-"], { input: " \n" })
    expect(empty).toEqual({
      code: 1,
      stdout: "",
      stderr: "error: the prompt is empty: give --prompt a text\n",
    })
  })

  test("--max-tokens cuts the reply and says so", async () => {
    const args = ["run", models.endless, "--prompt", "Go", "--max-tokens", "4"]
    const { stdout, stderr } = await a3b(args)
    expect(stdout).toBe("round and again round \n")
    expect(stderr).toContain("the reply was cut")
    expect(JSON.parse((await a3b([...args, "--json"])).stdout).finish_reason).toBe("length")
  })

  test("the modes of thinking reach the model", async () => {
    const reply = async (...more: string[]) =>
      JSON.parse((await a3b(["run", models.thoughtful, "--prompt", "How many?", "--json", ...more])).stdout)
    expect(await reply("--no-think")).toMatchObject({ reasoning: "", content: "There are 23 chickens." })
    const limited = await reply("--think-budget", "1")
    expect(limited.reasoning).toContain("Considering the limited time by the user")
    expect(limited.diagnostic).toContain("budget")
    const both = await a3b(["run", models.thoughtful, "--prompt", "x", "--no-think", "--think-budget", "9"])
    expect(both.code).toBe(1)
    expect(both.stderr).toMatch(/^error: --no-think and --think-budget exclude each other: /)
  })

  test("tool calls are shown, and whole in JSON", async () => {
    const args = [
      "run",
      models.calling,
      "--prompt",
      "Weather?",
      "--tools",
      join(installed.folder, "tools.json"),
    ]
    expect((await a3b(args)).stdout).toBe('get_weather({"city": "Paris"})\n')
    const { tool_calls: calls, finish_reason: reason } = JSON.parse((await a3b([...args, "--json"])).stdout)
    const called = { name: "get_weather", arguments: '{"city": "Paris"}' }
    expect(calls).toEqual([{ id: expect.any(String), type: "function", function: called }])
    expect(reason).toBe("tool_calls")
  })

  test("refuses tools that are none", async () => {
    const path = join(installed.folder, "no-tools.json")
    for (const [text, what] of [
      ["{", "is no JSON ("],
      ["{}", "is no JSON list"],
      ['[{"type": "function"}]', "has something else as number 1"],
      ["[null]", "has something else as number 1"],
    ]) {
      writeFileSync(path, text)
      const { code, stderr } = await a3b(["run", models.calling, "--prompt", "x", "--tools", path])
      expect(code).toBe(1)
      expect(stderr.startsWith(`error: ${path} ${what}`)).toBe(true)
    }
  })

  test("a model that is not there is refused with where to look", async () => {
    const { code, stderr } = await a3b(["run", "no-model", "--prompt", "x"])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: no-model is no file, folder, stored model or hub id: [^\n]+\n$/)
  })

  test("300,000 tokens into 262,144 are refused with both numbers", async () => {
    const input = "a\n".repeat(150_000)
    const args = ["run", models.endless, "--prompt", "-", "--context", "262144"]
    const { code, stdout, stderr } = await a3b(args, { input })
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toMatch(/error: context is 262,144 tokens; prompt has 300,\d{3}: [^\n]+\n$/)
  })

  test("Ctrl-C stops the reply, keeps what was said and ends with 130", async () => {
    const { code, stdout, stderr } = await interrupted(["run", models.endless, "--prompt", "Go"], "again ")
    expect(code).toBe(130)
    expect(stdout).toMatch(/^round and again .*\n$/)
    expect(stderr).not.toContain("error")
  })

  test.runIf(existsSync("build/Release/a3b.node"))("both backends say the same", async () => {
    const args = ["run", models.thoughtful, "--prompt", "How many?", "--temperature", "0"]
    const cpu = await a3b([...args, "--backend", "cpu", "--threads", "1"])
    expect(cpu.stdout).toBe("There are 23 chickens.\n")
    expect((await a3b([...args, "--backend", "reference"])).stdout).toBe(cpu.stdout)
  })

  test("without the addon the reference backend answers, and one line says what is missing", async () => {
    const bare = new Installed({ addon: "without" })
    try {
      const args = ["run", models.thoughtful, "--prompt", "How many?"]
      const { code, stdout, stderr } = await bare.run(args)
      expect({ code, stdout }).toEqual({ code: 0, stdout: "There are 23 chickens.\n" })
      expect(stderr).toMatch(/\nno native addon for [^\n]+the slow reference backend is used\n/)
      const asked = await bare.run([...args, "--backend", "cpu"])
      expect(asked.code).toBe(1)
      expect(asked.stderr).toMatch(/^error: no native addon for [^\n]+\n$/)
    } finally {
      bare.remove()
    }
  })
})

/** Runs until `text` was on stdout, then sends what Ctrl-C sends. */
function interrupted(args: string[], text: string): Promise<Outcome> {
  return a3b(args, {
    during(child) {
      let seen = ""
      const watch = (more: string) => {
        seen += more
        if (!seen.includes(text)) return
        child.stdout.off("data", watch)
        child.kill("SIGINT")
      }
      child.stdout.on("data", watch)
    },
  })
}

describe("a packed model larger than memory", () => {
  let path: string
  beforeAll(() => {
    path = join(installed.folder, "huge.a3b")
    const config = { ...aprilConfig, moe_intermediate_size: 1 << 16 }
    const files = { "config.json": Buffer.from(JSON.stringify(config)) }
    const tensors: Record<string, TensorNote> = {}
    for (const { name, shape, role } of tensorSpecs(parseConfig(config)))
      tensors[name] = {
        format: role === "vector" ? "f32" : "q4_0",
        shape,
        source: "Q4_0",
        hash: noHash,
        packed: noHash,
        exact: true,
      }
    const note = { source: "nowhere", quant: "auto", tensors }
    const sizes = new Map(Object.entries(files).map(([name, bytes]) => [name, bytes.length]))
    // The weights, 1.4 TB of them, are a hole in the file.
    const { fileBytes } = layOut(note, sizes)
    writeFileSync(path, Buffer.concat([encodeHeader(note, sizes), files["config.json"]]))
    truncateSync(path, fileBytes)
  })

  test.each([
    ["logits", "--ids", "1,2"],
    ["bench", "--prefill", "16", "--depth", "0"],
  ])("%s refuses it before anything is allocated", async (command, ...args) => {
    const { code, stdout, stderr } = await a3b([command, path, ...args])
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toMatch(
      /^error: the model needs [\d,.]+ GiB of memory for [^\n]+ are available: [^\n]+\n$/,
    )
  })
})

describe("chat", () => {
  test("answers one message where stdin is no terminal", async () => {
    const { code, stdout } = await a3b(["chat", models.thoughtful], { input: "How many?\n" })
    expect({ code, stdout }).toEqual({ code: 0, stdout: "There are 23 chickens.\n" })
    const empty = await a3b(["chat", models.thoughtful], { input: "\n" })
    expect(empty.code).toBe(1)
    expect(empty.stderr).toBe("error: there is nothing to answer: stdin is empty\n")
  })

  test("takes the only model there is, and asks which of several", async () => {
    const env = { A3B_HOME: join(installed.folder, "chat-home") }
    const none = await a3b(["chat"], { env })
    expect(none.stderr).toMatch(
      /^error: there is no model yet, [^\n]+ model.safetensors[^\n]+ a3b pull [^\n]+\n$/,
    )
    const otherClone = join(installed.folder, "other-clone", "models", "nano")
    cpSync(models.thoughtful, otherClone, { recursive: true })
    expect((await a3b(["pack", otherClone], { env })).code).toBe(0)
    expect((await a3b(["chat"], { env })).stderr).toBe(none.stderr)
    await a3b(["pack", models.thoughtful], { env })
    expect((await a3b(["chat"], { env, input: "How many?" })).stdout).toBe("There are 23 chickens.\n")
    await a3b(["pack", models.calling], { env })
    const several = await a3b(["chat"], { env })
    expect(several.code).toBe(1)
    expect(several.stderr).toMatch(
      /^error: there are several models: name one of calling-\S+, thoughtful-\S+\n$/,
    )
  })

  test("answers a question that is given and ends", async () => {
    const asked = await a3b(["chat", models.thoughtful, "How many?"])
    expect({ code: asked.code, stdout: asked.stdout }).toEqual({
      code: 0,
      stdout: "There are 23 chickens.\n",
    })
    expect(asked.stderr).toContain("35 heads, 94 legs")
    const env = { A3B_HOME: join(installed.folder, "question-home") }
    await a3b(["pack", models.thoughtful], { env })
    expect((await a3b(["chat", "How many?"], { env })).stdout).toBe("There are 23 chickens.\n")
    expect((await a3b(["chat", "no-model"], { env })).stderr).toMatch(/^error: no-model is no file, /)
  })

  // util-linux's `script` gives the command a terminal.
  describe.runIf(process.platform === "linux" && existsSync("/usr/bin/script"))("on a terminal", () => {
    /** Types each text once what it waits for has come, after what the one before it waited for. */
    async function typed(args: string[], steps: [type: string, after: string][]): Promise<Outcome> {
      const command = [process.execPath, installed.main, "chat", ...args].map((word) => `"${word}"`).join(" ")
      const left = [...steps]
      let screen = ""
      return installed.spawn("script", ["-qec", command, "/dev/null"], {
        env: { TERM: "xterm" },
        stdin: "open",
        during(child) {
          child.stdout.on("data", (text: string) => {
            screen += text
            for (let at = 0; left.length > 0 && at >= 0;) {
              const [type, after] = left[0]
              at = screen.indexOf(after)
              if (at < 0) continue
              screen = screen.slice(at + after.length)
              left.shift()
              child.stdin.write(type)
            }
          })
        },
      })
    }

    const prompt = "\x1b[3G"

    test("messages are answered until /exit", async () => {
      const { code, stdout } = await typed(
        [models.thoughtful],
        [
          ["How many?\r", prompt],
          ["/fold\r", prompt],
          ["Sure?\r", prompt],
          ["/no_think\r", prompt],
          ["Really?\r", prompt],
          ["/exit\r", prompt],
        ],
      )
      expect(code).toBe(0)
      expect(stdout).toContain("/help lists the commands")
      const [first, second, third] = stdout.split(/thoughts are folded|answering without thinking/)
      expect(first).toContain("\x1b[2m35 heads,\x1b[22m\x1b[2m 94 legs\x1b[22m")
      expect(second).not.toContain("35 heads")
      expect(second).toMatch(/thought for [\d.]+ s, \d+ tokens/)
      expect(second).toContain("There are 23 chickens.")
      expect(third).not.toContain("thought for")
      expect(third).toContain("There are 23 chickens.")
    })

    test("a file goes before the next message", async () => {
      const [file, saved] = ["notes.txt", "noted.json"].map((name) => join(installed.folder, name))
      writeFileSync(file, "Chickens have two legs.")
      await typed(
        [models.thoughtful, "--system", "Be brief."],
        [
          [`/file ${file}\r`, prompt],
          ['"""\r', prompt],
          ["How\r", "... "],
          ['many?"""\r', "... "],
          [`/save ${saved}\r`, prompt],
          ["/exit\r", prompt],
        ],
      )
      expect(JSON.parse(readFileSync(saved, "utf8")).messages.slice(0, 2)).toEqual([
        { role: "system", content: "Be brief." },
        { role: "user", content: "notes.txt:\n\nChickens have two legs.\n\nHow\nmany?" },
      ])
    })

    test("Ctrl-C stops a reply, and a second one leaves with 130", async () => {
      const { code, stdout } = await typed(
        [models.endless],
        [
          ["Go\r", prompt],
          ["\x03", "again round"],
          ["\x03", prompt],
        ],
      )
      expect(code).toBe(130)
      expect(stdout).toContain("stopped")
    })

    test("what goes wrong is shown, and the talk goes on", async () => {
      const path = join(installed.folder, "talk.json")
      const { code, stdout } = await typed(
        [models.thoughtful],
        [
          ["/load /nothing\r", prompt],
          ["/nonsense\r", prompt],
          ["How many?\r", prompt],
          [`/save ${path}\r`, prompt],
          ["\x04", prompt],
        ],
      )
      expect(code).toBe(0)
      expect(stdout).toContain("error: /nothing does not exist")
      expect(stdout).toContain("there is no /nonsense; /help lists what there is")
      expect(JSON.parse(readFileSync(path, "utf8")).messages).toMatchObject([
        { role: "user", content: "How many?" },
        { role: "assistant", content: "There are 23 chickens.", reasoning_content: "35 heads, 94 legs" },
      ])
    })

    test("the results of tool calls are asked for", async () => {
      const path = join(installed.folder, "called.json")
      const { code } = await typed(
        [models.calling, "--tools", join(installed.folder, "tools.json")],
        [
          ["Weather?\r", prompt],
          ["sunny\r", "result of get_weather: "],
          ["\x03", "result of get_weather: "],
          [`/save ${path}\r`, prompt],
          ["/exit\r", prompt],
        ],
      )
      expect(code).toBe(0)
      expect(JSON.parse(readFileSync(path, "utf8")).messages).toEqual([])
    })
  })
})

describe("nano", () => {
  const env = { A3B_HOME: "" }
  beforeAll(() => {
    env.A3B_HOME = join(installed.folder, "nano-home")
    const folder = join(installed.folder, "models/nano")
    mkdirSync(folder, { recursive: true })
    cpSync(models.thoughtful, folder, { recursive: true })
  })
  afterAll(() => rmSync(join(installed.folder, "models"), { recursive: true }))

  const line = /^nano, a demonstration model [^\n]+ a3b pull Qwen\/Qwen3-30B-A3B\n/

  test.each([
    ["chat", "How many?"],
    ["run", "--prompt", "How many?"],
  ])("answers %s where no model is named or stored, also the second time", async (...args) => {
    for (const _ of ["packing", "packed"]) {
      const { code, stdout, stderr } = await a3b(args, { env })
      expect({ code, stdout }).toEqual({ code: 0, stdout: "There are 23 chickens.\n" })
      expect(stderr).toMatch(line)
    }
  })

  test("gives way to a stored model", async () => {
    await a3b(["pack", models.calling], { env })
    const { stdout, stderr } = await a3b(["chat", "Weather?"], { env })
    expect(stdout).toContain("get_weather")
    expect(stderr).not.toContain("nano")
  })
})

describe("logits", () => {
  test("are printed for every position", async () => {
    const args = ["logits", models.thoughtful, "--ids", "10,10,32"]
    const { code, stdout } = await a3b([...args, "--json"])
    expect(code).toBe(0)
    const { ids, logits } = JSON.parse(stdout)
    expect(ids).toEqual([10, 10, 32])
    expect(logits).toHaveLength(3)
    const { vocab_size: vocab } = JSON.parse(readFileSync(join(models.thoughtful, "config.json"), "utf8"))
    expect(logits.map((row: number[]) => row.length)).toEqual([vocab, vocab, vocab])
    const best = logits[0].indexOf(Math.max(...logits[0]))
    const [, first, second] = (await a3b(args)).stdout.split("\n")
    expect(first).toMatch(new RegExp(`^ +0 +10 +${best}: `))
    expect(second).toMatch(new RegExp(`^ +1 +10 +${best}: `))
  })

  test.runIf(existsSync("build/Release/a3b.node"))(
    "of fast prefill come with what exact ones say",
    async () => {
      const args = ["logits", models.thoughtful, "--ids", "10,10,32,11,12", "--prefill-mode", "fast"]
      const { fromExact, logits } = JSON.parse((await a3b([...args, "--json"])).stdout)
      expect(logits).toHaveLength(5)
      // Four factors of attention are each rounded by 2^-9 at most.
      expect(fromExact.distance).toBeLessThan(4 * 2 ** -9)
      expect(fromExact.medianKl).toBeLessThanOrEqual(fromExact.largestKl)
      expect(fromExact.sameTop).toBeLessThanOrEqual(5)
      const { stdout } = await a3b(args)
      expect(stdout).toMatch(/\nfrom exact prefill: [\d.e-]+ % of the logits \(relative L2\)\n/)
      expect(stdout).toMatch(
        /\nKL: median \S+, largest \S+ nats\nthe likeliest token is the same at \d of 5 positions\n$/,
      )
    },
  )

  test("refuses ids beyond the vocabulary, and more than the model has positions for", async () => {
    const beyond = await a3b(["logits", models.thoughtful, "--ids", "1,99999"])
    expect(beyond.code).toBe(1)
    expect(beyond.stderr).toMatch(/^error: the prompt has the token id 99999: wanted 0 to \d+\n$/)
    const ids = Array.from({ length: 5000 }, () => 1).join()
    const long = await a3b(["logits", models.thoughtful, "--ids", ids])
    expect(long.code).toBe(1)
    expect(long.stderr).toMatch(/^error: context is 4,096 tokens; prompt has 5,000: [^\n]+\n$/)
  })
})

describe("bench", () => {
  const args = ["--prefill", "8,16", "--decode", "4", "--depth", "0,130", "--json"]

  test.runIf(existsSync("build/Release/a3b.node"))("measures speed beside bandwidth", async () => {
    const { code, stdout } = await a3b(["bench", models.thoughtful, ...args, "--threads", "1", "--profile"])
    expect(code).toBe(0)
    const result = JSON.parse(stdout)
    const speed = {
      tokensPerSecond: expect.any(Number),
      opSeconds: expect.objectContaining({ attend: expect.any(Number) }),
    }
    expect(result).toEqual({
      isa: expect.any(String),
      threads: 1,
      prefillMode: "exact",
      readBandwidthGBs: expect.any(Number),
      weightBytesPerToken: expect.any(Number),
      prefill: [
        { tokens: 8, depth: 0, ...speed },
        { tokens: 16, depth: 0, ...speed },
        { tokens: 8, depth: 130, ...speed },
        { tokens: 16, depth: 130, ...speed },
      ],
      decode: [
        { depth: 0, gbPerSecond: expect.any(Number), eventLoopDelayP99Ms: expect.any(Number), ...speed },
        { depth: 130, gbPerSecond: expect.any(Number), eventLoopDelayP99Ms: expect.any(Number), ...speed },
      ],
      promotion: { state: "off", bytes: 0, ms: expect.any(Number) },
      loadMs: expect.any(Number),
      rssBytes: expect.any(Number),
      notes: expect.any(Array),
    })
  })

  test("the reference backend has no bandwidth to tell, and reads prompts exactly", async () => {
    const options = ["--backend", "reference", "--prefill-mode", "fast"]
    const { stdout } = await a3b(["bench", models.thoughtful, ...args, ...options])
    const what = { isa: "JavaScript", readBandwidthGBs: null, prefillMode: "exact" }
    expect(JSON.parse(stdout)).toMatchObject(what)
  })

  test("refuses what the model has no positions for, with both numbers", async () => {
    const { code, stderr } = await a3b(["bench", models.thoughtful, "--depth", "4000", "--prefill", "512"])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: the model has 4,096 positions; the measurement needs 4,512: [^\n]+\n$/)
  })
})

describe("serve", () => {
  const curl = async (...args: string[]) => (await promisify(execFile)("curl", ["-sS", ...args])).stdout

  /** Runs the server for the time of `use`, then ends it with Ctrl-C. */
  async function served(
    args: string[],
    use: (url: string) => Promise<void>,
    env: Record<string, string> = {},
  ): Promise<Outcome> {
    let failure: unknown
    const outcome = await installed.run(["serve", models.thoughtful, "--port", "0", ...args], {
      env,
      during: (child) => {
        let said = ""
        const listen = (text: string) => {
          const url = / at (http\S+)\/v1, /.exec((said += text))?.[1]
          if (url === undefined) return
          child.stdout.off("data", listen)
          void use(url)
            .catch((error: unknown) => (failure = error))
            .finally(() => child.kill("SIGINT"))
        }
        child.stdout.on("data", listen)
      },
    })
    if (failure) throw failure
    return outcome
  }

  test("answers curl, streaming and not, and ends at Ctrl-C", async () => {
    const body = { messages: [{ role: "user", content: "How many?" }] }
    const { code, stderr } = await served([], async (url) => {
      const ask = (more: object) =>
        curl(`${url}/v1/chat/completions`, "-d", JSON.stringify({ ...body, ...more }))
      const answer = JSON.parse(await ask({}))
      expect(answer).toMatchObject({
        model: "checkpoint",
        choices: [{ message: { content: "There are 23 chickens.", reasoning_content: "35 heads, 94 legs" } }],
      })
      const again = JSON.parse(await ask({ chat_template_kwargs: { enable_thinking: false } }))
      expect(again.choices[0].message).toEqual({
        role: "assistant",
        content: "There are 23 chickens.",
        refusal: null,
      })
      const streamed = await ask({ stream: true })
      expect(streamed).toContain('"delta":{"content":"There are"}')
      expect(streamed.endsWith("data: [DONE]\n\n")).toBe(true)
      expect(JSON.parse(await curl(`${url}/health`))).toEqual({ status: "ok", model: "ready", restarts: 0 })
    })
    expect(code).toBe(0)
    expect(stderr).toContain("ending after the replies under way")
    expect(stderr).toContain("the chat page is not built: run npm run build")
  })

  test("goes on after a crash of the model, whose requests get a clean error", async () => {
    const body = { messages: [{ role: "user", content: "How many?" }], stream: true, max_tokens: 4000 }
    const { code, stderr } = await served([], async (url) => {
      const ask = async (more: object) => {
        const text = JSON.stringify({ ...body, ...more })
        const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: text })
        return { status: response.status, text: await response.text() }
      }
      const { stdout } = await promisify(execFile)("pgrep", ["-f", `${installed.folder}.*process-main`])
      const [pid] = stdout.trim().split("\n").map(Number)
      process.kill(pid, "SIGSTOP") // so that the request is under way when it dies
      const struck = ask({})
      await new Promise((resolve) => setTimeout(resolve, 200))
      process.kill(pid, "SIGSEGV")
      process.kill(pid, "SIGCONT")
      const { status, text } = await struck
      expect([status, JSON.parse(text)]).toEqual([
        500,
        {
          error: {
            message: expect.stringContaining("send the request once more"),
            type: "server_error",
            param: null,
            code: "model_crashed",
          },
        },
      ])
      expect(JSON.parse(await curl(`${url}/health`))).toEqual({ status: "ok", model: "failed", restarts: 0 })
      expect((await ask({})).text).toContain('"delta":{"content":"There are"}')
      expect(JSON.parse(await curl(`${url}/health`))).toEqual({ status: "ok", model: "ready", restarts: 1 })
      expect(await curl(`${url}/metrics`)).toContain("\na3b_model_restarts_total 1\n")
    })
    expect(code).toBe(0)
    expect(stderr).toContain("500: the model's process ended with SIGSEGV")
    expect(stderr).toContain("the model failed: it is opened anew")
  })

  test("says where the chat page is and opens it in the browser", async () => {
    const [page, bin] = [join(installed.folder, "dist/web"), join(installed.folder, "bin")]
    onTestFinished(() => rmSync(page, { recursive: true }))
    for (const folder of [page, bin]) mkdirSync(folder)
    writeFileSync(join(page, "index.html"), "<!doctype html>")
    const opened = join(bin, "opened")
    for (const opener of ["xdg-open", "open"])
      writeFileSync(join(bin, opener), `#!/bin/sh\necho "$1" > ${opened}`, { mode: 0o755 })
    let address = ""
    const { stdout } = await served(
      ["--open"],
      async (url) => {
        address = url
        expect(await curl(`${url}/`)).toBe("<!doctype html>")
        await expect.poll(() => existsSync(opened) && readFileSync(opened, "utf8")).toBe(`${url}\n`)
      },
      { PATH: `${bin}:${process.env.PATH}` },
    )
    expect(stdout).toContain(`chat page at ${address}/`)
  })

  test("lets in those that have a key made with key", async () => {
    const file = join(installed.folder, "keys.json")
    const { code, stdout } = await installed.run(["key", "alice", "--file", file, "--requests", "9"])
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^a3b-[\w-]{43}\n$/) })
    await served(["--api-key-file", file, "--host", "::1"], async (url) => {
      expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/)
      const models = (...args: string[]) => curl("-g", `${url}/v1/models`, ...args)
      expect(JSON.parse(await models()).error.code).toBe("invalid_api_key")
      expect(JSON.parse(await models("-H", `authorization: Bearer ${stdout.trim()}`)).data[0].id).toBe(
        "checkpoint",
      )
    })
  })

  test("does not open to a network by accident", async () => {
    const { code, stderr } = await installed.run(["serve", models.thoughtful, "--host", "0.0.0.0"])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: 0\.0\.0\.0 can be reached from other machines, .* give --api-key-file/)
  })
})
