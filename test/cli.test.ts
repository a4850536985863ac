// The command line itself: its help, wrong usage, and the commands that tell about models and machines.

import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Command } from "commander"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { aprilConfig } from "./april-config.ts"
import { gguf, modelFiles, tinyTensors, writeFiles } from "./checkpoint-files.ts"
import { Installed } from "./installed.ts"
import { tinyGguf } from "./tiny-gguf.ts"

const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string }

const commands =
  "chat run serve key pull pack list rm verify inspect logits eval distill plan bench doctor".split(" ")

let installed: Installed
const a3b: Installed["run"] = (args, options) => installed.run(args, options)
beforeAll(() => void (installed = new Installed()))
afterAll(() => installed.remove())

/** A folder with only a config.json. */
function configFolder(name: string, changes: Record<string, unknown> = {}): string {
  const text = JSON.stringify({ ...aprilConfig, ...changes })
  return writeFiles(join(installed.folder, name), { "config.json": new TextEncoder().encode(text) })
}

describe("help", () => {
  test("lists the commands", async () => {
    const { code, stdout, stderr } = await a3b(["--help"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(stdout).toMatchInlineSnapshot(`
      "Usage: a3b [options] [command]

      Runs Qwen3-30B-A3B on this machine.

      Options:
        -V, --version   output the version number
        -h, --help      show this help

      Talk:
        chat            talk with a model
        run             answer one prompt
        serve           serve a model over HTTP
        key             make an API key for serve

      Models:
        pull            download a model and pack it
        pack            pack a checkpoint for fast starts
        list            list the models on this machine
        rm              remove a model
        verify          check every byte of a packed model, and its source
        inspect         show a model's modules, config and tensors
        logits          print the logits after each of some token ids
        eval            measure what compressed keys and values lose
        distill         train a small model as a recipe says

      Machine:
        plan            tell whether a model fits in memory
        bench           measure the speed of a model
        doctor          show what this machine offers and lacks
        help [command]  show the help of a command

      Environment:
        A3B_HOME             folder that holds models/, in place of a3b in the user's cache folder
        A3B_ISA              force one instruction set of the cpu backend; a3b doctor lists them
        A3B_API_KEY          key of the server that --remote names
        A3B_DEBUG            1 shows the stack of an error
        HF_TOKEN             access token, for models on Hugging Face that ask for one
        HF_ENDPOINT          base URL in place of https://huggingface.co
        MODELSCOPE_ENDPOINT  base URL in place of https://modelscope.cn
        NO_COLOR             any value turns colours off
      "
    `)
  })

  test("is what a3b alone shows", async () => {
    const [alone, asked] = await Promise.all([a3b([]), a3b(["--help"])])
    expect(alone).toEqual(asked)
  })

  test.each(commands)("%s has its own", async (name) => {
    const { define } = (await import(`../src/cli/${name}.ts`)) as { define: (command: Command) => void }
    const command = new Command(name)
    define(command)
    const lines = command.helpInformation().split("\n")
    expect(lines[0]).toMatch(new RegExp(`^Usage: ${name} `))
    expect(command.options.every(({ description }) => description !== "")).toBe(true)
  })

  test("of one command comes after its name or before", async () => {
    const [after, before] = await Promise.all([a3b(["plan", "--help"]), a3b(["help", "plan"])])
    expect(after.stdout).toContain("Usage: a3b plan [options] <model>")
    expect(before).toEqual(after)
  })

  test("the version is the package's", async () => {
    expect(await a3b(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" })
  })
})

describe("wrong usage ends with 2 and one line", () => {
  test.each([
    [["inspct"], "error: unknown command 'inspct' (Did you mean inspect?)"],
    [["run", "model", "--promt", "hi"], "error: unknown option '--promt' (Did you mean --prompt?)"],
    [["plan"], "error: missing required argument 'model': see --help"],
    [["run", "model"], "error: required option '--prompt <text>' not specified: see --help"],
    [["list", "extra"], "error: too many arguments for 'list'. Expected 0 arguments but got 1: see --help"],
    [
      ["run", "model", "--prompt", "hi", "--temperature", "warm"],
      "error: option '--temperature <number>' argument 'warm' is invalid. Wanted a number from 0 to 100: see --help",
    ],
    [
      ["logits", "model", "--ids", "1,-2"],
      "error: option '--ids <list>' argument '1,-2' is invalid. Wanted whole numbers from 0 to 16777216: see --help",
    ],
    [
      ["eval", "kv", "model", "--tiers", "T1,T0"],
      "error: option '--tiers <list>' argument 'T1,T0' is invalid. Wanted some of T1, T2, T3: see --help",
    ],
    [
      ["serve", "model", "--prefill-mode", "quick"],
      "error: option '--prefill-mode <mode>' argument 'quick' is invalid. Allowed choices are exact, fast: see --help",
    ],
    [
      ["run", "model", "--prompt", "hi", "--backend", "gpu"],
      "error: option '--backend <name>' argument 'gpu' is invalid. Allowed choices are auto, cpu, reference: see --help",
    ],
  ])("%j", async (args, line) => {
    expect(await a3b(args)).toEqual({ code: 2, stdout: "", stderr: `${line}\n` })
  })
})

describe("failures end with 1", () => {
  test("and one line", async () => {
    const { code, stdout, stderr } = await a3b(["plan", "nothing-here"])
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toBe(
      "error: nothing-here is no file, folder, stored model or hub id: " +
        "check the path, or get a model with a3b pull <hub id>\n",
    )
  })

  test("and a stack where that is asked for", async () => {
    const { code, stderr } = await a3b(["plan", "nothing-here"], { env: { A3B_DEBUG: "1" } })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^UserError: nothing-here is no file[^]*\n {4}at /)
  })

  test("where a file may not be read", async () => {
    const path = join(installed.folder, "secret.gguf")
    writeFileSync(path, gguf(tinyGguf()))
    chmodSync(path, 0)
    for (const command of ["plan", "inspect", "pack"]) {
      const { code, stderr } = await a3b([command, path], { rights: "none" })
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: `error: no permission to read ${path}: check its owner and mode\n`,
      })
    }
  })
})

describe("inspect", () => {
  test("shows a folder with only a config as Python shows the model", async () => {
    const { code, stdout } = await a3b(["inspect", configFolder("config-only")])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Qwen3MoeForCausalLM\(\n {2}\(model\): Qwen3MoeModel\(\n/)
    expect(stdout).toContain("(0-47): 48 x Qwen3MoeDecoderLayer(")
    expect(stdout).toContain('\nQwen3MoeConfig {\n  "architectures": [\n    "Qwen3MoeForCausalLM"\n  ],\n')
    expect(stdout).toMatch(/\nparameters +30,532,122,624\n/)
    expect(stdout).not.toContain("\x1b")
  })

  test("counts the tensors of a checkpoint by type", async () => {
    const path = join(installed.folder, "tiny.gguf")
    writeFileSync(path, gguf(tinyGguf()))
    const { stdout } = await a3b(["inspect", path, "--json"])
    const { kind, tensorTypes, parameters } = JSON.parse(stdout)
    expect(kind).toBe("gguf")
    expect(
      tensorTypes.map(({ type, tensors }: { type: string; tensors: number }) => [type, tensors]),
    ).toEqual([
      ["Q4_0", 5],
      ["Q8_0", 3],
      ["F32", 7],
    ])
    const counted = tensorTypes.reduce(
      (sum: number, type: { parameters: number }) => sum + type.parameters,
      0,
    )
    expect(counted).toBe(parameters.total)
  })

  test("refuses what is another architecture, by name", async () => {
    const folder = configFolder("llama", { architectures: ["LlamaForCausalLM"], model_type: "llama" })
    const { code, stderr } = await a3b(["inspect", folder])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: .*"LlamaForCausalLM".*\n$/)
  })
})

describe("plan", () => {
  interface Plan {
    weightBytes: number
    kvBytes: number
    tiers: Record<string, number>
    scratchBytes: number
    totalBytes: number
    availableBytes: number
    fits: boolean
    largestContextTokens: number
  }
  const planOf = async (...args: string[]) =>
    JSON.parse((await a3b(["plan", "--json", ...args])).stdout) as Plan

  test("adds up weights, keys and values, and scratch", async () => {
    const plan = await planOf(configFolder("full"), "--context", "32768", "--kv", "f16")
    expect(plan.kvBytes).toBe(3 * 2 ** 30)
    expect(plan.totalBytes).toBe(plan.weightBytes + plan.kvBytes + plan.scratchBytes)
    expect(plan.fits).toBe(plan.totalBytes <= plan.availableBytes)
    expect(plan.availableBytes).toBeGreaterThan(2 ** 28)
  })

  test("plans for all the positions that a model has where no context is asked for", async () => {
    expect((await planOf(configFolder("full"), "--kv", "f16")).kvBytes).toBe(40_960 * 98_304)
  })

  test("shows how many pages are kept in which way", async () => {
    const folder = configFolder("long context", { max_position_embeddings: 262_144 })
    const { tiers, kvBytes } = await planOf(folder, "--kv", "T3")
    expect(tiers).toEqual({ T0: 24, T1: 0, T2: 0, T3: 2024 })
    expect(kvBytes).toBeLessThanOrEqual((262_144 * 98_304) / 4)
    const { stdout } = await a3b(["plan", folder, "--kv", "T3"])
    expect(stdout).toContain("262,144 tokens, 24 pages in T0 (16 bit), 2,024 in T3")
    const auto = await planOf(folder, "--kv-budget", "9G")
    expect(auto.kvBytes).toBeLessThanOrEqual(9 * 2 ** 30)
    const { code, stderr } = await a3b(["plan", folder, "--kv-budget", "much"])
    expect([code, stderr]).toEqual([2, expect.stringContaining("Wanted a size such as 512M or 6G")])
  })

  test("says what is missing of a model larger than memory", async () => {
    const folder = configFolder("huge", { moe_intermediate_size: 1 << 16 })
    expect(await planOf(folder)).toMatchObject({ fits: false, largestContextTokens: 0 })
    const { code, stdout } = await a3b(["plan", folder])
    expect(code).toBe(0)
    expect(stdout).toMatch(/\ndoes not fit: [\d.]+ .iB are missing; the weights alone are too large/)
  })

  test("refuses a context beyond the model's positions, with both numbers", async () => {
    const folder = configFolder("long", { max_position_embeddings: 262_144 })
    const { code, stderr } = await a3b(["plan", folder, "--context", "300000"])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: .*262,144.*300,000.*\n$/)
  })

  test("reads the headers of a checkpoint, and refuses one that packing would refuse", async () => {
    const files = modelFiles(tinyTensors())
    const folder = writeFiles(join(installed.folder, "tiny"), files)
    expect((await planOf(folder)).weightBytes).toBeGreaterThan(0)
    const short = files["model.safetensors"].subarray(0, -10)
    const cut = writeFiles(join(installed.folder, "cut"), { ...files, "model.safetensors": short })
    const { code, stderr } = await a3b(["plan", cut])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: [^\n]*\n$/)
  })
})

