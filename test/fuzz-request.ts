// A number in, a request out that nobody should send, and how its answer is read: a request that was once right, with
// values changed, or its text, or its headers. The same number gives the same request, so that a failure is one number.

import { integer, seeded } from "./random.ts"

/** Stands in every prompt and in every wrong key: no log may hold it. */
export const secret = "sk-hush-7f3a9"
/** What the servers with keys let in. */
export const goodKey = `${secret}-good`

export interface FuzzRequest {
  method: string
  path: string
  headers: Record<string, string>
  body: Uint8Array<ArrayBuffer>
  /** What the model says to it. */
  says: string[]
  /** Reads of the answer's body before the client leaves, and how it does; all where left out. */
  leaves?: { afterReads: number; how: "cancel" | "abort" }
}

const tool = {
  type: "function",
  function: {
    name: "add",
    strict: true,
    parameters: {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "string", pattern: "^x+$" } },
      required: ["a"],
      additionalProperties: false,
    },
  },
}
const messages = [
  { role: "system", content: `You know ${secret}.` },
  { role: "user", content: [{ type: "text", text: `Hi ${secret}` }] },
  {
    role: "assistant",
    content: null,
    reasoning_content: "Hm.",
    tool_calls: [{ id: "c", function: { name: "add", arguments: '{"a": 1.0}' } }],
  },
  { role: "tool", tool_call_id: "c", content: "2" },
]
const schema = {
  type: "object",
  properties: { a: { type: "array", items: { $ref: "#/$defs/b" }, maxItems: 3 }, c: { enum: [1, "x"] } },
  required: ["a"],
  $defs: { b: { type: "number", minimum: 0, maximum: 10 } },
}

/** Requests that are right, by path. */
const right: readonly (readonly [string, object])[] = [
  [
    "/v1/chat/completions",
    {
      model: "fake",
      messages,
      tools: [tool],
      tool_choice: "auto",
      parallel_tool_calls: true,
      temperature: 1,
      top_p: 0.9,
      stop: ["x"],
      n: 2,
      seed: 7,
      max_completion_tokens: 4,
      logit_bias: { 1: 2 },
      thinking: { budget: 1 },
      chat_template_kwargs: {},
      stream_options: { include_usage: true },
    },
  ],
  [
    "/v1/chat/completions",
    {
      messages,
      max_tokens: 3,
      logprobs: true,
      top_logprobs: 2,
      response_format: { type: "json_schema", json_schema: { name: "n", strict: true, schema } },
    },
  ],
  ["/v1/chat/completions", { messages, max_tokens: 3, structured_outputs: { regex: "[a-z]{2,4}(0|1)*" } }],
  ["/v1/completions", { prompt: ["Hi", secret], max_tokens: 2, n: 2, stop: "x", seed: 1, logprobs: 1 }],
  ["/v1/completions", { prompt: [72, 105], max_tokens: 2 }],
  [
    "/v1/responses",
    {
      input: [
        { role: "user", content: [{ type: "input_text", text: `Hi ${secret}` }] },
        { type: "reasoning", summary: [{ text: "Hm." }] },
        { type: "function_call", call_id: "c", name: "add", arguments: "{}" },
        { type: "function_call_output", call_id: "c", output: "2" },
      ],
      instructions: "Be brief.",
      tools: [{ type: "function", name: "add", parameters: {} }],
      reasoning: { effort: "low" },
      text: { format: { type: "json_schema", name: "n", schema } },
      max_output_tokens: 3,
    },
  ],
  [
    "/v1/messages",
    {
      max_tokens: 3,
      system: [{ type: "text", text: `Hi ${secret}` }],
      messages: [
        { role: "user", content: "Hi" },
        { role: "assistant", content: [{ type: "tool_use", id: "t", name: "add", input: { a: 1 } }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "x" }] },
      ],
      tools: [{ name: "add", input_schema: {} }],
      tool_choice: { type: "auto" },
      thinking: { type: "enabled", budget_tokens: 1 },
    },
  ],
  ["/v1/messages/count_tokens", { messages: [{ role: "user", content: `Hi ${secret}` }] }],
  ["/tokenize", { messages }],
  ["/tokenize", { prompt: `Hi ${secret}` }],
  ["/detokenize", { tokens: [104, 105] }],
  ["/v1/embeddings", { model: "fake", input: secret }],
]

const says = [
  ["<think>", "Hm.", "</think>", "\n\nYes."],
  ["<think>", "Hm. <tool", "_call>"],
  ['<tool_call>\n{"name": "add", "argum', 'ents": {"a": 1', "}}\n</tool_call>"],
  ['<tool_call>\n{"name": "add", "arguments": {"a": '],
  ["<tool_call>", "\n[1]", "</tool_call>", "</think>", "é日本"],
  ["\ud83d", "\ude00", "\ud800", '"\\u0000'],
  [],
]

