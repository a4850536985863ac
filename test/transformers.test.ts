// The API that users of Transformers know, on a scripted checkpoint: what article-like code does with it.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { AutoModelForCausalLM, AutoTokenizer, TextStreamer } from "../src/transformers/index.ts"
import type { PreTrainedModel, PreTrainedTokenizer, ProgressInfo } from "../src/transformers/index.ts"
import { scriptedCheckpoint, scriptedTemplate } from "./scripted-checkpoint.ts"

const folder = mkdtempSync(join(tmpdir(), "a3b-transformers-"))
const home = process.env.A3B_HOME
const messages = [{ role: "user" as const, content: "How many?" }]
const says = [
  ["\n", "<think>", "35 heads. ", "</think>", "\n\n", "There are ", "23 chickens", ".", "<|im_end|>"],
]
const progress: ProgressInfo[] = []
let path: string
let tokenizer: PreTrainedTokenizer
let model: PreTrainedModel

beforeAll(async () => {
  process.env.A3B_HOME = join(folder, "home")
  path = scriptedCheckpoint(folder, { family: "hybrid", says })
  tokenizer = await AutoTokenizer.from_pretrained(path)
  const progress_callback = (info: ProgressInfo) => void progress.push(info)
  model = await AutoModelForCausalLM.from_pretrained(path, { backend: "reference", progress_callback })
})
afterAll(async () => {
  await model.dispose()
  if (home === undefined) delete process.env.A3B_HOME
  else process.env.A3B_HOME = home
  rmSync(folder, { recursive: true })
})

describe("the tokenizer", () => {
  test("encodes one text or several, a row each, without padding", () => {
    expect(tokenizer(["ab", "c"])).toEqual({ input_ids: [[97, 98], [99]], attention_mask: [[1, 1], [1]] })
    expect(tokenizer("ab").input_ids).toEqual([[97, 98]])
    expect(tokenizer.encode("ab")).toEqual([97, 98])
  })

  test("renders a conversation as text, ids, or what generate takes", () => {
    const text = tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true })
    expect(text).toBe("<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n")
    expect(tokenizer.apply_chat_template(messages, { add_generation_prompt: true })).toEqual(
      tokenizer.encode(text),
    )
    const inputs = tokenizer.apply_chat_template(messages, { add_generation_prompt: true, return_dict: true })
    expect(inputs).toEqual(tokenizer(text))
  })

  test("leaves the reply's beginning out unless it is asked for", () => {
    const text = tokenizer.apply_chat_template(messages, { tokenize: false })
    expect(text).toBe("<|im_start|>user\nHow many?<|im_end|>\n")
  })

  test("hands enable_thinking, tools and other variables to the template", () => {
    const render = (options: object) =>
      tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true, ...options })
    expect(render({ enable_thinking: false })).toMatch(/<think>\n\n<\/think>\n\n$/)
    expect(render({ enable_thinking: undefined })).toMatch(/assistant\n$/)
    expect(render({ tools: [{ type: "function", function: { name: "add" } }] })).toContain('"name": "add"')
    expect(render({ chat_template: "{{ mood }} {{ messages | length }}", mood: "merry" })).toBe("merry 1")
  })

  test("decodes with and without special tokens; tags of thoughts stay", () => {
    const ids = tokenizer.encode("<think>a</think>b<|im_end|>")
    expect(tokenizer.decode(ids)).toBe("<think>a</think>b<|im_end|>")
    expect(tokenizer.decode(ids, { skip_special_tokens: true })).toBe("<think>a</think>b")
    expect(tokenizer.batch_decode([ids, [97]], { skip_special_tokens: true })).toEqual([
      "<think>a</think>b",
      "a",
    ])
  })

  test("knows tokens by name", () => {
    const id = tokenizer.convert_tokens_to_ids("</think>")
    expect(tokenizer.decode([id])).toBe("</think>")
    expect(tokenizer.convert_tokens_to_ids(["</think>", "a"])).toEqual([id, 97])
    expect(() => tokenizer.convert_tokens_to_ids("</thought>")).toThrow('no token "</thought>"')
  })
})