describe("doctor", () => {
  test("tells what the machine offers", async () => {
    const { code, stdout, stderr } = await a3b(["doctor", "--json"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const found = JSON.parse(stdout)
    expect(found.models.folder).toBe(join(installed.folder, "home", "models"))
    expect(found.memory.availableBytes).toBeLessThanOrEqual(found.memory.totalBytes)
    expect(found.fullSize.weightBytes).toBe(17_273_354_240)
    if (!existsSync("build/Release/a3b.node")) return expect(found.addon.status).toBe("missing")
    expect(found.addon.instructionSets).toContain("scalar")
    expect(found.readBandwidthGBs).toBeGreaterThan(0.1)
  })

  test("tells what is missing and what to do", async () => {
    const bare = new Installed({ addon: "without" })
    try {
      const { code, stdout } = await bare.run(["doctor"])
      expect(code).toBe(0)
      expect(stdout).toContain("! native addon  missing")
      expect(stdout).toMatch(/\nno native addon for .*: install a C\+\+20 compiler.*npm rebuild a3b`\n/)
    } finally {
      bare.remove()
    }
  })
})

test("a reader that goes away is no failure", async () => {
  const folder = configFolder("piped")
  const command = `set -o pipefail; "${process.execPath}" "${installed.main}" inspect "${folder}" | true`
  const { code, stderr } = await installed.spawn("bash", ["-c", command])
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
})

test.runIf(existsSync("/dev/full"))("output that finds no room ends with 1 and one line", async () => {
  const folder = configFolder("no-room")
  const command = `"${process.execPath}" "${installed.main}" inspect "${folder}" > /dev/full`
  const { code, stderr } = await installed.spawn("bash", ["-c", command])
  expect(code).toBe(1)
  expect(stderr).toMatch(/^error: the output cannot be written \(ENOSPC[^\n]+\n$/)
})
