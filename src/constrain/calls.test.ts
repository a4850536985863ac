import { Ajv2020 } from "ajv/dist/2020.js"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { accepts, walk } from "../../test/grammar-walk.ts"
import { seeded } from "../../test/random.ts"
import { splitReply } from "../chat/reply.ts"
import type { ToolFormat } from "../chat/format.ts"
import type { ChatRequest, Tool } from "../types.ts"
import { replyGrammar } from "./reply.ts"

const parameters: Tool["function"]["parameters"] = {
  type: "object",
  properties: {
    city: { type: "string" },
    days: { type: "integer", minimum: 1, maximum: 14 },
    unit: { enum: ["C", "F"] },
    code: { type: "string", pattern: "^[A-Z]{3}$" },
    near: { type: "array", items: { type: "number" }, maxItems: 2 },
  },
  required: ["city", "unit", "near"],
  additionalProperties: false,
}
const tools: Tool[] = [
  { type: "function", function: { name: "get_weather", parameters } },
  {
    type: "function",
    function: { name: "stop", parameters: { type: "object", properties: {}, additionalProperties: false } },
  },
]
const schemas = new Map(tools.map(({ function: { name, parameters } }) => [name, parameters]))
const ajv = new Ajv2020({ strict: false })

async function replyOf(request: Partial<ChatRequest>, toolFormat: ToolFormat, seed: number) {
  const grammar = replyGrammar({ tools, ...request }, { toolFormat, after: "prompt" })
  const text = await walk(String(grammar?.text), seeded(seed), 800)
  return text === undefined
    ? undefined
    : splitReply(text, { prompt: "<|im_start|>assistant\n", toolFormat, tools })
}

describe.each(["hermes", "xml"] as const)("required calls in the form %s", (toolFormat) => {
  test("are read as calls of the tools, with arguments that satisfy their schemas", async () => {
    let numCalls = 0
    const property = fc.asyncProperty(
      fc.integer(),
      fc.constantFrom(1, 2, undefined),
      async (seed, maxToolCalls) => {
        const reply = await replyOf({ toolChoice: "required", maxToolCalls }, toolFormat, seed)
        if (!reply) return
        expect(reply).toMatchObject({ content: "", finishReason: "tool_calls", diagnostic: undefined })
        expect(reply.toolCalls.length).toBeLessThanOrEqual(maxToolCalls ?? Infinity)
        for (const { function: called } of reply.toolCalls) {
          const validate = ajv.compile(schemas.get(called.name) ?? false)
          const given = String(called.arguments)
          expect([given, validate(JSON.parse(given)), validate.errors]).toEqual([given, true, null])
          numCalls++
        }
      },
    )
    await fc.assert(property, { numRuns: 80, seed: 1 })
    expect(numCalls).toBeGreaterThan(20)
  })

  test("are of the tool that is named", async () => {
    const reply = await replyOf({ toolChoice: { name: "stop" }, maxToolCalls: 1 }, toolFormat, 3)
    expect(reply?.toolCalls.map(({ function: called }) => called)).toEqual([
      { name: "stop", arguments: "{}" },
    ])
  })
})

test("a form with tools is the content or calls, never both", async () => {
  const seen = new Set<string>()
  for (let seed = 0; seed < 20; seed++) {
    const reply = await replyOf({ responseFormat: { type: "json_object" } }, "hermes", seed)
    if (!reply) continue
    seen.add(String(reply.finishReason))
    if (reply.toolCalls.length === 0) expect(JSON.parse(reply.content)).toBeTypeOf("object")
    else expect(reply.content).toBe("")
  }
  expect([...seen].sort()).toEqual(["stop", "tool_calls"])
})

describe.each(["hermes", "xml"] as const)(
  "calls that the model makes by itself in the form %s",
  (toolFormat) => {
    /** From the tag of the first call on. */
    async function callsOf(asked: readonly Tool[], seed: number) {
      const grammar = replyGrammar({ tools: asked }, { toolFormat, after: "thought" })
      expect(grammar?.begins).toBe("call")
      const text = await walk(String(grammar?.text), seeded(seed), 800)
      if (text === undefined) return undefined
      const form = { prompt: "<|im_start|>assistant\n", toolFormat, tools: asked }
      return splitReply(`Let me see.\n<tool_call>${text}`, form)
    }

    test("have arguments that satisfy their schemas", async () => {
      let numCalls = 0
      // Grammars of elements take a second to compile.
      for (let seed = 0; seed < (toolFormat === "xml" ? 6 : 30); seed++) {
        const reply = await callsOf(tools, seed)
        if (!reply) continue
        expect(reply).toMatchObject({ content: "Let me see.", finishReason: "tool_calls" })
        for (const { function: called } of reply.toolCalls) {
          const validate = ajv.compile(schemas.get(called.name) ?? false)
          expect([called, validate(JSON.parse(String(called.arguments)))]).toEqual([called, true])
          numCalls++
        }
      }
      expect(numCalls).toBeGreaterThan(2)
    })

    test("have any arguments where the parameters cannot be kept to, or need not be", async () => {
      const other = { type: "object", properties: { a: { type: "integer", multipleOf: 7 } } } as const
      const asked = (called: Tool["function"]) =>
        grammarWithText(
          replyGrammar({ tools: [{ type: "function", function: called }] }, { toolFormat, after: "prompt" }),
        )
      const given =
        toolFormat === "hermes"
          ? '{"name": "f", "arguments": {"x": [1, {}]}}'
          : "<function=f>\n<parameter=x>\n[1, {}]\n</parameter>\n<parameter=y>\n</parameter\n</parameter>\n</function>"
      const text = `\n${given}\n</tool_call>`
      expect(await accepts(asked({ name: "f", parameters: other }), text)).toBe(true)
      expect(await accepts(asked({ name: "f", parameters: other }), `${text}\n`)).toBe(true)
      expect(await accepts(asked({ name: "f", parameters: other }), `${text}\nWell.`)).toBe(false)
      const kept = schemas.get("get_weather")
      expect(await accepts(asked({ name: "f", parameters: kept }), text)).toBe(false)
      expect(await accepts(asked({ name: "f", parameters: kept, strict: false }), text)).toBe(true)
      expect(await accepts(asked({ name: "g", parameters: kept, strict: false }), text)).toBe(false)
      expect(() => asked({ name: "f", parameters: other, strict: true })).toThrow(
        "tools[0].function.parameters.properties.a.multipleOf: this keyword cannot be kept to here",
      )
    })
  },
)

/** Its tag as the text that it has. */
function grammarWithText(grammar: { text: string } | undefined): string {
  return String(grammar?.text).replaceAll("[\\xff-\\xff\\xff-\\xff]", '"</tool_call>"')
}