/** A value's JSON text, where JSON.stringify would write another or none. */
class Written {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const odd: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  2 ** 53,
  "",
  "__proto__",
  "auto",
  "stop",
  "\u0000\u2028",
  "x".repeat(3000),
  [],
  {},
  [[]],
  [null],
  { type: "text" },
  { __proto__: null, constructor: { name: 1 } },
  { $ref: "#" },
  { type: "string", maxLength: 9, pattern: "(a|b" },
  new Written("1e400"),
  new Written("-1e-400"),
  new Written("123456789012345678901234567890"),
  new Written("0.1000"),
  new Written("NaN"),
  new Written("Infinity"),
  new Written("undefined"),
  new Written('"\\ud800"'),
  new Written('"\\udc00 \\ud83d"'),
  new Written('{"a": 1, "a": 2}'),
  new Written('{"__proto__": {"x": 1}}'),
  new Written(`${"[".repeat(40)}${"]".repeat(40)}`),
  new Written(`${'{"a":'.repeat(200)}1${"}".repeat(200)}`),
]

const headers: readonly (readonly [string, string])[] = [
  ["content-type", "text/plain"],
  ["content-type", "multipart/form-data; boundary=x"],
  ["content-type", "application/json; charset=utf-16"],
  ["content-encoding", "gzip"],
  ["content-encoding", "identity"],
  ["content-length", "99999999999"],
  ["content-length", "x"],
  ["origin", "http://evil.example"],
  ["origin", "null"],
  ["host", "evil.example"],
  ["host", "[::1"],
  ["accept", "text/html"],
  ["x-request-id", "../../etc/passwd"],
  ["anthropic-version", "9999-99-99"],
  ["expect", "200-ok"],
  ["cookie", "a=b; ".repeat(300)],
]

export function fuzzRequest(number: number): FuzzRequest {
  const random = seeded(number)
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)]
  const [path, original] = pick(right)
  const changed = changedValue(original, random)
  const isObject = typeof changed === "object" && changed !== null && !(changed instanceof Written)
  const streamed = isObject && random() < 0.5 ? { ...changed, stream: true } : changed
  return {
    method: random() < 0.98 ? "POST" : pick(["GET", "PUT", "DELETE", "OPTIONS"]),
    path: random() < 0.98 ? path : pick(["/", "/v1", `${path}/x`, `${path}?key=${secret}`, "/v1/models/%00"]),
    headers: oddHeaders(random),
    body: changedBytes(written(streamed, random), random),
    says: pick(says),
    ...(random() < 0.15 && {
      leaves: { afterReads: integer(random, 0, 12), how: random() < 0.5 ? "cancel" : "abort" },
    }),
  }
}

/** None to two of the value's values, however deep, are others. */
function changedValue(original: object, random: () => number): unknown {
  let value: unknown = original
  for (let i = integer(random, 0, 2); i > 0; i--) value = changedAt(value, integer(random, 1, 6), random)
  return value
}

function changedAt(value: unknown, depth: number, random: () => number): unknown {
  const other = odd[Math.floor(random() * odd.length)]
  if (depth === 0 || typeof value !== "object" || value === null || value instanceof Written) return other
  const keys = Object.keys(value)
  if (keys.length === 0) return other
  const key = keys[Math.floor(random() * keys.length)]
  const copy = Array.isArray(value) ? [...value] : { ...value }
  return Object.assign(copy, { [key]: changedAt(value[key as keyof typeof value], depth - 1, random) })
}

/** As JSON, where now and then a key comes twice. */
function written(value: unknown, random: () => number): string {
  if (value instanceof Written) return value.text
  if (Array.isArray(value)) return `[${value.map((one) => written(one, random)).join(", ")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const pairs = Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${written(one, random)}`)
  if (pairs.length > 0 && random() < 0.02) pairs.push(pairs[Math.floor(random() * pairs.length)])
  return `{${pairs.join(", ")}}`
}

/** Cut, with a byte changed, or with something in it that is no text; mostly as it is. */
function changedBytes(text: string, random: () => number): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(text)
  const kind = random()
  const at = Math.floor(random() * bytes.length)
  if (kind < 0.03) return new Uint8Array(bytes.subarray(0, at))
  if (kind < 0.06) bytes[at] = integer(random, 0, 255)
  else if (kind < 0.07)
    return new Uint8Array([...bytes.subarray(0, at), 0xed, 0xa0, 0x80, ...bytes.subarray(at)])
  else if (kind < 0.08) return new Uint8Array(Buffer.from(text, "utf16le"))
  else if (kind < 0.085) return new Uint8Array(Buffer.concat([Buffer.from("\ufeff"), bytes]))
  return new Uint8Array(bytes)
}

function oddHeaders(random: () => number): Record<string, string> {
  const found: Record<string, string> = { "content-type": "application/json" }
  const who = random()
  if (who < 0.5) found.authorization = `Bearer ${goodKey}`
  else if (who < 0.6) found["x-api-key"] = goodKey
  else if (who < 0.7) found.authorization = `Bearer ${secret}-wrong`
  else if (who < 0.75) found.authorization = `Basic ${secret}`
  else if (who < 0.8) found["x-api-key"] = secret
  while (random() < 0.06) {
    const [name, value] = headers[Math.floor(random() * headers.length)]
    found[name] = value
  }
  return found
}