describe("generate", () => {
  const inputs = () => {
    const text = tokenizer.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true })
    return tokenizer([text])
  }

  test("gives prompt and reply as ids, the ending one included", async () => {
    const { input_ids, attention_mask } = inputs()
    const [ids] = await model.generate({ input_ids, attention_mask })
    expect(ids.slice(0, input_ids[0].length)).toEqual(input_ids[0])
    const reply = tokenizer.decode(ids.slice(input_ids[0].length))
    expect(reply).toBe("<think>35 heads. </think>\n\nThere are 23 chickens.<|im_end|>")
  })

  test("stops after max_new_tokens", async () => {
    const [ids] = await model.generate({ ...inputs(), max_new_tokens: 3 })
    expect(tokenizer.decode(ids.slice(-3))).toBe("<think>35 heads. </think>")
  })

  test("takes several prompts of different lengths at once, and rows without a batch", async () => {
    const { input_ids } = tokenizer(["a\n", "abc\n"])
    const rows = await model.generate({ input_ids, max_new_tokens: 1, do_sample: false })
    expect(tokenizer.batch_decode(rows)).toEqual(["a\n<think>", "abc\n<think>"])
    const [row] = await model.generate({ input_ids: input_ids[0], max_new_tokens: 1 })
    expect(row).toEqual(rows[0])
  })

  test("leaves out padding that the mask names", async () => {
    const input_ids = [[0, 0, 97, 10]]
    const [row] = await model.generate({ input_ids, attention_mask: [[0, 0, 1, 1]], max_new_tokens: 1 })
    expect(tokenizer.decode(row)).toBe("a\n<think>")
  })

  test("ends at other ids where they are given", async () => {
    const eos_token_id = tokenizer.convert_tokens_to_ids("</think>")
    const [ids] = await model.generate({ ...inputs(), eos_token_id })
    expect(ids.at(-1)).toBe(eos_token_id)
  })

  test("streams text as it comes", async () => {
    const pieces: string[] = []
    const callback_function = (text: string) => void pieces.push(text)
    const streamer = new TextStreamer(tokenizer, {
      skip_prompt: true,
      skip_special_tokens: true,
      callback_function,
    })
    await model.generate({ ...inputs(), streamer })
    expect(pieces).toEqual(["<think>", "35 heads. ", "</think>", "\n\n", "There are ", "23 chickens", "."])
    await model.generate({ ...inputs(), streamer, max_new_tokens: 1 })
    expect(pieces.at(-1)).toBe("<think>")
  })

  test("streams the prompt too unless it is skipped, and the ids beside the text", async () => {
    const ids: number[] = []
    let text = ""
    const streamer = new TextStreamer(tokenizer, {
      callback_function: (piece) => void (text += piece),
      token_callback_function: (tokens) => void ids.push(...tokens),
    })
    const [row] = await model.generate({ input_ids: tokenizer("a\n").input_ids, max_new_tokens: 2, streamer })
    expect(text).toBe("a\n<think>35 heads. ")
    expect(ids).toEqual(row)
  })

  test("refuses what it does not know, and a streamer for several prompts", async () => {
    const options = { ...inputs(), num_beams: 4 }
    await expect(model.generate(options)).rejects.toThrow(
      "generate does not take num_beams; it takes input_ids",
    )
    const streamer = new TextStreamer(tokenizer)
    const { input_ids } = tokenizer(["a", "b"])
    await expect(model.generate({ input_ids, streamer })).rejects.toThrow("one prompt at a time; got 2")
  })

  test("of several prompts fails as one, and none goes on", async () => {
    const { input_ids } = tokenizer(["a\n", "x".repeat(5000)])
    await expect(model.generate({ input_ids })).rejects.toMatchObject({ code: "context-exceeded" })
  })

  test("can be cancelled", async () => {
    const signal = AbortSignal.abort()
    await expect(model.generate({ ...inputs(), signal })).rejects.toMatchObject({ code: "cancelled" })
  })
})

test("the model has its configs", () => {
  expect(model.config.model_type).toBe("qwen3_moe")
  expect(model.generation_config.eos_token_id).toHaveLength(2)
})

test("progress comes as the events of transformers.js", () => {
  expect(progress[0]).toEqual({ status: "initiate", name: path, file: "packed" })
  expect(progress.at(-1)).toEqual({ status: "ready", name: path })
  expect(progress.at(-2)).toEqual({ status: "done", name: path, file: "packed" })
  const steps = progress.filter((info) => info.status === "progress")
  expect(steps.at(-1)).toMatchObject({ file: "packed", progress: 100 })
  for (const { loaded, total, progress } of steps) expect(progress).toBeCloseTo((100 * loaded) / total)
})

test("the tokenizer of a packed file is the same", async () => {
  const packed = await AutoTokenizer.from_pretrained(path)
  const text = packed.apply_chat_template(messages, { tokenize: false })
  expect(text).toBe(tokenizer.apply_chat_template(messages, { tokenize: false }))
})

test("a template can be any the caller has", () => {
  const chat_template = scriptedTemplate("thinking")
  const text = tokenizer.apply_chat_template(messages, {
    chat_template,
    tokenize: false,
    add_generation_prompt: true,
  })
  expect(text).toMatch(/<think>\n$/)
})

test("the quickstart splits a reply at </think>", async () => {
  vi.doMock("a3b/transformers", () => import("../src/transformers/index.ts"))
  vi.spyOn(process, "argv", "get").mockReturnValue(["node", "quickstart.ts", path])
  const printed = vi.spyOn(console, "log").mockImplementation(() => undefined)
  await import("../examples/quickstart.ts")
  expect(printed.mock.calls).toEqual([
    ["thinking content:", "<think>35 heads. </think>"],
    ["content:", "There are 23 chickens."],
  ])
  vi.restoreAllMocks()
})
